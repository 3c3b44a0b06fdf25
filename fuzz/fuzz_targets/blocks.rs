//! See `spacewright_fuzz::blocks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::blocks(bytes));
