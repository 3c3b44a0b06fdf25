//! `[finetune]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Augmentation,
    study::{FieldError, Section},
    train::Phase,
};

use super::{phase, train::unmoved};

/// Training each chosen subnet alone, from the weights that it has in the supernet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneSettings {
    /// Whether this is done; otherwise networks are deployed with the supernet's weights, as they are
    /// where they are better with these on the held-out images.
    #[default = true]
    pub enabled: bool,
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
    /// Random changes of its images; `shift` must stay 0 where the teacher has a share, as its
    /// logits are kept.
    #[default(Augmentation { flip: true, shift: 0 })]
    pub augmentation: Augmentation,
}

impl Section for FinetuneSettings {
    const NAME: &'static str = "finetune";

    fn check(&self) -> Result<(), FieldError> {
        if self.teacher_share > 0.0 { unmoved::<Self>(self.augmentation) } else { Ok(()) }
    }
}

impl FinetuneSettings {
    /// Images that each network sees.
    pub fn images(&self) -> usize {
        if self.enabled { super::images(&self.fp32) + super::images(&self.int8) } else { 0 }
    }
}
