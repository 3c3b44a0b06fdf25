//! `[train]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Transform,
    study::Section,
    train::{Guide, Phase, SUBNETS_PER_STEP},
};

use super::phase;

/// The quantized-for-all supernet of the space that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Training without quantizers.
    #[default(phase(1200, 64, 0.1, 1e-5))]
    pub fp32: Phase,
    /// Training with quantizers, after that.
    #[default(phase(500, 64, 0.01, 1e-5))]
    pub int8: Phase,
    /// Share of the teacher, from 0 to 1, in the loss against teacher and labels.
    #[default = 0.5]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub teacher_share: f64,
    /// Share of the label that is spread over all classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Whose logits smaller subnets learn from: `largest` (in place), or `teacher`, each subnet
    /// with images of its own.
    #[default(Guide::Largest)]
    pub guide: Guide,
    /// Where the teacher has a share: every image is seen in so many views, one an epoch, for which
    /// its logits are kept; 0: each epoch has views of its own, and the teacher computes in each step.
    pub teacher_views: usize,
    /// Transforms of its images; none: `augment` of `[data]`.
    pub augment: Vec<Transform>,
    /// Images of a subnet that are computed together, where memory is short, two or three at least; 0: all of a batch.
    /// Each part is
    /// normalized by itself (gradient accumulation).
    pub micro_batch: usize,
}

impl Section for TrainSettings {
    const NAME: &'static str = "train";
    const LATER: &'static [&'static str] = &["micro_batch"];

    fn augment(&self) -> &[Transform] {
        &self.augment
    }
}

impl TrainSettings {
    /// Images that its subnets see; an image counts once for each that sees it.
    pub fn images(&self) -> usize {
        SUBNETS_PER_STEP * (super::images(&self.fp32) + super::images(&self.int8))
    }
}
