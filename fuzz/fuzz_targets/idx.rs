//! See `spacewright_fuzz::idx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::idx(bytes));
