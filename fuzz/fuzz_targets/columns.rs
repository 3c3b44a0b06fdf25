//! See `spacewright_fuzz::columns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::columns(bytes));
