//! See `spacewright_fuzz::shard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacewright_fuzz::shard(bytes));
