//! This machine with ONNX Runtime as a Spacewright target: the ONNX writer, the runner and the
//! measurement of latencies.
//!
//! * [`writer`] turns networks into ONNX files: the only place that writes ONNX. [`read`] says what
//!   a file holds, whoever wrote it.
//! * [`OrtRuntime`] loads and runs them. The library is loaded at run time, from the file that
//!   [`VARIABLE`] names or from `.deps/onnxruntime`, where `cargo xtask setup` puts it. A process
//!   has one ONNX Runtime environment, so nothing else in it may make one.
//! * [`PartLatency`](spacewright_measure::PartLatency) measures graphs without weights with it, as
//!   parts whose latencies add up.
//! * [`HostOrt`] puts them together as two targets that differ in their weights: `host-ort` and
//!   `host-ort-pairs`.
//!
//! ```no_run
//! use spacewright_core::{
//!     graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
//!     latency::{LatencyQuery, Position, Precision},
//!     target::Target,
//! };
//! use spacewright_host_ort::HostOrt;
//!
//! let mut b = GraphBuilder::new(Shape::square(3, 32));
//! let x = b.conv_bn_act("stem", b.input(), ConvSpec::new(16, 3).stride(2), ActivationKind::Relu);
//! let graph = b.finish(x);
//! let query = LatencyQuery { graph, precision: Precision::Int8, position: Position::Whole };
//! let source = HostOrt::new().latency_source()?;
//! let milliseconds = source.latencies(&[query])?[0].ms;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the runtime does with quantized networks
//!
//! Found with ONNX Runtime 1.32.0 on x86-64 by reading its optimized graphs, and kept by this
//! crate's tests:
//!
//! * A ReLU or ReLU6 between an operator and its quantizer disappears into the quantizer, after
//!   Conv, Gemm, Add and Mul alike. With a quantizer on both of its sides it becomes a conversion
//!   to real numbers and back, so the schemes place none before it.
//! * Swish as Sigmoid and Mul runs in integers; in floating point the two become one operator.
//!   HardSwish and HardSigmoid run in floating point between two conversions.
//! * Graph outputs on quantized values change neither the fusion nor the result.
//! * [`quant::check`](spacewright_core::quant::check) finds no element of any block type that is
//!   wrong, with the kernels for VNNI, for AVX2 without VNNI and for SSE (the latter two on a
//!   processor emulated by QEMU). Over networks of 4 to 8 million elements with VNNI, every
//!   convolution, pool and product was equal, and 3 elements of one sum were rounding ties.
//! * With full 8-bit weights in dense convolutions it finds none wrong with VNNI, but on AVX2
//!   without VNNI up to 66 % of a layer's outputs: sums of two products saturate in 16 bits.
//!   Weights of 7 bits and weights under the pair rule are exact on both.
//!
//! # How well parts add up
//!
//! Networks of five stages, measured in seven parts, on an AMD EPYC with AVX-512 VNNI whose two
//! cores are shared with other work; the sum of the parts against the whole over several
//! repetitions, without those in which the machine was busy throughout:
//!
//! | network | FP32 | INT8 |
//! |---|---|---|
//! | MobileNetV2, 64² | −1 to −2 % of 0.30 ms | −5 % of 0.20 ms |
//! | MobileNetV2, 224² | −4 to −8 % of 3.6 ms | −2 to −3 % of 1.7 ms |
//! | MobileNetV3 with hard-swish, 128² | −1 to −8 % of 1.5 ms | −4 to −6 % of 1.4 ms |
//! | MobileNetV3 with swish, 32² | −5 to −7 % of 0.23 ms | −8 to −10 % of 0.22 ms |
//! | ResNet, 128², 18 million weights | −3 to −6 % of 19 ms | −11 to −12 % of 4.8 ms |
//!
//! The sum is short throughout, most where weights are many; the likely reason is that a part
//! alone keeps its weights and values in nearer caches than it does within a network. One part,
//! measured again and again, stays within 1 %. Other work on the same core slows everything by
//! up to 1.4 times, for seconds at a time; rounds that it disturbs are repeated, but not for ever.

mod error;
mod file;
mod importer;
mod library;
pub mod proto;
mod reader;
mod runtime;
mod target;
pub mod writer;

use std::sync::Arc;

use spacewright_core::{import::NetworkReader, target::Target};

pub use importer::OnnxReader;
pub use library::VARIABLE;
pub use reader::{ReadError, read};
pub use runtime::OrtRuntime;
pub use target::{HostOrt, scheme_7bit, scheme_pairs};

/// The targets of this machine.
pub fn targets() -> Vec<Arc<dyn Target>> {
    vec![Arc::new(HostOrt::new()), Arc::new(HostOrt::pairs())]
}

spacewright_sdk::register!("host-ort", Targets, targets);

/// What reads networks of others.
pub fn readers() -> Vec<Arc<dyn NetworkReader>> {
    vec![Arc::new(OnnxReader)]
}

spacewright_sdk::register!("host-ort", NetworkReaders, readers);
