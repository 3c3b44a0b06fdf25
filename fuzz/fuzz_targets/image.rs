//! See `spacewright_fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::image(bytes));
