//! See `spacewright_fuzz::onnx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::onnx(bytes));
