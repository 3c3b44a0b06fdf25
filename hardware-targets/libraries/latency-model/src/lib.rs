//! Latencies of graphs, predicted from the times of their kernels.
//!
//! A [`Model`] holds what was fitted to measurements, for one precision; a [`Predictor`] finds
//! the kernels of a graph by the model's fusion rules and sums their times. [`Fitted`] makes a
//! latency source of one or several.
//!
//! Single kernels are seldom measured, so [`fit`] learns from [`KernelSums`]: times of blocks or of
//! parts of networks, each the sum of its kernels. One such sum is a *row* below. [`held_out`] tells
//! how good that is on rows that the fit did not see, and [`read_blocks`] reads published block
//! latencies.
//!
//! ```
//! use spacewright_core::kernel::{Kernel, Kind};
//! use spacewright_latency_model::{KernelSums, Settings, fit};
//!
//! let mut rows = KernelSums::default();
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
//! Held out, outliers included, by the program's `examples/fit_published.rs`, which also writes the models of
//! the targets `intel-vnni` and `pixel-arm`:
//!
//! | model | rows that the fit never saw | rows | within 5 % | within 10 % | median error | mean |
//! |---|---|---|---|---|---|---|
//! | `intel-vnni` | random, 5 folds | 50,380 | 76.4 % | 92.7 % | 2.24 % | 4.8 % |
//! | | with a new width, 8 folds | 92,410 | 73.9 % | 91.8 % | 2.51 % | 5.1 % |
//! | | tables of `onnxw` | 112,109 | 78.2 % | 94.2 % | 2.09 % | 4.1 % |
//! | `pixel-arm` | random, 5 folds | 178,232 | 99.97 % | 100.00 % | 0.40 % | 0.54 % |
//! | | with a new width, 8 folds | 520,492 | 99.5 % | 99.95 % | 0.49 % | 0.74 % |
//!
//! The worst fold of random rows has 92.4 % within 10 % and a median of 2.26 % (`intel-vnni`),
//! 100.00 % and 0.41 % (`pixel-arm`); the worst fold of widths 89.4 % and 3.1 %, 99.8 % and
//! 0.54 %. A tenth of the rows of `intel-vnni` lies outside of nine-of-ten intervals, as it
//! should. Some rows of the tables of `onnxw` are sums of the very measurements of the fit;
//! others hold a block type that was never measured. The few numbers in [`Settings`] were chosen
//! on these same rows. What is measured of `intel-vnni` has outliers up to eleven times too slow
//! or fast: even the rows of the fit reach 93 % only. The tables of `pixel-arm` are predictions themselves.
//!
//! What the models never saw, they cannot know: `intel-vnni` has no fully connected layer, and
//! `pixel-arm` only what stages hold, so neither stem nor head. [Relatives] stand in, and
//! [`Prediction::unseen`] counts such kernels.
//!
//! [Relatives]: spacewright_core::kernel::Kind::relatives
//!
//! # Speed
//!
//! The program's `benches/latency.rs` predicts 2,000 networks of 292,383 kernels on one thread of an AMD EPYC
//! that is shared with other work, for baseline x86-64, nothing cached: 3.6
//! million kernels a second, 3.2 million where they are first found in [columns of a
//! batch](Predictor::columns), 2.1 million in [graphs](Predictor::graphs), whose shapes and names
//! are checked.

mod adaptive;
mod features;
mod fit;
mod kernel_sums;
mod model;
mod physical;
mod predict;
mod read;
mod source;
#[cfg(test)]
mod testing;

pub use adaptive::{
    AdaptiveError, Campaign, CampaignEnd, CampaignRound, CandidateGraph, Goal,
    PrecisionMeasurements,
};
pub use features::{FEATURES, Feature, features};
pub use fit::{
    FitError, HeldOutPredictions, ModelDescription, Settings, Split, fit, fit_model, held_out, nnls,
};
pub use kernel_sums::{KernelSum, KernelSums};
pub use model::{
    Edges, FORMAT, Intervals, MAX_DEPTH, MAX_EDGES, Model, ModelError, Parameters, Quantiles, Tree,
    VERSION,
};
pub use physical::{Group, LEAST_MS, Physical, TERMS};
pub use predict::{Prediction, Predictor};
pub use read::{BlockLatency, LineError, ReadError, kernel_sums_of_blocks, read_blocks};
pub use source::Fitted;
