//! `[correct]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{data::Transform, study::Section, train::Phase};

use super::phase;

/// What a loss of a block type is worth: a few networks of mixed block types are trained for a short time, and the
/// losses of each stage and block type get a factor with which their sums rank these networks as their accuracy does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct CorrectSettings {
    /// Networks to train; 0: losses are taken as they were distilled.
    #[default = 0]
    pub networks: usize,
    /// Training without quantizers, from random weights.
    #[default(phase(300, 64, 0.1, 5e-4))]
    pub fp32: Phase,
    /// Training with quantizers, after that.
    #[default(phase(50, 64, 0.01, 5e-4))]
    pub int8: Phase,
    /// Share of the label that is spread over all classes.
    #[default = 0.05]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Transforms of its images; none: `augment` of `[data]`.
    pub augment: Vec<Transform>,
}

impl Section for CorrectSettings {
    const NAME: &'static str = "correct";

    fn augment(&self) -> &[Transform] {
        &self.augment
    }
}

impl CorrectSettings {
    /// Images that each network sees.
    pub fn images(&self) -> usize {
        super::images(&self.fp32) + super::images(&self.int8)
    }
}
