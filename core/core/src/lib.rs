//! Vocabulary, op graph, spaces, quantization, quality tables and the traits of Spacewright.
//!
//! Plain data and the algorithms on it: no file system, no printing, no plugin by name.

pub mod call;
pub mod data;
pub mod foreign;
pub mod graph;
pub mod hex;
pub mod import;
pub mod kernel;
pub mod latency;
pub mod model;
pub mod network_files;
pub mod operators;
pub mod options;
pub mod quality;
pub mod quant;
pub mod quantize;
pub mod random;
pub mod rank;
pub mod score;
pub mod sealed;
pub mod search;
pub mod space;
pub mod study;
pub mod target;
pub mod train;
pub mod verify;
