//! Reads the block-wise look-up tables that SpaceEvo published (arXiv 2303.08308, public
//! repository microsoft/Moonlit).
//!
//! One file per cell, without a header. Columns: sub-stage (`kernel#width#expand` per block,
//! joined by `_`), shape of the stage's input (`1x<channels>x<height>x<width>`), loss (noise to
//! signal ratio), multiply-adds in millions, parameters in millions (three scalars per
//! convolution for its quantizers included), latency in ms. Numbers have four decimals.

use std::collections::HashMap;

use spacewright_core::{
    graph::Shape,
    operators::{BlockRequest, OperatorError, Operators},
    quality::{Cell, RowFigures, ScoreColumns, TableRow},
    space::{BlockChoice, ElasticStage, Hyperspace, SubStage},
};
use thiserror::Error;

use crate::network_parts::stage_input;

/// What is wrong with a table, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, line {line}, {field}: {reason}")]
pub struct TableError {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The column.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// A row of a published table with its figures as they are printed.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedRow {
    /// Its line, counted from 1.
    pub line: usize,
    /// The sub-stage.
    pub row: TableRow,
    /// Noise-to-signal ratio.
    pub loss: f64,
    /// Multiply-adds, in millions.
    pub macs_m: f64,
    /// Parameters with three scalars per convolution, in millions.
    pub params_m: f64,
    /// Milliseconds.
    pub latency_ms: f64,
}

const COLUMNS: [&str; 6] = ["sub-stage", "input shape", "loss", "macs", "params", "latency"];

/// Reads the table of a cell, all of whose rows must be rows of the hyperspace; `file` names it in errors.
pub fn read_published(
    file: &str,
    text: &str,
    hyperspace: &Hyperspace,
    cell: Cell,
) -> Result<Vec<PublishedRow>, TableError> {
    let rows = read(text, hyperspace, cell);
    rows.map(|(line, row)| row.map_err(|fault| fault.at(file, line))).collect()
}

/// Reads those rows of the table of a cell that are rows of the hyperspace, which may hold less than the tables; `file`
/// names it in errors.
pub fn read_held(
    file: &str,
    text: &str,
    hyperspace: &Hyperspace,
    cell: Cell,
) -> Result<Vec<PublishedRow>, TableError> {
    let rows = read(text, hyperspace, cell)
        .filter(|(_, row)| !row.as_ref().is_err_and(|fault| fault.is_no_choice));
    rows.map(|(line, row)| row.map_err(|fault| fault.at(file, line))).collect()
}

/// What is wrong with a row.
struct Fault {
    column: &'static str,
    reason: String,
    /// It can be read; the hyperspace has no such sub-stage, input width or size of images.
    is_no_choice: bool,
}

impl Fault {
    fn unreadable(column: &'static str, reason: String) -> Self {
        Self { column, reason, is_no_choice: false }
    }

    fn no_choice(column: &'static str, reason: String) -> Self {
        Self { column, reason, is_no_choice: true }
    }

    fn at(self, file: &str, line: usize) -> TableError {
        TableError { file: file.to_owned(), line, field: self.column, reason: self.reason }
    }
}

/// The rows of a table, each with its line, counted from 1.
fn read(
    text: &str,
    hyperspace: &Hyperspace,
    cell: Cell,
) -> impl Iterator<Item = (usize, Result<PublishedRow, Fault>)> {
    let stage = hyperspace.choice_stage(cell.stage, cell.block, Some(cell.window));
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(index, text)| {
        let line = index + 1;
        (line, read_row((line, text.trim()), hyperspace, cell, &stage))
    })
}

fn read_row(
    (line, text): (usize, &str),
    hyperspace: &Hyperspace,
    cell: Cell,
    elastic: &ElasticStage,
) -> Result<PublishedRow, Fault> {
    let fields: Vec<&str> = text.split(',').collect();
    let Ok(fields): Result<[&str; 6], _> = fields.try_into() else {
        let found = text.split(',').count();
        let reason = format!("{found} columns, needs {}", COLUMNS.len());
        return Err(Fault::unreadable("row", reason));
    };
    let number = |column: usize| {
        let value: Option<f64> = fields[column].trim().parse().ok();
        value.filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(|| {
            let reason = format!("`{}` is not a number from 0", fields[column]);
            Fault::unreadable(COLUMNS[column], reason)
        })
    };
    let figures = [number(2)?, number(3)?, number(4)?, number(5)?];
    let sub_stage = SubStage::parse(fields[0], elastic).map_err(|error| {
        let fault = if error.is_no_choice() { Fault::no_choice } else { Fault::unreadable };
        fault(COLUMNS[0], error.to_string())
    })?;
    let (input_width, resolution) = read_shape(fields[1], hyperspace, cell.stage)?;
    let Cell { stage, block, window } = cell;
    Ok(PublishedRow {
        line,
        row: TableRow { stage, block, window, input_width, resolution, sub_stage },
        loss: figures[0],
        macs_m: figures[1],
        params_m: figures[2],
        latency_ms: figures[3],
    })
}

