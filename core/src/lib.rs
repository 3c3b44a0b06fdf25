//! Vocabulary, op graph, spaces, quantization, quality tables and the traits of Spacewright.
//!
//! Plain data and the algorithms on it: no file system, no printing, no plugin by name.

pub mod graph;
pub mod latency;
pub mod operators;
pub mod quant;
pub mod space;
