//! Fitting a model to measurements of sums of kernels.
//!
//! First a physical model by robust, non-negative least squares in relative error, then trees on
//! what it leaves over. Nothing is random and nothing is removed: outliers weigh less. Edges of
//! bins lie between values that kernels of the fit have, so that rows held out do not move them.

mod bins;
mod boost;
mod hold_out;
mod nnls;
mod physical;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{kernel::FusionRules, latency::Precision};
use thiserror::Error;

use crate::{
    features::Feature,
    kernel_sums::KernelSums,
    model::{Edges, FORMAT, MAX_DEPTH, Model, ModelError, Parameters, VERSION},
};

pub use hold_out::{HeldOutPredictions, Split, held_out};
pub use nnls::nnls;

/// How a fit is done. The defaults were chosen by cross-validation on the block latencies that
/// were published for SpaceEvo's Intel and Pixel targets; the optimum is flat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of re-weighting of the physical fit. Default 20.
    pub physical_rounds: usize,
    /// Number of trees. Default 300.
    pub trees: usize,
    /// Levels of a tree, at most 8. Default 7.
    pub depth: usize,
    /// What a step of a tree is multiplied with. Default 1, as steps of sums are careful already;
    /// where most rows are single kernels, take 0.1. At most 1.
    pub learning_rate: f64,
    /// Added to the weight of each leaf (in rows), which draws its value to 0. Default 5.
    pub shrinkage: f64,
    /// Relative error from which rows count as outliers (scale of the Cauchy loss). Smaller
    /// values lower the median error and let more rows go. Default 0.1.
    pub outlier_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            physical_rounds: 20,
            trees: 300,
            depth: 7,
            learning_rate: 1.0,
            shrinkage: 5.0,
            outlier_scale: 0.1,
        }
    }
}

/// Why nothing can be fitted.
#[derive(Debug, Error)]
pub enum FitError {
    /// There is nothing to fit to.
    #[error("no measurements to fit to")]
    NoRows,
    /// A setting that makes no sense.
    #[error("{setting} = {value} is not {allowed}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed, as words.
        allowed: &'static str,
    },
    /// A split that holds out no row, or all of them.
    #[error("split `{how}`, fold {fold}: holds out {held} of {rows} rows, so nothing is learnt")]
    Split {
        /// How rows are held out.
        how: String,
        /// The fold.
        fold: usize,
        /// Rows held out.
        held: usize,
        /// All rows.
        rows: usize,
    },
    /// The fitted model is not one: measurements are too extreme.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What a model says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// Name, such as `intel-vnni`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Where the measurements come from.
    pub source: String,
    /// What the latencies hold for: hardware, runtime and its settings.
    pub fingerprint: String,
    /// Arithmetic of the networks that were measured.
    pub precision: Precision,
}

/// Fits to rows.
pub fn fit(rows: &KernelSums, settings: &Settings) -> Result<Parameters, FitError> {
    check(settings)?;
    if rows.is_empty() {
        return Err(FitError::NoRows);
    }
    let physical = physical::fit(rows, settings.physical_rounds);
    let bins = bins::Bins::of(rows.kernels());
    let trees = boost::boost(rows, &physical, &bins, settings);
    let edges = Feature::ALL.into_iter().zip(bins.edges);
    let mut kernels = BTreeMap::new();
    rows.kernels().iter().for_each(|kernel| *kernels.entry(kernel.kind).or_default() += 1);
    Ok(Parameters {
        kernels,
        physical,
        edges: edges.map(|(feature, edges)| Edges { feature, edges }).collect(),
        trees,
    })
}

/// Fits to all rows and states the errors that [`held_out`] has found for the same rows and
/// settings. The intervals are those of the last of them, so the strictest belongs there; without
/// any they are those of the fit itself, which are too narrow.
pub fn fit_model(
    rows: &KernelSums,
    settings: &Settings,
    rules: &FusionRules,
    statement: ModelDescription,
    predicted: &[HeldOutPredictions],
) -> Result<Model, FitError> {
    let parameters = fit(rows, settings)?;
    let intervals = match predicted.last() {
        Some(last) => hold_out::intervals(last),
        None => hold_out::intervals(&hold_out::fitted(rows, &parameters)),
    };
    let ModelDescription { name, summary, source, fingerprint, precision } = statement;
    let model = Model {
        format: FORMAT.to_owned(),
        version: VERSION,
        name,
        summary,
        source,
        fingerprint,
        precision,
        rules: rules.clone(),
        held_out: predicted.iter().map(HeldOutPredictions::held_out).collect(),
        intervals,
        parameters,
    };
    model.check()?;
    Ok(model)
}

fn check(settings: &Settings) -> Result<(), FitError> {
    let wrong = |setting, value, allowed| Err(FitError::Setting { setting, value, allowed });
    if settings.depth > MAX_DEPTH {
        return wrong("depth", settings.depth as f64, "at most 8");
    }
    if !(settings.learning_rate > 0.0 && settings.learning_rate <= 1.0) {
        return wrong("learning_rate", settings.learning_rate, "above 0 and at most 1");
    }
    for (setting, value) in
        [("shrinkage", settings.shrinkage), ("outlier_scale", settings.outlier_scale)]
    {
        if !(value.is_finite() && value > 0.0) {
            return wrong(setting, value, "a positive number");
        }
    }
    Ok(())
}
