//! Teachers: networks of any graph, whose stages others learn from.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;
use crate::{data::Transform, graph::Graph};

/// Trains a teacher, or judges one that is trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TeachJob {
    /// The whole network, from images of the side that it is trained at to logits.
    pub graph: Graph,
    /// What its weights are at first.
    pub start: TeacherStart,
    /// How it is trained; none: its weights stay as they are at first.
    pub phase: Option<Phase>,
    /// Transforms of the images, without normalization; none: those of the study.
    pub augment: Vec<Transform>,
    /// Share of the label that is spread over all classes.
    pub label_smoothing: f64,
}

/// What a teacher's weights are before it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherStart {
    /// Drawn at random.
    Random,
    /// Those of a trained network.
    Trained {
        /// A file with all weights, and the statistics of batch normalizations as `<node>.mean` and `<node>.var`.
        weights: PathBuf,
        /// Nodes whose weights are random all the same: they are not those of the file's network.
        new_nodes: Vec<String>,
        /// Learning rates of nodes' weights, as shares of the phase's; of other nodes they are the phase's.
        rates: BTreeMap<String, f64>,
    },
}

/// Shares of images that a network classifies correctly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accuracies {
    /// Share of held-out images.
    pub held_out: f64,
    /// Share of test images.
    pub test: f64,
}

/// What a teacher achieves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TeachReport {
    /// As it teaches.
    pub accuracies: Accuracies,
    /// Before it was trained; none where its weights were random.
    pub before: Option<Accuracies>,
    /// Loss at the end, averaged over the last steps; none where nothing was trained.
    pub loss: Option<f64>,
}

/// A trained teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Teacher {
    /// The whole network. It computes images of other sides, too.
    pub graph: Graph,
    /// Names of the nodes whose results leave its stages: what the first choice stage reads, then what each choice
    /// stage gives.
    pub ends: Vec<String>,
    /// Weights written by [`Trainer::teach`](super::Trainer::teach).
    pub weights: PathBuf,
}

impl Teacher {
    /// Side of the images that its logits are asked of, in pixels.
    pub fn side(&self) -> usize {
        self.graph.input.height
    }
}
