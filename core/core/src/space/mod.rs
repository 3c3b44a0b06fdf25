//! Hyperspaces, search spaces and subnets.

pub mod codec;
mod count;
mod halves;
mod hyperspace;
mod network;
mod sample;
#[cfg(test)]
pub(crate) mod testing;
mod validate;
mod vary;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use codec::EncodingError;
pub use halves::Halves;
pub use hyperspace::{Candidate, ElasticStage, HeadBlock, Hyperspace, Stage, StemStage};
pub use network::{
    Segment, head_segments, network, stage_blocks, stage_blocks_batch, stage_graph,
    stage_graph_batch, subnet_segments,
};
pub use validate::HyperspaceError;
pub use vary::{MutationRates, retry};

use crate::operators::BlockConfig;

/// A search space: one block type and one width window per choice stage.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Space {
    /// Name of the hyperspace.
    pub hyperspace: String,
    /// For each choice stage, the index of its block type among the hyperspace's candidates.
    pub blocks: Vec<usize>,
    /// For each choice stage, the index of its window of widths.
    pub windows: Vec<usize>,
}

impl Space {
    /// All elastic stages of the space: the stem's, then the choice stages.
    pub fn elastic_stages(&self, hyperspace: &Hyperspace) -> Vec<ElasticStage> {
        let mut stages = hyperspace.stem_stages();
        for (index, (&block, &window)) in self.blocks.iter().zip(&self.windows).enumerate() {
            stages.push(hyperspace.choice_stage(index, block, Some(window)));
        }
        stages
    }
}

/// Width and configuration of one block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockChoice {
    /// Output channels.
    pub width: usize,
    /// A value for each axis.
    pub config: BlockConfig,
}

/// The blocks of one stage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubStage {
    /// In order; their number is the stage's depth.
    pub blocks: Vec<BlockChoice>,
}

/// One concrete network of a space: a sub-stage for every elastic stage, stem included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// The stem's stages, then the choice stages.
    pub stages: Vec<SubStage>,
    /// Side of the input image, in pixels.
    pub resolution: usize,
}
