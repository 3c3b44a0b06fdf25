//! TFLite files for Spacewright targets.
//!
//! * [`write_integer`] and [`write_float`] turn networks into `.tflite` files: the only place that
//!   writes them.
//! * [`read`] says what a file holds, whoever wrote it, and [`import`] makes an op graph of the network in it.
//! * [`scheme`] is what TFLite's 8-bit quantization specification allows.
//!
//! ```
//! use spacewright_core::{
//!     graph::{ConvSpec, GraphBuilder, Shape},
//!     quant::{FloatNetwork, FloatWeights, TensorData},
//!     target::ModelInfo,
//! };
//!
//! let mut b = GraphBuilder::new(Shape::square(1, 4));
//! let y = b.conv("c", b.input(), ConvSpec::new(2, 1));
//! let kernel = TensorData { shape: vec![2, 1, 1, 1], data: vec![1.0, -1.0] };
//! let weights = FloatWeights::from([("c.weight".into(), kernel)]);
//! let network = FloatNetwork { graph: b.finish(y), weights };
//! let file = spacewright_tflite::write_float(&network, &ModelInfo::default())?;
//! let summary = spacewright_tflite::read(&file)?;
//! assert_eq!(summary.operators[0].kind, "CONV_2D");
//! assert_eq!(summary.inputs[0].shape, [1, 4, 4, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod importer;
mod operators;
mod reader;
mod schema;
mod scheme;
mod writer;

pub use importer::{Wanted, import};
pub use reader::{ReadError, is_tflite, read};
pub use scheme::{SIGMOID, scheme};
pub use writer::{write_float, write_integer};
