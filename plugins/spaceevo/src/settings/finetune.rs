//! `[finetune]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{data::Transform, study::Section, train::Phase};

use super::phase;

/// Training each chosen subnet alone, from the weights that it has in the supernet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneSettings {
    /// Whether this is done; otherwise networks are deployed with the supernet's weights, as they are
    /// where they are better with these on the held-out images.
    #[default = true]
    pub enabled: bool,
    /// Share of the supernet's weights, from 0 to 1, in those that a network starts from; the rest are
    /// random initial values ("shrink and perturb", arXiv 1910.08475). Much training alone may end
    /// higher from less of the supernet.
    #[default = 1.0]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub supernet_share: f64,
    /// Training without quantizers.
    #[default(phase(800, 128, 0.1, 5e-4))]
    pub fp32: Phase,
    /// Training with quantizers, after that.
    #[default(phase(150, 128, 0.01, 5e-4))]
    pub int8: Phase,
    /// Share of the teacher, from 0 to 1, in the loss against teacher and labels.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub teacher_share: f64,
    /// Share of the label that is spread over all classes.
    #[default = 0.05]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Where the teacher has a share: every image is seen in so many views, one an epoch, for which
    /// its logits are kept; 0: each epoch has views of its own, and the teacher computes in each step.
    pub teacher_views: usize,
    /// Transforms of its images; none: `augment` of `[data]`.
    pub augment: Vec<Transform>,
}

impl Section for FinetuneSettings {
    const NAME: &'static str = "finetune";

    fn augment(&self) -> &[Transform] {
        &self.augment
    }
}

impl FinetuneSettings {
    /// Images that each network sees.
    pub fn images(&self) -> usize {
        if self.enabled { super::images(&self.fp32) + super::images(&self.int8) } else { 0 }
    }
}
