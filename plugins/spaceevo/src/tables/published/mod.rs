//! Folders of published tables: one file `<stage>_<block>_<window>.csv` per cell.

mod format;
mod kept;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use spacewright_core::{
    latency::{LatencyQuery, Position, Precision},
    operators::{OperatorError, Operators},
    quality::Cell,
    space::{Hyperspace, stage_graph},
};
use thiserror::Error;

use format::{Counter, read_held, read_published};
pub use format::{PublishedRow, TableError};
pub use kept::read_columns;

use crate::network_parts::stage_input;

/// Why published tables cannot be read or checked.
#[derive(Debug, Error)]
pub enum PublishedError {
    /// A file cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file says something impossible.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The hyperspace, by which kept tables are told apart, cannot be written down.
    #[error("the hyperspace cannot be written as JSON: {0}")]
    Hyperspace(#[from] serde_json::Error),
    /// A row's graph cannot be built.
    #[error("{file}, line {line}: {source}")]
    Graph {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        source: Box<OperatorError>,
    },
}

/// Published tables have no row that could be a row of a stage with a block type.
#[derive(Debug, Error)]
#[error("[tables] published: none of the rows of `{table}` is one of the hyperspace")]
pub struct NoRow {
    /// Name of the stage and block type.
    pub table: String,
}

/// All rows of a hyperspace's tables, cell by cell. `folder` holds the files, or a folder of the
/// hyperspace's name that does.
pub fn read_rows(
    folder: &Path,
    hyperspace: &Hyperspace,
) -> Result<Vec<PublishedRow>, PublishedError> {
    let folder = table_folder(folder, hyperspace);
    let cells: Vec<Cell> = Cell::of_hyperspace(hyperspace).into_iter().collect();
    let read = |cell: &Cell| Ok(read_cell(&folder, hyperspace, *cell)?.1);
    let rows = cells.par_iter().map(read).collect::<Result<Vec<_>, PublishedError>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// Those rows of published tables that are rows of the hyperspace, too, which may hold less: fewer sizes of images, widths,
/// depths or values of an axis. `folder` holds the files, or a folder of the hyperspace's name that does.
pub fn rows_for_tables(
    folder: &Path,
    hyperspace: &Hyperspace,
) -> Result<Vec<PublishedRow>, PublishedError> {
    let folder = table_folder(folder, hyperspace);
    let cells: Vec<Cell> = Cell::of_hyperspace(hyperspace).into_iter().collect();
    let read = |cell: &Cell| {
        let text = read_text(&folder, hyperspace, *cell)?;
        Ok(read_held(&shown(&folder, hyperspace, *cell), &text, hyperspace, *cell)?)
    };
    let rows = cells.par_iter().map(read).collect::<Result<Vec<Vec<_>>, PublishedError>>()?;
    Ok(rows.into_iter().flatten().collect())
}

fn table_folder(folder: &Path, hyperspace: &Hyperspace) -> PathBuf {
    let inner = folder.join(&hyperspace.name);
    if inner.is_dir() { inner } else { folder.to_owned() }
}

fn read_cell(
    folder: &Path,
    hyperspace: &Hyperspace,
    cell: Cell,
) -> Result<(String, Vec<PublishedRow>), PublishedError> {
    let file = file_of(hyperspace, cell);
    let text = read_text(folder, hyperspace, cell)?;
    let rows = read_published(&shown(folder, hyperspace, cell), &text, hyperspace, cell)?;
    Ok((file, rows))
}

fn file_of(hyperspace: &Hyperspace, cell: Cell) -> String {
    let stage = &hyperspace.stages[cell.stage].name;
    format!("{stage}_{}_{}.csv", cell.block, cell.window)
}

/// A cell's file in messages: with its folder, as several may hold the same names.
fn shown(folder: &Path, hyperspace: &Hyperspace, cell: Cell) -> String {
    folder.join(file_of(hyperspace, cell)).display().to_string()
}

/// A cell's file, but for the byte-order mark that some editors put at its start.
fn read_text(folder: &Path, hyperspace: &Hyperspace, cell: Cell) -> Result<String, PublishedError> {
    let path = folder.join(file_of(hyperspace, cell));
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| PublishedError::File { path, source })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A row's graph, with the latency that was published for it.
#[derive(Debug, Clone, PartialEq)]
pub struct RowLatency {
    /// The row's sub-stage, inside a network, in integers.
    pub query: LatencyQuery,
    /// Widths of the sub-stage's blocks, after that of its input.
    pub widths: Vec<usize>,
    /// As published.
    pub ms: f64,
}

/// The latencies of one cell, in the order of its rows. `folder` holds the
/// files, or a folder of the hyperspace's name that does.
pub fn row_latencies(
    folder: &Path,
    hyperspace: &Hyperspace,
    operators: &Operators,
    cell: Cell,
) -> Result<Vec<RowLatency>, PublishedError> {
    let (file, rows) = read_cell(&table_folder(folder, hyperspace), hyperspace, cell)?;
    let stage = hyperspace.choice_stage(cell.stage, cell.block, Some(cell.window));
    let latency = |published: PublishedRow| {
        let PublishedRow { line, row, latency_ms, .. } = published;
        let input = stage_input(hyperspace, row.stage, row.input_width, row.resolution);
        let graph = stage_graph(operators, &stage, &row.sub_stage, input).map_err(|error| {
            PublishedError::Graph { file: file.clone(), line, source: Box::new(error) }
        })?;
        let widths = row.sub_stage.blocks.iter().map(|block| block.width);
        Ok(RowLatency {
            query: LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside },
            widths: std::iter::once(row.input_width).chain(widths).collect(),
            ms: latency_ms,
        })
    };
    rows.into_iter().map(latency).collect()
}

/// A printed figure that differs from the count of the row's graph.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Mismatch {
    /// File of the row.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Which figure.
    pub figure: &'static str,
    /// In millions, as printed.
    pub printed: f64,
    /// Of the graph; three scalars per convolution included for parameters.
    pub counted: u64,
}

