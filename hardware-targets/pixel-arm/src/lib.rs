//! The ARM processor of a Pixel phone with TensorFlow Lite as a Spacewright target.
//!
//! * [`PixelArm`] is the target: who it is, and the two below.
//! * [`TfliteRunner`] measures `.tflite` files on an attached phone, through `adb` and TensorFlow
//!   Lite's `benchmark_model`. [`Settings`] say which phone, and how.
//! * Latencies of graphs need no phone: they are predicted.
//!
//! ```no_run
//! use pixel_arm::{Settings, TfliteRunner};
//! use spacewright_sdk::prelude::*;
//!
//! let runner = TfliteRunner::new(Settings::from_environment());
//! let measurement = runner.measure(&std::fs::read("model.tflite")?)?;
//! let milliseconds = measurement.min_ms;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a file is measured
//!
//! One thread is bound to the phone's fastest core. A phone slows down when it gets warm, so
//! there are several short rounds with pauses between them; how much the rounds' minima differ is
//! the measurement's drift. `benchmark_model` prints a summary of each round, not its runs, so
//! the median over all rounds is the median of theirs, and the tenth percentile is interpolated;
//! the measurement's warnings say so.

mod adb;
mod benchmark;
mod devices;
mod latency;
mod phone;
mod runner;
mod settings;
mod summary;
mod target;

pub use runner::TfliteRunner;
pub use settings::Settings;
pub use target::PixelArm;

use spacewright_sdk::prelude::*;

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).target(PixelArm)
}

export!(target, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
