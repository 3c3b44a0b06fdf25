//! `[teach]`

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::Transform,
    graph::ActivationKind,
    study::{FieldError, Reference, Referred, Section},
    train::Phase,
};

use super::phase;

/// The teacher: a graph with the hyperspace's stages and strides.
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
    /// File of a trained teacher of this shape, `teacher.safetensors` of another run, relative to
    /// the study; empty: train it.
    pub weights: String,
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

    fn check(&self) -> Result<(), FieldError> {
        super::checked_augment::<Self>(&self.augment)
    }

    fn references(&self) -> Vec<Reference> {
        vec![
            Reference::new("block", Referred::Block(self.block.clone())),
            Reference::new("weights", Referred::File(self.weights.clone())),
        ]
    }
}

impl TeachSettings {
    /// Images that its training sees.
    pub fn images(&self) -> usize {
        if self.weights.is_empty() { super::images(&self.phase) } else { 0 }
    }
}
