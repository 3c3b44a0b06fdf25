//! The convolutional block types of the SpaceEvo search spaces and some more, in four operator sets.
//!
//! Each block is one function from a request to a graph (SpaceEvo, arXiv 2303.08308, and its
//! public repository microsoft/Moonlit).

mod fixed;
mod fused;
mod mobilenet;
mod parts;
mod resnet;

use std::sync::Arc;

use spacewright_core::{
    graph::Graph,
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
};

type BlockFn = fn(&BlockRequest) -> Result<Graph, OperatorError>;

struct Block {
    name: &'static str,
    summary: &'static str,
    axes: &'static [&'static str],
    graph: BlockFn,
}

struct Set {
    name: &'static str,
    blocks: &'static [Block],
}

impl OperatorSet for Set {
    fn name(&self) -> &str {
        self.name
    }

    fn block_types(&self) -> Vec<BlockType> {
        let block_type = |block: &Block| BlockType {
            name: block.name.to_owned(),
            summary: block.summary.to_owned(),
            axes: block.axes.iter().map(|axis| (*axis).to_owned()).collect(),
        };
        self.blocks.iter().map(block_type).collect()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let graph = |request: &BlockRequest| {
            let block = self.blocks.iter().find(|block| block.name == request.block);
            let block = block.ok_or_else(|| OperatorError::UnknownBlock {
                block: request.block.clone(),
                known: self.blocks.iter().map(|b| b.name).collect::<Vec<_>>().join(", "),
            })?;
            (block.graph)(request)
        };
        requests.iter().map(graph).collect()
    }
}

/// The four operator sets: fixed parts, MobileNet, ResNet and fused blocks.
pub fn operator_sets() -> Vec<Arc<dyn OperatorSet>> {
    [
        Set { name: "fixed", blocks: fixed::BLOCKS },
        Set { name: "mobilenet", blocks: mobilenet::BLOCKS },
        Set { name: "resnet", blocks: resnet::BLOCKS },
        Set { name: "fused", blocks: fused::BLOCKS },
    ]
    .into_iter()
    .map(|set| Arc::new(set) as Arc<dyn OperatorSet>)
    .collect()
}

spacewright_sdk::register!("operators-cnn", OperatorSets, operator_sets);
