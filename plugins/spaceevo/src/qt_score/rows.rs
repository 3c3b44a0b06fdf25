//! Quality tables as arrays for drawing. Widths and resolutions are indices here: a width's
//! position in its stage's whole list, a resolution's among those of the tables.

use std::{collections::HashMap, ops::Range};

use spacewright_core::{
    quality::{Cell, Composition, FixedLatency, ScoreColumns},
    score::{ScoreError, ScoreProblem},
    space::{Hyperspace, Space},
};

/// What drawing needs of a sampled sub-stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) loss: f64,
    pub(super) latency_ms: f64,
    /// Output width.
    pub(super) width: u32,
}

/// The rows of one cell, sorted by resolution and input width.
pub(super) struct CellRows {
    rows: Vec<Row>,
    /// Where the rows of each resolution and input width are; resolutions outermost.
    ranges: Vec<Range<usize>>,
    input_widths: usize,
}

impl CellRows {
    pub(super) fn at_resolution(&self, resolution: usize) -> &[Row] {
        let first = resolution * self.input_widths;
        let last = first + self.input_widths - 1;
        &self.rows[self.ranges[first].start..self.ranges[last].end]
    }

    pub(super) fn at_input(&self, resolution: usize, width: u32) -> &[Row] {
        &self.rows[self.ranges[resolution * self.input_widths + width as usize].clone()]
    }
}

/// Stem and head at one resolution.
pub(super) struct Fixed {
    /// Index of the resolution.
    pub(super) index: usize,
    /// Stems, each as likely as the next.
    pub(super) stem: Vec<Stem>,
    /// Milliseconds of the head by its input width; not a number where unknown.
    pub(super) head: Vec<f64>,
}

pub(super) struct Stem {
    pub(super) width: u32,
    pub(super) latency_ms: f64,
}

/// All tables of a problem.
pub(super) struct Tables {
    hyperspace: Hyperspace,
    cells: HashMap<Cell, CellRows>,
    /// By resolution.
    pub(super) fixed: Vec<Fixed>,
}

fn error<T>(reason: String) -> Result<T, ScoreError> {
    Err(ScoreError { reason })
}

fn index_of(values: &[usize], value: usize) -> Option<usize> {
    values.iter().position(|v| *v == value)
}

impl Tables {
    pub(super) fn new(problem: &ScoreProblem) -> Result<Self, ScoreError> {
        let hyperspace = problem.hyperspace.clone();
        if hyperspace.table_resolutions.is_empty() || hyperspace.stages.is_empty() {
            return error(format!(
                "hyperspace `{}` has no table resolutions or stages",
                hyperspace.name
            ));
        }
        let cell = |(cell, columns): (&Cell, &ScoreColumns)| {
            let rows = read_cell(problem, *cell, columns).map_err(|reason| ScoreError {
                reason: format!("{}: {reason}", name(&hyperspace, *cell)),
            })?;
            Ok((*cell, rows))
        };
        let cells = problem.cells.iter().map(cell).collect::<Result<_, ScoreError>>()?;
        let resolutions = hyperspace.table_resolutions.iter().enumerate();
        let fixed = resolutions
            .map(|(index, &resolution)| read_fixed(problem, index, resolution))
            .collect::<Result<_, _>>()?;
        Ok(Self { hyperspace, cells, fixed })
    }

    /// The cells of a space that [`check`](Self::check) accepted.
    pub(super) fn cells_of(&self, space: &Space) -> Vec<&CellRows> {
        Cell::of_space(space).map(|cell| &self.cells[&cell]).collect()
    }

    /// Whether every row that drawing can ask for is there.
    pub(super) fn check(&self, space: &Space, composition: Composition) -> Result<(), ScoreError> {
        space.check(&self.hyperspace).map_err(|error| ScoreError { reason: error.to_string() })?;
        if let Some(cell) = Cell::of_space(space).find(|cell| !self.cells.contains_key(cell)) {
            return error(format!(
                "space {space} needs a quality table of {}, which is missing",
                name(&self.hyperspace, cell)
            ));
        }
        self.fixed.iter().try_for_each(|fixed| self.check_resolution(space, composition, fixed))
    }

