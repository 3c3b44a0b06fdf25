//! See `spacewright_fuzz::tflite`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::tflite(bytes));
