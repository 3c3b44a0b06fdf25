//! `[plain]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Transform,
    study::{Reference, Referred, Section},
    train::Phase,
};

/// `bench plain`: networks trained alone, from random weights, as one would without a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct PlainSettings {
    /// Times that each network is trained; `--seeds` of the command sets it.
    #[default = 1]
    #[schemars(range(min = 1))]
    pub seeds: usize,
    /// Images per step.
    #[default = 128]
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Peak learning rate without quantizers.
    #[default = 0.2]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
    /// Peak learning rate with quantizers.
    #[default = 0.01]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub int8_learning_rate: f64,
    /// Share of the images that are seen with quantizers, at the end.
    #[default = 0.15]
    #[schemars(range(min = 0.01, max = 0.99))]
    pub int8_share: f64,
    /// Decay of convolution and linear weights.
    #[default = 5e-4]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises linearly.
    #[default = 0.15]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup: f64,
    /// Share of the label that is spread over all classes.
    #[default = 0.05]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Transforms of the images; none: `augment` of `[data]`.
    pub augment: Vec<Transform>,
    /// Training images for recalibration and for post-training quantization.
    #[default = 2048]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Quantizer of the networks that are quantized after training.
    #[default = "min-max"]
    pub post_training: String,
}

impl Section for PlainSettings {
    const NAME: &'static str = "plain";

    fn augment(&self) -> &[Transform] {
        &self.augment
    }

    fn references(&self) -> Vec<Reference> {
        let quantizer = Referred::Quantizer(self.post_training.clone());
        vec![Reference::new("post_training", quantizer)]
    }
}

impl PlainSettings {
    /// The phases without and with quantizers that together see so many images, at least a step
    /// each.
    pub fn phases(&self, images: usize) -> [Phase; 2] {
        let quantized = (images as f64 * self.int8_share) as usize;
        let phase = |images: usize, learning_rate| Phase {
            steps: (images / self.batch).max(1),
            batch: self.batch,
            learning_rate,
            weight_decay: self.weight_decay,
            warmup: self.warmup,
            checkpoint_steps: 200,
        };
        [phase(images - quantized, self.learning_rate), phase(quantized, self.int8_learning_rate)]
    }

    /// Images that these phases see: whole batches.
    pub fn seen(&self, images: usize) -> usize {
        self.phases(images).iter().map(super::images).sum()
    }
}
