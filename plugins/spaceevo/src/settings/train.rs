//! `[train]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Augmentation,
    study::{FieldError, Section},
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
    /// Random changes of its images; `shift` must stay 0 where the teacher has a share, as its
    /// logits are kept.
    #[default(Augmentation { flip: true, shift: 0 })]
    pub augmentation: Augmentation,
}

impl Section for TrainSettings {
    const NAME: &'static str = "train";

    fn check(&self) -> Result<(), FieldError> {
        if self.teacher_share > 0.0 { unmoved::<Self>(self.augmentation) } else { Ok(()) }
    }
}

/// Refuses images that are moved, of which the teacher's logits are not kept.
pub(super) fn unmoved<S: Section>(augmentation: Augmentation) -> Result<(), FieldError> {
    if augmentation.shift == 0 {
        return Ok(());
    }
    let reason = "must be 0: the teacher's logits are those of images that are not moved";
    Err(FieldError::refused(S::NAME, "augmentation.shift", reason, "leave it out"))
}

impl TrainSettings {
    /// Images that its subnets see; an image counts once for each that sees it.
    pub fn images(&self) -> usize {
        SUBNETS_PER_STEP * (super::images(&self.fp32) + super::images(&self.int8))
    }
}