/// Width of a stage's input, and the size of images for which it has this size.
fn read_shape(text: &str, hyperspace: &Hyperspace, index: usize) -> Result<(usize, usize), Fault> {
    let shape = text.trim().strip_prefix("1x").and_then(|shape| shape.parse::<Shape>().ok());
    let Some(shape) = shape.filter(|shape| shape.height == shape.width) else {
        let reason = format!("`{text}` is not a shape like 1x24x56x56");
        return Err(Fault::unreadable(COLUMNS[1], reason));
    };
    let no_choice = |reason| Err(Fault::no_choice(COLUMNS[1], reason));
    let widths = hyperspace.input_widths(index);
    if !widths.contains(&shape.channels) {
        return no_choice(format!("{} channels; allowed are {widths:?}", shape.channels));
    }
    let resolutions = &hyperspace.table_resolutions;
    let side = |resolution: &usize| hyperspace.input_side(index, *resolution);
    let Some(resolution) = resolutions.iter().find(|resolution| side(resolution) == shape.height)
    else {
        let sides: Vec<usize> = resolutions.iter().map(side).collect();
        return no_choice(format!("{} pixels; allowed are {sides:?}", shape.height));
    };
    Ok((shape.channels, *resolution))
}

/// The columns of a table. Multiply-adds and parameters are as printed (to a hundred; quantizer
/// scalars included).
pub fn columns(rows: &[PublishedRow]) -> ScoreColumns {
    let mut columns = ScoreColumns::default();
    for PublishedRow { row, loss, macs_m, params_m, latency_ms, .. } in rows {
        let (macs, params) = ((macs_m * 1e6).round() as u64, (params_m * 1e6).round() as u64);
        columns.push(row, RowFigures { macs, params, loss: *loss, latency_ms: *latency_ms });
    }
    columns
}

/// Exact counts of a sub-stage's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars, without those of quantizers.
    pub params: u64,
    /// Convolutions.
    pub convolutions: u64,
}

impl Counts {
    /// Whether the printed multiply-adds are these, up to printing and accumulated rounding.
    pub fn macs_agree(&self, row: &PublishedRow) -> bool {
        agree(self.macs, row.macs_m)
    }

    /// Whether the printed parameters are these with three scalars per convolution.
    pub fn params_agree(&self, row: &PublishedRow) -> bool {
        agree(self.params + 3 * self.convolutions, row.params_m)
    }
}

/// Half a unit of the fourth decimal, and a relative 1e-6 for sums in single precision.
fn agree(exact: u64, printed_millions: f64) -> bool {
    let exact = exact as f64 / 1e6;
    (exact - printed_millions).abs() <= 5e-5 + 1e-6 * exact
}

type BlockKey = (usize, usize, usize, bool, Vec<u64>);

/// Counts sub-stages of one stage from the graphs of their blocks, each built once.
pub struct Counter<'a> {
    operators: &'a Operators,
    hyperspace: &'a Hyperspace,
    stage: ElasticStage,
    blocks: HashMap<BlockKey, (Counts, Shape)>,
}

impl<'a> Counter<'a> {
    /// For choice stage `stage` with candidate `block`.
    pub fn new(
        operators: &'a Operators,
        hyperspace: &'a Hyperspace,
        stage: usize,
        block: usize,
    ) -> Self {
        Self {
            operators,
            hyperspace,
            stage: hyperspace.choice_stage(stage, block, None),
            blocks: HashMap::new(),
        }
    }

    /// Counts of a row's sub-stage.
    pub fn counts(&mut self, row: &TableRow) -> Result<Counts, OperatorError> {
        let mut shape = stage_input(self.hyperspace, row.stage, row.input_width, row.resolution);
        let mut sum = Counts::default();
        for (index, choice) in row.sub_stage.blocks.iter().enumerate() {
            let (block, output) = self.block(shape, index == 0, choice)?;
            sum.macs += block.macs;
            sum.params += block.params;
            sum.convolutions += block.convolutions;
            shape = output;
        }
        Ok(sum)
    }

