//! See `spacewright_fuzz::networks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::networks(bytes));
