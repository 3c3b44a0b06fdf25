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

impl StageTable {
    /// The rows with the loss of a scheme and the latency of a target; an error names a column
    /// that is missing or too short.
    pub fn columns(&self, scheme: &str, target: &str) -> Result<ScoreColumns, String> {
        let rows = || self.rows.iter();
        let width = |row: &QualityRow| row.sub_stage.width().unwrap_or_default() as u32;
        Ok(ScoreColumns {
            input_width: rows().map(|row| row.input_width as u32).collect(),
            output_width: rows().map(width).collect(),
            resolution: rows().map(|row| row.resolution as u32).collect(),
            macs: rows().map(|row| row.macs).collect(),
            params: rows().map(|row| row.params).collect(),
            loss: column("loss", scheme, &self.loss, self.rows.len())?,
            latency_ms: column("latency", target, &self.latency_ms, self.rows.len())?,
        })
    }
}

fn column(
    kind: &str,
    name: &str,
    columns: &BTreeMap<String, Vec<f64>>,
    rows: usize,
) -> Result<Vec<f64>, String> {
    let known = columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let values = columns.get(name).ok_or(format!("no {kind} column `{name}`; there is {known}"))?;
    if values.len() != rows {
        return Err(format!("{kind} column `{name}` has {} entries, needs {rows}", values.len()));
    }
    Ok(values.clone())
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

impl QualityTables {
    /// All cells with the loss of a scheme and the latency of a target, for a scorer; an error
    /// names cell and column.
    pub fn columns(
        &self,
        scheme: &str,
        target: &str,
    ) -> Result<BTreeMap<Cell, ScoreColumns>, String> {
        let cells = self.cells.iter().map(|(cell, table)| {
            let columns = table.columns(scheme, target).map_err(|reason| {
                let Cell { stage, block, window } = cell;
                format!("stage {stage}, block {block}, window {window}: {reason}")
            })?;
            Ok((*cell, columns))
        });
        cells.collect()
    }
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
