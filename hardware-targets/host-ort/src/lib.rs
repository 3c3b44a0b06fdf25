//! This machine with ONNX Runtime as a Spacewright target: the ONNX writer, the runner and the
//! measurement of latencies.

mod cpu;
mod latency;
mod library;
mod optimized;
pub mod proto;
mod runtime;
mod synthetic;
mod target;
mod timing;
pub mod writer;

use std::sync::Arc;

use spacewright_core::target::Target;

pub use latency::{OrtLatency, WRAP};
pub use library::VARIABLE;
pub use runtime::OrtRuntime;
pub use target::{HostOrt, scheme_7bit, scheme_pairs};

/// The targets of this machine.
pub fn targets() -> Vec<Arc<dyn Target>> {
    vec![Arc::new(HostOrt::new()), Arc::new(HostOrt::pairs())]
}

spacewright_sdk::register!("host-ort", Targets, targets);
