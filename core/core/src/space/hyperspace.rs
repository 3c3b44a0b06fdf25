//! A hyperspace: all candidate search spaces, as data.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::graph::ActivationKind;

/// All candidate search spaces over one macro-architecture. Read from TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyperspace {
    /// First part of encodings; letters, digits and underscores.
    pub name: String,
    /// One sentence.
    #[serde(default)]
    pub summary: String,
    /// Channels of the input image; a study has those of its images.
    pub input_channels: usize,
    /// Output features of the last head block; a study has as many as its images have classes.
    pub classes: usize,
    /// Whether studies keep these channels and classes, and refuse images that have others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fixed_input: bool,
    /// Side lengths of the input that subnets choose from, in pixels.
    pub resolutions: Vec<usize>,
    /// Side lengths at which stages are distilled and quality tables are made.
    pub table_resolutions: Vec<usize>,
    /// Latency in ms of stem and head by resolution, where no table and no target tells it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed_latency_ms: BTreeMap<usize, f64>,
    /// Elastic stages before the first choice of a block type; the same in all spaces.
    #[serde(rename = "stem")]
    pub stem: Vec<StemStage>,
    /// Block types that each stage chooses from; the position is the digit of encodings.
    #[serde(rename = "candidate")]
    pub candidates: Vec<Candidate>,
    /// The stages whose block type and width window make up a space.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// Blocks after the last stage; not elastic, the same in all spaces.
    #[serde(rename = "head")]
    pub head: Vec<HeadBlock>,
}

/// A block type with the choices that a hyperspace allows for its axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the block type in an operator set.
    pub block: String,
    /// The block's non-linearity.
    pub activation: ActivationKind,
    /// Allowed values of each axis, smallest first, in the order of the encoding.
    #[serde(default)]
    pub choices: IndexMap<String, Vec<f64>>,
}

/// An elastic stage of the stem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StemStage {
    /// Name of the stage, first part of its nodes' names.
    pub name: String,
    /// Down-sampling, applied by the first block.
    pub stride: usize,
    /// Allowed widths, smallest first.
    pub widths: Vec<usize>,
    /// Fewest and most blocks.
    pub depths: [usize; 2],
    /// The only block type.
    #[serde(flatten)]
    pub candidate: Candidate,
}

/// A stage whose block type and window are chosen by a space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name of the stage, first part of its nodes' names.
    pub name: String,
    /// Down-sampling, applied by the first block.
    pub stride: usize,
    /// All widths, smallest first.
    pub widths: Vec<usize>,
    /// How many neighbouring widths a space takes: window `w` is `widths[w .. w + window]`.
    pub window: usize,
    /// Fewest and most blocks.
    pub depths: [usize; 2],
}

/// A block of the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadBlock {
    /// Name of the block, first part of its nodes' names.
    pub name: String,
    /// Name of the block type in an operator set.
    pub block: String,
    /// The block's non-linearity.
    pub activation: ActivationKind,
    /// Output channels.
    pub width: usize,
    /// One value for each axis.
    #[serde(default)]
    pub config: IndexMap<String, f64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Hyperspace {
    /// The same for images of so many channels and classes; `None` where it fixes others.
    pub fn for_images(mut self, input_channels: usize, classes: usize) -> Option<Self> {
        if (self.input_channels, self.classes) == (input_channels, classes) {
            return Some(self);
        }
        if self.fixed_input {
            return None;
        }
        (self.input_channels, self.classes) = (input_channels, classes);
        if let Some(last) = self.head.last_mut() {
            last.width = classes;
        }
        Some(self)
    }
}

impl Stage {
    /// How many windows the stage has.
    pub fn windows(&self) -> usize {
        self.widths.len() + 1 - self.window
    }

    /// The widths of one window.
    pub fn window_widths(&self, window: usize) -> &[usize] {
        &self.widths[window..window + self.window]
    }
}

/// One elastic stage of a space, or of the stem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ElasticStage {
    /// Name of the stage.
    pub name: String,
    /// Down-sampling, applied by the first block.
    pub stride: usize,
    /// Allowed output widths of each block, smallest first.
    pub widths: Vec<usize>,
    /// Fewest and most blocks.
    pub depths: [usize; 2],
    /// Block type and choices.
    pub candidate: Candidate,
}

impl Hyperspace {
    /// The elastic stages of the stem.
    pub fn stem_stages(&self) -> Vec<ElasticStage> {
        let stage = |s: &StemStage| ElasticStage {
            name: s.name.clone(),
            stride: s.stride,
            widths: s.widths.clone(),
            depths: s.depths,
            candidate: s.candidate.clone(),
        };
        self.stem.iter().map(stage).collect()
    }

    /// Choice stage `index` with candidate `block`; the widths of `window`, or all of them.
    pub fn choice_stage(&self, index: usize, block: usize, window: Option<usize>) -> ElasticStage {
        let stage = &self.stages[index];
        ElasticStage {
            name: stage.name.clone(),
            stride: stage.stride,
            widths: window.map_or(stage.widths.clone(), |w| stage.window_widths(w).to_vec()),
            depths: stage.depths,
            candidate: self.candidates[block].clone(),
        }
    }

    /// Names of all block types, some more than once.
    pub fn blocks(&self) -> impl Iterator<Item = &str> {
        let stem = self.stem.iter().map(|stage| &stage.candidate.block);
        let candidates = self.candidates.iter().map(|candidate| &candidate.block);
        let head = self.head.iter().map(|head| &head.block);
        stem.chain(candidates).chain(head).map(String::as_str)
    }

    /// All widths that can enter choice stage `index`: those of the stage before it.
    pub fn input_widths(&self, index: usize) -> &[usize] {
        match index.checked_sub(1) {
            Some(before) => &self.stages[before].widths,
            None => &self.stem[self.stem.len() - 1].widths,
        }
    }

    /// Product of the strides of the stem and of the choice stages before `index`: the divisor
    /// from the input's resolution to the feature size that enters the stage.
    pub fn input_stride(&self, index: usize) -> usize {
        self.stem.iter().map(|s| s.stride).product::<usize>()
            * self.stages[..index].iter().map(|s| s.stride).product::<usize>()
    }

    /// Side length of the features that enter choice stage `index`, or the head where `index` is the
    /// number of stages, for images of this side length: rounded up, as each stride does.
    pub fn input_side(&self, index: usize, resolution: usize) -> usize {
        resolution.div_ceil(self.input_stride(index))
    }
}

#[cfg(test)]
mod tests {
    use crate::space::testing;

    #[test]
    fn sides_that_a_stride_does_not_divide_are_rounded_up() {
        let hyperspace = testing::hyperspace();
        let sides = |resolution| [0, 1, 2].map(|stage| hyperspace.input_side(stage, resolution));
        assert_eq!(sides(32), [32, 16, 8]);
        assert_eq!(sides(33), [33, 17, 9]);
    }
}
