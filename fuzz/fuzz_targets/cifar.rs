//! See `spacewright_fuzz::cifar`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::cifar(bytes));
