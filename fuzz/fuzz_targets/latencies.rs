//! See `spacewright_fuzz::latencies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::latencies(bytes));
