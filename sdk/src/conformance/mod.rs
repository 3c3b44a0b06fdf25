//! The conformance kit: asks a plugin everything that the program will ask, and judges the
//! answers. A plugin's own tests call it, and so does `spacewright plugin check`.
//!
//! ```
//! use spacewright_sdk::{conformance, prelude::*};
//!
//! /// Takes the whole range that was observed.
//! struct Observed;
//!
//! impl Quantizer for Observed {
//!     fn name(&self) -> &str {
//!         "observed"
//!     }
//!     fn learnable(&self) -> bool {
//!         false
//!     }
//!     fn activations(
//!         &self,
//!         items: &[(TensorStats, ActivationRange)],
//!     ) -> Result<Vec<(f32, f32)>, QuantizerError> {
//!         let scale = |stats: &TensorStats| (stats.max - stats.min) / 255.0;
//!         Ok(items.iter().map(|(stats, _)| (scale(stats), stats.min)).collect())
//!     }
//!     fn weights(
//!         &self,
//!         channels: &[TensorStats],
//!         range: WeightRange,
//!     ) -> Result<Vec<f32>, QuantizerError> {
//!         let largest = |stats: &TensorStats| stats.max.abs().max(stats.min.abs());
//!         Ok(channels.iter().map(|stats| largest(stats) / range.max() as f32).collect())
//!     }
//! }
//!
//! let about = spacewright_sdk::About {
//!     name: "observed".into(),
//!     version: "1.0.0".into(),
//!     summary: "Scales from observed ranges".into(),
//! };
//! let report = conformance::check(&Plugin::new(about).quantizer(Observed));
//! report.assert_good();
//! ```
//!
//! A panic of the plugin is one wrong verdict, and the other checks go on.

mod about;
mod call;
mod hyperspace;
mod item;
mod latency;
mod operators;
mod quantizer;
mod report;
mod scorer;
mod target;
#[cfg(test)]
mod testing;

pub use report::{ConformanceReport, Outcome, Verdict};

use crate::Plugin;

/// Asks a plugin everything that the program will ask, and judges the answers.
pub fn check(plugin: &Plugin) -> ConformanceReport {
    // A new kind is not to be forgotten here.
    let Plugin {
        about: about_it,
        operator_set,
        hyperspaces,
        quantizer,
        latency_source,
        scorer,
        target,
    } = plugin;
    let mut report = ConformanceReport::new(about_it);
    about::check(&mut report, plugin);
    hyperspace::check(&mut report, hyperspaces);
    if let Some(set) = operator_set {
        operators::check(&mut report, set.as_ref());
    }
    if let Some(quantizer) = quantizer {
        quantizer::check(&mut report, quantizer.as_ref());
    }
    if let Some(source) = latency_source {
        latency::check(&mut report, source.as_ref());
    }
    if let Some(scorer) = scorer {
        scorer::check(&mut report, scorer.as_ref());
    }
    if let Some(target) = target {
        target::check(&mut report, target.as_ref());
    }
    report
}
