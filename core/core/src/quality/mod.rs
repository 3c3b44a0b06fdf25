//! Quality tables: sampled sub-stages with their loss and their latency.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::space::{Hyperspace, Space, SubStage};

/// A sub-stage that is judged and measured: what stands in a row of a quality table, besides the
/// figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    /// Index of the choice stage, from 0.
    pub stage: usize,
    /// Index of the candidate block type.
    pub block: usize,
    /// Index of the width window that it was drawn for.
    pub window: usize,
    /// Width of the stage's input, in channels.
    pub input_width: usize,
    /// Side of the *network's* input image, in pixels.
    pub resolution: usize,
    /// The blocks.
    pub sub_stage: SubStage,
}

impl TableRow {
    /// The table that the row belongs to.
    pub fn cell(&self) -> Cell {
        Cell { stage: self.stage, block: self.block, window: self.window }
    }
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

    /// The cells of a hyperspace, each once.
    pub fn of_hyperspace(hyperspace: &Hyperspace) -> BTreeSet<Self> {
        let mut cells = BTreeSet::new();
        for (stage, of) in hyperspace.stages.iter().enumerate() {
            for block in 0..hyperspace.candidates.len() {
                cells.extend((0..of.windows()).map(|window| Self { stage, block, window }));
            }
        }
        cells
    }
}

/// The rows of one cell as columns of equal length: what a scorer needs of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreColumns {
    /// Width of the stage's input.
    pub input_width: Vec<u32>,
    /// Width of the stage's output.
    pub output_width: Vec<u32>,
    /// Side of the network's input image, in pixels.
    pub resolution: Vec<u32>,
    /// Multiply-adds for one image.
    pub macs: Vec<u64>,
    /// Trained scalars.
    pub params: Vec<u64>,
    /// Noise-to-signal ratio under one quantization scheme.
    pub loss: Vec<f64>,
    /// Milliseconds on one target.
    pub latency_ms: Vec<f64>,
}

impl ScoreColumns {
    /// The number of rows, where all columns have one entry for each.
    pub fn rows(&self) -> Option<usize> {
        let rows = self.input_width.len();
        let rest = [
            self.output_width.len(),
            self.resolution.len(),
            self.macs.len(),
            self.params.len(),
            self.loss.len(),
            self.latency_ms.len(),
        ];
        rest.iter().all(|column| *column == rows).then_some(rows)
    }
}

impl ScoreColumns {
    /// Adds a row with its figures.
    pub fn push(&mut self, row: &TableRow, figures: RowFigures) {
        let RowFigures { macs, params, loss, latency_ms } = figures;
        self.input_width.push(row.input_width as u32);
        self.output_width.push(row.sub_stage.width().unwrap_or_default() as u32);
        self.resolution.push(row.resolution as u32);
        self.macs.push(macs);
        self.params.push(params);
        self.loss.push(loss);
        self.latency_ms.push(latency_ms);
    }
}

/// The figures of one row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RowFigures {
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// Noise-to-signal ratio.
    pub loss: f64,
    /// Milliseconds.
    pub latency_ms: f64,
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Composition {
    /// A row's input width is the width that the stage before it reached.
    #[default]
    Consistent,
    /// Every stage's row is drawn on its own, as published.
    Independent,
}
