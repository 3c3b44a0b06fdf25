//! A fitted model as data.

mod check;
mod json;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    kernel::{FusionRules, Kind},
    latency::{HeldOut, Precision, quantile},
};
use thiserror::Error;

use crate::{
    features::Feature,
    physical::{Group, Physical},
};

/// What the file of a model says it is.
pub const FORMAT: &str = "spacewright-latency-model";

/// The version that is written and read.
pub const VERSION: u32 = 1;

/// The most levels that a tree has: a leaf's number has 8 bits.
pub const MAX_DEPTH: usize = 8;

/// The most edges that a feature has: a bin's number has 8 bits.
pub const MAX_EDGES: usize = 254;

/// A fitted model with everything that is known of it.
///
/// The time of a kernel is `physical · exp(sum of a leaf of each tree)` ms, that of a graph the
/// sum over its kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Name, such as `intel-vnni`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Where the measurements come from.
    pub source: String,
    /// What the latencies hold for: hardware, runtime and its settings.
    pub fingerprint: String,
    /// Arithmetic of the networks.
    pub precision: Precision,
    /// How the runtime's kernels are found in a graph.
    pub rules: FusionRules,
    /// Errors on rows that a fit without them did not see, one entry for each way to hold rows
    /// out.
    pub held_out: Vec<HeldOut>,
    /// How far measurements lie from predictions.
    pub intervals: Intervals,
    /// What was fitted.
    pub parameters: Parameters,
}

/// Quantiles of ln(measured / predicted).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Quantiles {
    pub q05: f64,
    pub q10: f64,
    pub q50: f64,
    pub q90: f64,
    pub q95: f64,
}

impl Quantiles {
    /// Of ascending values; all NaN where there are none.
    pub fn of(ascending: &[f64]) -> Self {
        let [q05, q10, q50, q90, q95] =
            [0.05, 0.1, 0.5, 0.9, 0.95].map(|share| quantile(ascending, share));
        Self { q05, q10, q50, q90, q95 }
    }

    /// In ascending order.
    pub fn values(&self) -> [f64; 5] {
        [self.q05, self.q10, self.q50, self.q90, self.q95]
    }
}

/// How far measurements of single rows lie from predictions of fits that did not see them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// How the rows were held out.
    pub how: String,
    /// All rows.
    pub all: Quantiles,
    /// Rows by the group of kernels that takes most of their time, where there are enough.
    pub dominated_by: BTreeMap<Group, Quantiles>,
}

impl Intervals {
    /// The quantiles for a graph that is dominated by these kernels.
    pub fn of(&self, dominating: Group) -> &Quantiles {
        self.dominated_by.get(&dominating).unwrap_or(&self.all)
    }
}

/// What a fit determines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How many different kernels of each kind the fit saw.
    pub kernels: BTreeMap<Kind, usize>,
    /// Coefficients in ms.
    pub physical: Physical,
    /// One entry for each of [`Feature::ALL`], in that order.
    pub edges: Vec<Edges>,
    /// What is added to the logarithm of the physical time.
    pub trees: Vec<Tree>,
}

/// Where trees can split a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// The feature.
    pub feature: Feature,
    /// Ascending, at most [`MAX_EDGES`]. A value lies above an edge that it reaches.
    pub edges: Vec<f32>,
}

/// An oblivious tree: all nodes of a level split alike (Kohavi and Li, IJCAI 1995; CatBoost,
/// arXiv 1706.09516).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// From the root: positions of a feature in [`Parameters::edges`] and of an edge in its list.
    pub splits: Vec<(u8, u8)>,
    /// One for each path. The path's number has one bit for each split, the root's the highest,
    /// set where the value lies above the edge.
    pub leaves: Vec<f32>,
}

/// Why the file of a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// Not JSON, or not the JSON of a model.
    #[error("not a latency model: {0}")]
    Json(#[from] serde_json::Error),
    /// Something else, as the file itself says.
    #[error("not a latency model: the format is `{0}`, not `{FORMAT}`")]
    Format(String),
    /// Another version.
    #[error(
        "the latency model has version {0}, but only version {VERSION} can be read; hint: fit it \
         again"
    )]
    Version(u32),
    /// The content contradicts itself.
    #[error("latency model `{name}`, {place}: {reason}")]
    Content {
        /// Name of the model.
        name: String,
        /// The part of the model.
        place: String,
        /// What is wrong.
        reason: String,
    },
}
