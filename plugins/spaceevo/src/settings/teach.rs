//! `[teach]`

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Transform,
    graph::ActivationKind,
    study::{Reference, Referred, Section},
    train::Phase,
};

use super::phase;

/// The teacher: a network with the hyperspace's stages and strides, or one from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct TeachSettings {
    /// Block type of all its stages.
    #[default = "fused-mbconv-res"]
    pub block: String,
    /// Non-linearity of its blocks.
    #[default(ActivationKind::Relu)]
    pub activation: ActivationKind,
    /// A value for each axis of the block type.
    #[default(IndexMap::from([("kernel".to_owned(), 3.0), ("expand".to_owned(), 2.0)]))]
    pub config: IndexMap<String, f64>,
    /// Output width of its stem; 0: the hyperspace's largest.
    pub stem_width: usize,
    /// Folder of a trained network, relative to the study, as `spacewright model import` makes it, or `teacher` of
    /// another run: it teaches. Empty: a network of the study's own is trained.
    pub model: String,
    /// Nodes of `model` whose results leave its stem and each of its stages, by name; empty: found by their sizes.
    pub stages: Vec<String>,
    /// How `model` is trained on the study's images; none: it stays as it is, unless its classes are others than
    /// those of the images. Then it has a new last layer, and is trained for 600 steps of 64 images at a rate of
    /// 0.02.
    pub finetune: Option<Phase>,
    /// Learning rate of each stage of `model` as a share of that of the stage behind it.
    #[default = 0.7]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub stage_rate: f64,
    /// Output width of each stage; empty: twice the hyperspace's largest.
    pub widths: Vec<usize>,
    /// Blocks of each stage; empty: the hyperspace's largest.
    pub depths: Vec<usize>,
    /// How it is trained.
    #[default(phase(5000, 64, 0.1, 1e-4))]
    pub phase: Phase,
    /// Transforms of its images; none: `augment` of `[data]`.
    pub augment: Vec<Transform>,
    /// Share of the label that is spread over all classes.
    #[default = 0.05]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Training images whose features are kept.
    #[default = 4096]
    #[schemars(range(min = 1))]
    pub distil_images: usize,
    /// Held-out images whose features are kept.
    #[default = 1024]
    #[schemars(range(min = 1))]
    pub judge_images: usize,
}

impl Section for TeachSettings {
    const NAME: &'static str = "teach";

    fn augment(&self) -> &[Transform] {
        &self.augment
    }

    fn references(&self) -> Vec<Reference> {
        vec![
            Reference::new("block", Referred::Block(self.block.clone())),
            Reference::new("model", Referred::Network(self.model.clone())),
        ]
    }
}

impl TeachSettings {
    /// Block type of the teacher; none where it is a network from outside.
    pub fn own_block(&self) -> Option<&str> {
        self.model.is_empty().then_some(&self.block)
    }

    /// How a network from outside is trained, whose last layer is new or not.
    pub fn finetuned(&self, is_new: bool) -> Option<Phase> {
        let phase = || Phase { warmup: 0.1, ..phase(600, 64, 0.02, 1e-4) };
        self.finetune.clone().or_else(|| is_new.then(phase))
    }
}