    fn block(
        &mut self,
        input: Shape,
        first: bool,
        choice: &BlockChoice,
    ) -> Result<(Counts, Shape), OperatorError> {
        let axes = self.stage.candidate.choices.keys();
        let config = axes.filter_map(|axis| choice.config.get(axis)).map(f64::to_bits).collect();
        let key = (input.channels, input.height, choice.width, first, config);
        if let Some(known) = self.blocks.get(&key) {
            return Ok(*known);
        }
        let request = BlockRequest {
            block: self.stage.candidate.block.clone(),
            input,
            out_channels: choice.width,
            stride: if first { self.stage.stride } else { 1 },
            activation: self.stage.candidate.activation,
            config: choice.config.clone(),
        };
        let graph = self.operators.graph(&request)?;
        let fault = |source| OperatorError::Graph { block: request.block.clone(), source };
        let counts = Counts {
            macs: graph.macs().map_err(fault)?,
            params: graph.params().map_err(fault)?,
            convolutions: graph.convolutions() as u64,
        };
        let output = graph.output_shape().map_err(fault)?;
        self.blocks.insert(key, (counts, output));
        Ok((counts, output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two choice stages and two candidates.
    fn hyperspace() -> Hyperspace {
        toml::from_str(
            r#"
            name = "toy"
            input_channels = 1
            classes = 10
            resolutions = [32]
            table_resolutions = [32]
            stem = []
            head = []
            candidate = [
                { block = "plain", activation = "relu", choices = { kernel = [3, 5] } },
                { block = "wide", activation = "relu", choices = { kernel = [3, 5], expand = [0.5, 1.0] } },
            ]
            stage = [
                { name = "stage1", stride = 2, widths = [16, 24, 32], window = 2, depths = [1, 2] },
                { name = "stage2", stride = 2, widths = [24, 32, 40], window = 2, depths = [1, 3] },
            ]
            "#,
        )
        .unwrap()
    }

    const CELL: Cell = Cell { stage: 1, block: 1, window: 0 };

    #[test]
    fn rows_are_read() {
        let hyperspace = hyperspace();
        let text = "3#24#0.5_5#32#1.0,1x16x16x16,0.4557,19.6690,0.0069,1.5004\n";
        let rows = read_published("t.csv", text, &hyperspace, CELL).unwrap();
        assert_eq!((rows[0].row.input_width, rows[0].row.resolution), (16, 32));
        let columns = columns(&rows);
        assert_eq!((columns.macs[0], columns.output_width[0]), (19_669_000, 32));
        assert_eq!((columns.latency_ms[0], columns.loss[0]), (1.5004, 0.4557));
    }

    #[test]
    fn the_size_of_images_is_that_whose_features_have_the_size_of_the_input() {
        let mut hyperspace = hyperspace();
        hyperspace.table_resolutions = vec![33, 37];
        let row = |side: usize| format!("3#24#0.5,1x16x{side}x{side},0.4,19.6,0.0,1.5\n");
        let resolution = |side: usize| {
            let rows = read_published("t.csv", &row(side), &hyperspace, CELL);
            rows.map(|rows| rows[0].row.resolution).map_err(|error| error.reason)
        };
        assert_eq!((resolution(17), resolution(19)), (Ok(33), Ok(37)));
        assert_eq!(resolution(16), Err("16 pixels; allowed are [17, 19]".to_owned()));
    }

    #[test]
    fn faults_are_named_with_file_line_and_field() {
        let hyperspace = hyperspace();
        let good = "3#24#0.5,1x16x16x16,0.4,19.6,0.0,1.5";
        for (row, message) in [
            ("3#24#0.5,1x16x16x16", "row: 2 columns, needs 6"),
            (
                "3#99#0.5,1x16x16x16,0.4,19.6,0.0,1.5",
                "sub-stage: `3#99#0.5`: width, position 1: found `99`, allowed: 24, 32",
            ),
            (
                "3#24#0.5,16x16x16,0.4,19.6,0.0,1.5",
                "input shape: `16x16x16` is not a shape like 1x24x56x56",
            ),
            (
                "3#24#0.5,1x8x16x16,0.4,19.6,0.0,1.5",
                "input shape: 8 channels; allowed are [16, 24, 32]",
            ),
            ("3#24#0.5,1x16x17x17,0.4,19.6,0.0,1.5", "input shape: 17 pixels; allowed are [16]"),
            ("3#24#0.5,1x16x16x16,nan,19.6,0.0,1.5", "loss: `nan` is not a number from 0"),
            ("3#24#0.5,1x16x16x16,0.4,19.6,0.0,-1", "latency: `-1` is not a number from 0"),
        ] {
            let text = format!("{good}\n{row}\n");
            let error = read_published("t.csv", &text, &hyperspace, CELL).unwrap_err();
            assert_eq!(error.to_string(), format!("t.csv, line 2, {message}"));
        }
    }

    #[test]
    fn rows_that_a_smaller_hyperspace_has_not_are_left_out_but_not_nonsense() {
        let hyperspace = hyperspace();
        let figures = "0.4,19.6,0.0,1.5";
        let text = [
            format!("3#24#0.5,1x16x16x16,{figures}"),
            format!("7#24#0.5,1x16x16x16,{figures}"),
            format!("3#99#0.5,1x16x16x16,{figures}"),
            format!("3#24#2,1x16x16x16,{figures}"),
            format!("3#24#0.5_3#24#0.5_3#24#0.5_3#24#0.5,1x16x16x16,{figures}"),
            format!("3#24#0.5,1x8x16x16,{figures}"),
            format!("3#24#0.5,1x16x20x20,{figures}"),
            format!("5#32#1.0,1x24x16x16,{figures}"),
        ]
        .join("\n");
        let rows = read_held("t.csv", &text, &hyperspace, CELL).unwrap();
        assert_eq!(rows.iter().map(|row| row.row.input_width).collect::<Vec<_>>(), [16, 24]);
        for row in
            ["3#24,1x16x16x16", "3#wide#0.5,1x16x16x16", "3#24#None,1x16x16x16", "3#24#0.5,16"]
        {
            let text = format!("{row},{figures}\n");
            assert!(read_held("t.csv", &text, &hyperspace, CELL).is_err(), "{row}");
        }
    }
}
