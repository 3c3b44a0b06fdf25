//! See `spacewright_fuzz::study`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::study(bytes));
