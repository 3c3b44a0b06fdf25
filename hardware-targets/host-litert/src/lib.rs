//! This machine with LiteRT (TensorFlow Lite) as a Spacewright target.
//!
//! * [`LiteRtRuntime`] loads and runs `.tflite` files, which `spacewright-tflite` writes. The
//!   library is loaded at run time, from the file that [`VARIABLE`] names or from `.deps/litert`,
//!   where `cargo xtask setup` puts it.
//! * [`TfliteReader`] reads networks out of `.tflite` files of other programs.
//! * [`HostLiteRt`] is the target; its latencies are measured as those of `host-ort` are.

mod error;
mod ffi;
mod library;
mod reader;
mod runtime;
mod stderr;
mod target;

use std::sync::Arc;

use spacewright_core::{import::NetworkReader, target::Target};

pub use ffi::Kernels;
pub use library::VARIABLE;
pub use reader::TfliteReader;
pub use runtime::LiteRtRuntime;
pub use target::HostLiteRt;

/// The target of this machine.
pub fn targets() -> Vec<Arc<dyn Target>> {
    vec![Arc::new(HostLiteRt::new())]
}

/// Networks out of TFLite files.
pub fn readers() -> Vec<Arc<dyn NetworkReader>> {
    vec![Arc::new(TfliteReader)]
}

spacewright_sdk::register!("host-litert", Targets, targets);
spacewright_sdk::register!("host-litert", NetworkReaders, readers);
