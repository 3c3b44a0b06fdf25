//! Quality tables: sampled sub-stages with their loss and their latency on each target.

mod published;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use published::{
    Counter, Counts, PublishedRow, TableError, read_published, table_of_published,
};

use crate::{
    graph::GraphHash,
    space::{Space, SubStage},
};

/// One sampled sub-stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityRow {
    /// Width of the stage's input.
    pub input_width: usize,
    /// Side of the *network's* input image, in pixels.
    pub resolution: usize,
    /// The blocks.
    pub sub_stage: SubStage,
    /// Hash of the sub-stage's graph.
    pub graph: GraphHash,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
}

/// Which table: a choice stage with one block type and one width window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// Index of the choice stage, from 0.
    pub stage: usize,
    /// Index of the candidate.
    pub block: usize,
    /// Index of the width window.
    pub window: usize,
}

impl Cell {
    /// The cells that a space is made of, by stage.
    pub fn of_space(space: &Space) -> impl Iterator<Item = Self> + '_ {
        let choices = space.blocks.iter().zip(&space.windows).enumerate();
        choices.map(|(stage, (&block, &window))| Self { stage, block, window })
    }
}

/// The rows of one cell. Losses and latencies are columns: one entry per row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageTable {
    /// Sampled sub-stages.
    pub rows: Vec<QualityRow>,
    /// Noise-to-signal ratio, by the name of the quantization scheme.
    pub loss: BTreeMap<String, Vec<f64>>,
    /// Milliseconds, by the name of the target.
    pub latency_ms: BTreeMap<String, Vec<f64>>,
}

/// The tables of a hyperspace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QualityTables {
    /// By cell.
    pub cells: BTreeMap<Cell, StageTable>,
}

/// Latency of what no quality table holds: stem and head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixedLatency {
    /// Milliseconds of stem and head together, by resolution: the same for every subnet.
    PerResolution(BTreeMap<usize, f64>),
    /// Predicted for each subnet.
    Predicted {
        /// Sub-stages of the whole stem, each as likely as the next.
        stem: Vec<StemRow>,
        /// Milliseconds of the head by width of its input and resolution.
        head: Vec<HeadRow>,
    },
}

/// One choice of all stem stages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StemRow {
    /// Output width of the stem.
    pub width: usize,
    /// Side of the input image.
    pub resolution: usize,
    /// Milliseconds of all stem stages.
    pub latency_ms: f64,
}

/// The head behind one width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadRow {
    /// Input width of the head.
    pub width: usize,
    /// Side of the network's input image.
    pub resolution: usize,
    /// Milliseconds of the whole head.
    pub latency_ms: f64,
}

/// How rows of neighbouring stages are combined into subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Composition {
    /// A row's input width is the width that the stage before it reached.
    #[default]
    Consistent,
    /// Every stage's row is drawn on its own, as published.
    Independent,
}
