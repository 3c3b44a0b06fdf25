//! `[distil]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{study::Section, train::Phase};

use super::phase;

/// Block-wise distillation of every stage with every block type. Many steps of few images serve best: each image is a
/// map of values to copy, and after few steps losses say which block type learns fastest, not which copies best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct DistilSettings {
    /// Training without quantizers.
    #[default(phase(800, 16, 0.005, 0.0))]
    pub fp32: Phase,
    /// Training with quantizers, after that.
    #[default(phase(100, 16, 0.001, 0.0))]
    pub int8: Phase,
    /// Images for recalibration of batch normalization.
    #[default = 256]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Most gigabytes of the teacher's features that are kept on the disk while stages are distilled;
    /// beyond that the teacher computes them whenever they are needed.
    #[default = 20.0]
    #[schemars(range(min = 0))]
    pub cache_gb: f64,
}

impl Section for DistilSettings {
    const NAME: &'static str = "distil";
}

impl DistilSettings {
    /// Images that one stage with one block type sees.
    pub fn images(&self) -> usize {
        super::images(&self.fp32) + super::images(&self.int8)
    }

    /// Most bytes of features that are kept.
    pub fn cache_bytes(&self) -> u64 {
        (1e9 * self.cache_gb) as u64
    }
}
