//! Largest, smallest and random members of stages and spaces.

use rand::{Rng, seq::IndexedRandom};

use super::{BlockChoice, Candidate, ElasticStage, SubStage, Subnet};
use crate::operators::BlockConfig;

impl Candidate {
    fn config(&self, mut pick: impl FnMut(&[f64]) -> Option<f64>) -> BlockConfig {
        let choice = |(axis, values): (&String, &Vec<f64>)| Some((axis.clone(), pick(values)?));
        BlockConfig(self.choices.iter().filter_map(choice).collect())
    }

    /// The configuration with the last value of every axis.
    pub fn largest(&self) -> BlockConfig {
        self.config(|values| values.last().copied())
    }

    /// The configuration with the first value of every axis.
    pub fn smallest(&self) -> BlockConfig {
        self.config(|values| values.first().copied())
    }

    /// A configuration whose values are drawn uniformly and independently.
    pub fn random(&self, rng: &mut impl Rng) -> BlockConfig {
        self.config(|values| values.choose(rng).copied())
    }
}

impl BlockChoice {
    /// Width and configuration drawn uniformly.
    pub fn random(stage: &ElasticStage, rng: &mut impl Rng) -> Self {
        let width = stage.widths[rng.random_range(0..stage.widths.len())];
        Self { width, config: stage.candidate.random(rng) }
    }
}

impl SubStage {
    /// Every block as large as the stage allows, at the largest depth.
    pub fn largest(stage: &ElasticStage) -> Self {
        let width = stage.widths[stage.widths.len() - 1];
        let block = BlockChoice { width, config: stage.candidate.largest() };
        Self { blocks: vec![block; stage.depths[1]] }
    }

    /// Every block as small as the stage allows, at the smallest depth.
    pub fn smallest(stage: &ElasticStage) -> Self {
        let block = BlockChoice { width: stage.widths[0], config: stage.candidate.smallest() };
        Self { blocks: vec![block; stage.depths[0]] }
    }

    /// Depth drawn uniformly, then every block.
    pub fn random(stage: &ElasticStage, rng: &mut impl Rng) -> Self {
        let depth = rng.random_range(stage.depths[0]..=stage.depths[1]);
        Self { blocks: (0..depth).map(|_| BlockChoice::random(stage, rng)).collect() }
    }

    /// Output width.
    pub fn width(&self) -> Option<usize> {
        self.blocks.last().map(|block| block.width)
    }
}

impl Subnet {
    /// The largest sub-stages at the largest of `resolutions`.
    pub fn largest(stages: &[ElasticStage], resolutions: &[usize]) -> Self {
        let resolution = resolutions.iter().max().copied().unwrap_or_default();
        Self { stages: stages.iter().map(SubStage::largest).collect(), resolution }
    }

    /// The smallest sub-stages at the smallest of `resolutions`.
    pub fn smallest(stages: &[ElasticStage], resolutions: &[usize]) -> Self {
        let resolution = resolutions.iter().min().copied().unwrap_or_default();
        Self { stages: stages.iter().map(SubStage::smallest).collect(), resolution }
    }

    /// Random sub-stages at one of `resolutions`, drawn uniformly.
    pub fn random(stages: &[ElasticStage], resolutions: &[usize], rng: &mut impl Rng) -> Self {
        let resolution = resolutions.choose(rng).copied().unwrap_or_default();
        Self {
            stages: stages.iter().map(|stage| SubStage::random(stage, rng)).collect(),
            resolution,
        }
    }
}
