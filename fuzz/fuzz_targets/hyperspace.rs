//! See `spacewright_fuzz::hyperspace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::hyperspace(bytes));