    fn check_resolution(
        &self,
        space: &Space,
        composition: Composition,
        fixed: &Fixed,
    ) -> Result<(), ScoreError> {
        let resolution = self.hyperspace.table_resolutions[fixed.index];
        let mut reached: Vec<u32> = fixed.stem.iter().map(|stem| stem.width).collect();
        for cell in Cell::of_space(space) {
            let table = &self.cells[&cell];
            reached.sort_unstable();
            reached.dedup();
            let place = || format!("space {space}: {}", name(&self.hyperspace, cell));
            let mut next: Vec<Row> = Vec::new();
            if composition == Composition::Independent {
                next.extend(table.at_resolution(fixed.index));
                if next.is_empty() {
                    return error(format!("{} has no row at resolution {resolution}", place()));
                }
            } else {
                for width in reached {
                    let rows = table.at_input(fixed.index, width);
                    if rows.is_empty() {
                        let width = self.hyperspace.input_widths(cell.stage)[width as usize];
                        return error(format!(
                            "{} has no row of input width {width} at resolution {resolution}",
                            place()
                        ));
                    }
                    next.extend(rows);
                }
            }
            reached = next.iter().map(|row| row.width).collect();
        }
        if let Some(width) = reached.iter().find(|width| fixed.head[**width as usize].is_nan()) {
            let last = &self.hyperspace.stages[self.hyperspace.stages.len() - 1];
            return error(format!(
                "no latency of the head behind width {} at resolution {resolution}",
                last.widths[*width as usize]
            ));
        }
        Ok(())
    }
}

fn name(hyperspace: &Hyperspace, cell: Cell) -> String {
    let stage = hyperspace.stages.get(cell.stage).map_or("?", |stage| &stage.name);
    format!("stage `{stage}`, block {}, window {}", cell.block, cell.window)
}

fn read_cell(
    problem: &ScoreProblem,
    cell: Cell,
    columns: &ScoreColumns,
) -> Result<CellRows, String> {
    let hyperspace = &problem.hyperspace;
    let resolutions = &hyperspace.table_resolutions;
    let Some(stage) = hyperspace.stages.get(cell.stage) else {
        return Err(format!("hyperspace `{}` has no such stage", hyperspace.name));
    };
    let widths = hyperspace.input_widths(cell.stage);
    let rows = columns.rows().ok_or("columns of different lengths")?;
    let mut groups: Vec<Vec<Row>> = vec![Vec::new(); resolutions.len() * widths.len()];
    for at in 0..rows {
        let place = |what: &str, value: u32, known: &[usize]| {
            index_of(known, value as usize)
                .ok_or_else(|| format!("row {}: {what} {value} is not of the hyperspace", at + 1))
        };
        let resolution = place("resolution", columns.resolution[at], resolutions)?;
        let input = place("input width", columns.input_width[at], widths)?;
        let output = place("output width", columns.output_width[at], &stage.widths)?;
        let (loss, latency_ms) = (columns.loss[at], columns.latency_ms[at]);
        if !loss.is_finite() || !latency_ms.is_finite() {
            return Err(format!(
                "row {}: loss {loss} or latency {latency_ms} is not a number",
                at + 1
            ));
        }
        let group = &mut groups[resolution * widths.len() + input];
        group.push(Row { loss, latency_ms, width: output as u32 });
    }
    let mut start = 0;
    let range = |group: &Vec<Row>| {
        start += group.len();
        start - group.len()..start
    };
    let ranges = groups.iter().map(range).collect();
    Ok(CellRows { rows: groups.concat(), ranges, input_widths: widths.len() })
}

fn read_fixed(
    problem: &ScoreProblem,
    index: usize,
    resolution: usize,
) -> Result<Fixed, ScoreError> {
    let hyperspace = &problem.hyperspace;
    let stem_widths = hyperspace.input_widths(0);
    let last_widths = hyperspace.input_widths(hyperspace.stages.len());
    match &problem.fixed {
        FixedLatency::PerResolution(by_resolution) => {
            let Some(&latency_ms) = by_resolution.get(&resolution) else {
                return error(format!("no latency of stem and head at resolution {resolution}"));
            };
            let stem = |width| Stem { width, latency_ms };
            let stem = (0..stem_widths.len() as u32).map(stem).collect();
            Ok(Fixed { index, stem, head: vec![0.0; last_widths.len()] })
        }
        FixedLatency::Predicted { stem, head } => {
            let mut fixed =
                Fixed { index, stem: Vec::new(), head: vec![f64::NAN; last_widths.len()] };
            for row in stem.iter().filter(|row| row.resolution == resolution) {
                let Some(width) = index_of(stem_widths, row.width) else {
                    return error(format!(
                        "stem of width {}; allowed are {stem_widths:?}",
                        row.width
                    ));
                };
                fixed.stem.push(Stem { width: width as u32, latency_ms: row.latency_ms });
            }
            for row in head.iter().filter(|row| row.resolution == resolution) {
                if let Some(width) = index_of(last_widths, row.width) {
                    fixed.head[width] = row.latency_ms;
                }
            }
            if fixed.stem.is_empty() {
                return error(format!("no latency of a stem at resolution {resolution}"));
            }
            Ok(fixed)
        }
    }
}
