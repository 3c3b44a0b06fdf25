//! Latencies of graphs, predicted from the times of their kernels.
//!
//! A runtime computes a graph as a sequence of kernels: a convolution with its batch
//! normalization and activation is one of them. [`FusionRules`] say, as data, which operators a
//! target computes together, and a [`KernelReader`] lists the kernels of a graph. A [`Model`]
//! holds what was fitted to measurements; a [`Predictor`] sums the times of kernels.
//!
//! Measurements are seldom of kernels, so [`fit`] learns from [`Rows`]: times of blocks or of
//! parts of networks, each the sum of its kernels. [`held_out`] tells how good that is on rows
//! that the fit did not see, and [`read_blocks`] reads published block latencies.
//!
//! ```
//! use spacewright_latency_model::{Kernel, Kind, Rows, Settings, fit};
//!
//! let mut rows = Rows::default();
//! for channels in (8..512).step_by(8) {
//!     let sum = Kernel::pointwise(Kind::Add, 14, 14, channels);
//!     rows.push(&[sum, sum], 2.0 * (0.01 + 1e-5 * f64::from(channels)), 1.0);
//! }
//! let parameters = fit(&rows, &Settings { trees: 10, ..Settings::default() }).unwrap();
//! assert_eq!(parameters.kernels[&Kind::Add], 63);
//! ```
//!
//! # How good the published models are
//!
//! FIGURES

mod accuracy;
mod features;
mod fit;
mod fusion;
mod kernel;
mod model;
mod physical;
mod predict;
mod read;
mod rows;
#[cfg(test)]
mod testing;

pub use accuracy::{Accuracy, quantile};
pub use features::{FEATURES, Feature, features};
pub use fit::{FitError, Predicted, Settings, Split, Statement, fit, fit_model, held_out, nnls};
pub use fusion::{FusionError, FusionRules, Gate, KernelReader};
pub use kernel::{Amounts, Kernel, Kind};
pub use model::{
    Edges, FORMAT, HeldOut, Intervals, MAX_DEPTH, MAX_EDGES, Model, ModelError, Parameters,
    Quantiles, Tree, VERSION,
};
pub use physical::{Group, LEAST_MS, Physical, TERMS};
pub use predict::{Prediction, Predictor};
pub use read::{BlockLatency, ReadError, read_blocks, rows_of_blocks};
pub use rows::{Row, Rows};
