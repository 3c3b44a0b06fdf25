//! What tensors of these networks are called.

use super::family::{
    EFFICIENTNET, EFFICIENTNET_LITE, Family, MOBILENET_V2, MOBILENET_V3_LARGE, MOBILENET_V3_SMALL,
};
use crate::tensors::Tensors;

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// timm's: stages of blocks, whose normalizations are counted within the block.
    Timm,
    /// Those of the package `efficientnet_lite_pytorch`: all blocks in one row.
    LitePackage,
}

/// A convolution and its batch normalization.
pub(super) type Pair = (String, String);

/// What the layers of a block are called, whichever of them it has.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Of nodes that have no tensors.
    pub prefix: String,
    pub convolution: Pair,
    pub expand: Pair,
    pub depthwise: Pair,
    pub project: Pair,
    /// Of a block that expands nothing.
    pub depthwise_alone: Pair,
    pub project_alone: Pair,
    pub squeeze: (String, String),
}

impl Block {
    /// Layers that give a block its width, in the order in which they are looked for: what is the last layer
    /// of one kind of block is the first one of another.
    pub(super) fn projections(&self) -> impl Iterator<Item = &Pair> {
        [&self.project, &self.project_alone, &self.convolution].into_iter()
    }
}

impl Names {
    /// Whose names a file has; `None` where it has no stem of these families.
    pub(super) fn of(tensors: &Tensors<'_>) -> Option<Self> {
        [Self::Timm, Self::LitePackage].into_iter().find(|names| {
            let weight = format!("{}.weight", names.stem().0);
            tensors.get(&weight).is_some()
        })
    }

    /// Families that are published with these names.
    pub(super) fn families(self) -> impl Iterator<Item = &'static Family> {
        const TIMM: &[Family] = &[
            MOBILENET_V2,
            EFFICIENTNET,
            EFFICIENTNET_LITE,
            MOBILENET_V3_SMALL,
            MOBILENET_V3_LARGE,
        ];
        const LITE_PACKAGE: &[Family] = &[EFFICIENTNET_LITE];
        match self {
            Self::Timm => TIMM.iter(),
            Self::LitePackage => LITE_PACKAGE.iter(),
        }
    }

    /// The first convolution and its normalization.
    pub(super) fn stem(self) -> (&'static str, &'static str) {
        match self {
            Self::Timm => ("conv_stem", "bn1"),
            Self::LitePackage => ("_conv_stem", "_bn0"),
        }
    }

    /// The last convolution, its normalization, and the classifier.
    pub(super) fn head(self) -> ((&'static str, &'static str), &'static str) {
        match self {
            Self::Timm => (("conv_head", "bn2"), "classifier"),
            Self::LitePackage => (("_conv_head", "_bn1"), "_fc"),
        }
    }

    /// The blocks of a file by stage.
    pub(super) fn stages(self, tensors: &Tensors<'_>) -> Vec<Vec<Block>> {
        match self {
            Self::Timm => {
                let stage = |stage| {
                    let blocks = tensors.count(&format!("blocks.{stage}."));
                    (0..blocks).map(|block| self.block(stage, block)).collect()
                };
                (0..tensors.count("blocks.")).map(stage).collect()
            }
            Self::LitePackage => self.stages_by_width(tensors),
        }
    }

    /// Blocks in a row: a stage ends where the width changes. It does so between all stages of the
    /// published networks.
    fn stages_by_width(self, tensors: &Tensors<'_>) -> Vec<Vec<Block>> {
        let mut stages: Vec<Vec<Block>> = Vec::new();
        let mut last = None;
        for at in 0..tensors.count("_blocks.") {
            let block = self.block(0, at);
            let width = tensors.size(&format!("{}.weight", block.project.0), 0);
            match stages.last_mut() {
                Some(stage) if width == last => stage.push(block),
                _ => stages.push(vec![block]),
            }
            last = width;
        }
        stages
    }

    /// A block of a stage; where all are in one row, `stage` does not matter.
    pub(super) fn block(self, stage: usize, block: usize) -> Block {
        let (prefix, names) = match self {
            Self::Timm => (
                format!("blocks.{stage}.{block}"),
                [
                    ("conv", "bn1"),
                    ("conv_pw", "bn1"),
                    ("conv_dw", "bn2"),
                    ("conv_pwl", "bn3"),
                    ("conv_dw", "bn1"),
                    ("conv_pw", "bn2"),
                    ("se.conv_reduce", "se.conv_expand"),
                ],
            ),
            Self::LitePackage => (
                format!("_blocks.{block}"),
                [
                    ("_conv", "_bn0"),
                    ("_expand_conv", "_bn0"),
                    ("_depthwise_conv", "_bn1"),
                    ("_project_conv", "_bn2"),
                    ("_depthwise_conv", "_bn1"),
                    ("_project_conv", "_bn2"),
                    ("_se_reduce", "_se_expand"),
                ],
            ),
        };
        let [convolution, expand, depthwise, project, depthwise_alone, project_alone, squeeze] =
            names.map(|(conv, norm)| (format!("{prefix}.{conv}"), format!("{prefix}.{norm}")));
        Block {
            prefix,
            convolution,
            expand,
            depthwise,
            project,
            depthwise_alone,
            project_alone,
            squeeze,
        }
    }
}