/// How many rows agree with the counts of their graphs.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct TableCheck {
    /// Files read.
    pub files: usize,
    /// Rows read.
    pub rows: usize,
    /// Rows whose multiply-adds agree, up to printing and accumulated rounding.
    pub macs_equal: usize,
    /// Rows whose parameters agree, likewise.
    pub params_equal: usize,
    /// All that differ, in the order of files and lines.
    pub mismatches: Vec<Mismatch>,
}

/// Compares every row of a folder of published tables with the counts of its graph.
pub fn check_tables(
    folder: &Path,
    hyperspace: &Hyperspace,
    operators: &Operators,
) -> Result<TableCheck, PublishedError> {
    let folder = table_folder(folder, hyperspace);
    let cells: Vec<Cell> = Cell::of_hyperspace(hyperspace).into_iter().collect();
    // Cells of one stage and block share most of their blocks.
    let groups: Vec<&[Cell]> =
        cells.chunk_by(|a, b| (a.stage, a.block) == (b.stage, b.block)).collect();
    let checks: Vec<TableCheck> = groups
        .par_iter()
        .map(|cells| check_cells(&folder, hyperspace, operators, cells))
        .collect::<Result<_, _>>()?;
    Ok(checks.into_iter().fold(TableCheck::default(), |mut sum, check| {
        sum.files += check.files;
        sum.rows += check.rows;
        sum.macs_equal += check.macs_equal;
        sum.params_equal += check.params_equal;
        sum.mismatches.extend(check.mismatches);
        sum
    }))
}

fn check_cells(
    folder: &Path,
    hyperspace: &Hyperspace,
    operators: &Operators,
    cells: &[Cell],
) -> Result<TableCheck, PublishedError> {
    let mut check = TableCheck::default();
    let Some(first) = cells.first() else { return Ok(check) };
    let mut counter = Counter::new(operators, hyperspace, first.stage, first.block);
    for cell in cells {
        let (file, rows) = read_cell(folder, hyperspace, *cell)?;
        check.files += 1;
        check.rows += rows.len();
        for row in &rows {
            let line = row.line;
            let counts = counter.counts(&row.row).map_err(|source| PublishedError::Graph {
                file: file.clone(),
                line,
                source: Box::new(source),
            })?;
            let mut judge = |agrees: bool, figure, printed, counted| {
                if !agrees {
                    let file = file.clone();
                    check.mismatches.push(Mismatch { file, line, figure, printed, counted });
                }
                usize::from(agrees)
            };
            let params = counts.params + 3 * counts.convolutions;
            let macs_equal = judge(counts.macs_agree(row), "macs", row.macs_m, counts.macs);
            let params_equal = judge(counts.params_agree(row), "params", row.params_m, params);
            check.macs_equal += macs_equal;
            check.params_equal += params_equal;
        }
    }
    Ok(check)
}
