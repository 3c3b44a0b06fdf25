//! Quality tables as arrays. Widths and resolutions are indices here: a width is its position in
//! the list of all widths of its stage, a resolution its position among those of the tables.

use std::{collections::HashMap, ops::Range};

use spacewright_core::{
    quality::{Cell, Composition, FixedLatency, ScoreColumns},
    score::{ScoreError, ScoreProblem},
    space::{Hyperspace, Space},
};

/// A sampled sub-stage of a quality table.
#[derive(Debug, Clone, Copy)]
pub(super) struct SubStageRow {
    /// Block-wise loss, times the weight of its stage.
    pub(super) loss: f64,
    /// Latency in milliseconds.
    pub(super) latency_ms: f64,
    /// Index of the output width.
    pub(super) width: u32,
    /// Position in the quality table.
    pub(super) index: u32,
}

/// The rows of one cell, sorted by resolution and input width.
pub(super) struct CellRows {
    rows: Vec<SubStageRow>,
    /// Where the rows of each resolution and input width are; resolutions outermost.
    ranges: Vec<Range<usize>>,
    input_widths: usize,
}

impl CellRows {
    /// The most rows that subnets choose from at one place.
    fn most_together(&self, composition: Composition) -> usize {
        let together = match composition {
            Composition::Consistent => 1,
            Composition::Independent => self.input_widths,
        };
        let rows = |ranges: &[Range<usize>]| ranges.iter().map(ExactSizeIterator::len).sum();
        self.ranges.chunks(together).map(rows).max().unwrap_or_default()
    }

    /// Variance of the losses, estimated from their quartiles as if they were distributed normally:
    /// single outliers do not move it.
    fn loss_variance(&self) -> f64 {
        /// Standard deviations between the quartiles of a normal distribution.
        const QUARTILES: f64 = 1.349;
        let mut losses: Vec<f64> = self.rows.iter().map(|row| row.loss).collect();
        losses.sort_unstable_by(f64::total_cmp);
        let quartile = |part: usize| losses.get(losses.len() * part / 4).copied();
        let range = quartile(3).zip(quartile(1)).map_or(0.0, |(high, low)| high - low);
        (range / QUARTILES).powi(2)
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn at_resolution(&self, resolution: usize) -> &[SubStageRow] {
        let first = resolution * self.input_widths;
        let last = first + self.input_widths - 1;
        &self.rows[self.ranges[first].start..self.ranges[last].end]
    }

    pub(super) fn at_input(&self, resolution: usize, width: u32) -> &[SubStageRow] {
        &self.rows[self.ranges[resolution * self.input_widths + width as usize].clone()]
    }
}

/// Stem and head at one resolution.
pub(super) struct StemAndHead {
    /// Index of the resolution.
    pub(super) index: usize,
    /// Stems, which are drawn with equal probability.
    pub(super) stem: Vec<Stem>,
    /// Latency of the head in milliseconds by its input width; NaN where unknown.
    pub(super) head: Vec<f64>,
}

pub(super) struct Stem {
    pub(super) width: u32,
    pub(super) latency_ms: f64,
}

/// Latency of the fastest subnet of a space, and an upper bound of its subnets' summed losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extremes {
    pub(super) fastest_ms: f64,
    pub(super) largest_loss: f64,
}

/// All tables of a problem.
pub(super) struct Tables {
    pub(super) hyperspace: Hyperspace,
    pub(super) cells: HashMap<Cell, CellRows>,
    /// Stems and heads by resolution.
    pub(super) fixed: Vec<StemAndHead>,
}

fn score_error<T>(reason: String) -> Result<T, ScoreError> {
    Err(ScoreError::new(reason))
}

fn index_of(values: &[usize], value: usize) -> Option<usize> {
    values.iter().position(|v| *v == value)
}

impl Tables {
    /// Losses are scaled by the factor of their stage, where there are factors.
    pub(super) fn new(problem: &ScoreProblem, factors: &[f64]) -> Result<Self, ScoreError> {
        let hyperspace = problem.hyperspace.clone();
        if hyperspace.table_resolutions.is_empty() || hyperspace.stages.is_empty() {
            return score_error(format!(
                "hyperspace `{}` has no table resolutions or stages",
                hyperspace.name
            ));
        }
        let cell = |(cell, columns): (&Cell, &ScoreColumns)| {
            let factor = factors.get(cell.stage).copied().unwrap_or(1.0);
            let rows = read_cell(problem, *cell, columns, factor).map_err(|reason| {
                ScoreError::new(format!("{}: {reason}", cell_name(&hyperspace, *cell)))
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

    pub(super) fn stages(&self) -> usize {
        self.hyperspace.stages.len()
    }

    /// How many widths enter a stage; behind the last stage, how many enter the head.
    pub(super) fn input_widths(&self, stage: usize) -> usize {
        self.hyperspace.input_widths(stage).len()
    }

    /// An upper bound of the number of combinations of rows in a space.
    pub(super) fn most_subnets(&self, composition: Composition) -> usize {
        let mut rows = vec![0; self.stages()];
        for (cell, table) in &self.cells {
            let most = table.most_together(composition);
            rows[cell.stage] = rows[cell.stage].max(most);
        }
        let stems: usize = self.fixed.iter().map(|fixed| fixed.stem.len()).sum();
        rows.iter().fold(stems, |product, rows| product.saturating_mul(*rows))
    }

    /// The least loss of a stage's rows; 0 where it has none.
    pub(super) fn least_loss_of(&self, stage: usize) -> f64 {
        let least = self.losses(stage).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }

    /// A lower bound of the latencies of a stage's rows, the head's behind the last stage added.
    pub(super) fn least_latency_of(&self, stage: usize) -> f64 {
        let cells = self.cells.iter().filter(|(cell, _)| cell.stage == stage);
        let rows = cells.flat_map(|(_, cell)| cell.rows.iter().map(|row| row.latency_ms));
        // Heads of unknown latency are not numbers, which `min` passes over.
        let heads = self.fixed.iter().flat_map(|fixed| fixed.head.iter().copied());
        let is_last = stage + 1 == self.stages();
        let head = if is_last { heads.fold(f64::INFINITY, f64::min) } else { 0.0 };
        rows.fold(f64::INFINITY, f64::min) + head
    }

    fn losses(&self, stage: usize) -> impl Iterator<Item = f64> + '_ {
        let cells = self.cells.iter().filter(move |(cell, _)| cell.stage == stage);
        cells.flat_map(|(_, rows)| rows.rows.iter().map(|row| row.loss))
    }

    /// Standard deviation of the summed loss of a random subnet of a space whose stages vary as
    /// much as the cell in the middle does.
    pub(super) fn typical_deviation(&self) -> f64 {
        let variance = |stage: usize| {
            let cells = self.cells.iter().filter(|(cell, _)| cell.stage == stage);
            let mut variances: Vec<f64> = cells.map(|(_, rows)| rows.loss_variance()).collect();
            variances.sort_unstable_by(f64::total_cmp);
            variances.get(variances.len() / 2).copied().unwrap_or_default()
        };
        (0..self.stages()).map(variance).sum::<f64>().sqrt()
    }

    /// The extremes of a space that [`check`](Self::check) accepted.
    pub(super) fn extremes(&self, space: &Space, composition: Composition) -> Extremes {
        let cells = self.cells_of(space);
        let worst = |cell: &&CellRows| cell.rows.iter().map(|row| row.loss).fold(0.0, f64::max);
        let fastest = self.fixed.iter().map(|fixed| {
            let stems = fixed.stem.iter().map(|stem| (stem.width, stem.latency_ms));
            let mut reached = fastest_by_width(stems);
            for cell in &cells {
                let next = reached.iter().flat_map(|(width, before)| {
                    let rows = match composition {
                        Composition::Independent => cell.at_resolution(fixed.index),
                        Composition::Consistent => cell.at_input(fixed.index, *width),
                    };
                    rows.iter().map(move |row| (row.width, before + row.latency_ms))
                });
                reached = fastest_by_width(next);
            }
            let whole = reached.iter().map(|(width, ms)| ms + fixed.head[*width as usize]);
            whole.fold(f64::INFINITY, f64::min)
        });
        Extremes {
            fastest_ms: fastest.fold(f64::INFINITY, f64::min),
            largest_loss: cells.iter().map(worst).sum(),
        }
    }

    /// The cells of a space that [`check`](Self::check) accepted.
    pub(super) fn cells_of(&self, space: &Space) -> Vec<&CellRows> {
        Cell::of_space(space).map(|cell| &self.cells[&cell]).collect()
    }

    /// Whether every row that drawing can ask for is there.
    pub(super) fn check(&self, space: &Space, composition: Composition) -> Result<(), ScoreError> {
        space.check(&self.hyperspace).map_err(|error| ScoreError::new(error.to_string()))?;
        if let Some(cell) = Cell::of_space(space).find(|cell| !self.cells.contains_key(cell)) {
            return score_error(format!(
                "space {space} needs a quality table of {}, which is missing",
                cell_name(&self.hyperspace, cell)
            ));
        }
        self.fixed.iter().try_for_each(|fixed| self.check_resolution(space, composition, fixed))
    }

    fn check_resolution(
        &self,
        space: &Space,
        composition: Composition,
        fixed: &StemAndHead,
    ) -> Result<(), ScoreError> {
        let resolution = self.hyperspace.table_resolutions[fixed.index];
        let mut reached: Vec<u32> = fixed.stem.iter().map(|stem| stem.width).collect();
        for cell in Cell::of_space(space) {
            let table = &self.cells[&cell];
            reached.sort_unstable();
            reached.dedup();
            let place = || format!("space {space}: {}", cell_name(&self.hyperspace, cell));
            let mut next: Vec<SubStageRow> = Vec::new();
            if composition == Composition::Independent {
                next.extend(table.at_resolution(fixed.index));
                if next.is_empty() {
                    return score_error(format!(
                        "{} has no row at resolution {resolution}",
                        place()
                    ));
                }
            } else {
                for width in reached {
                    let rows = table.at_input(fixed.index, width);
                    if rows.is_empty() {
                        let width = self.hyperspace.input_widths(cell.stage)[width as usize];
                        return score_error(format!(
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
            return score_error(format!(
                "no latency of the head behind width {} at resolution {resolution}",
                last.widths[*width as usize]
            ));
        }
        Ok(())
    }
}

fn fastest_by_width(paths: impl Iterator<Item = (u32, f64)>) -> HashMap<u32, f64> {
    let mut fastest = HashMap::new();
    for (width, latency_ms) in paths {
        let known = fastest.entry(width).or_insert(latency_ms);
        *known = known.min(latency_ms);
    }
    fastest
}

fn cell_name(hyperspace: &Hyperspace, cell: Cell) -> String {
    let stage = hyperspace.stages.get(cell.stage).map_or("?", |stage| &stage.name);
    format!("stage `{stage}`, block {}, window {}", cell.block, cell.window)
}

fn read_cell(
    problem: &ScoreProblem,
    cell: Cell,
    columns: &ScoreColumns,
    factor: f64,
) -> Result<CellRows, String> {
    let hyperspace = &problem.hyperspace;
    let resolutions = &hyperspace.table_resolutions;
    let Some(stage) = hyperspace.stages.get(cell.stage) else {
        return Err(format!("hyperspace `{}` has no such stage", hyperspace.name));
    };
    let widths = hyperspace.input_widths(cell.stage);
    let rows = columns.rows().ok_or("columns of different lengths")?;
    let mut groups: Vec<Vec<SubStageRow>> = vec![Vec::new(); resolutions.len() * widths.len()];
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
        let (width, index) = (output as u32, at as u32);
        group.push(SubStageRow { loss: factor * loss, latency_ms, width, index });
    }
    let mut start = 0;
    let range = |group: &Vec<SubStageRow>| {
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
) -> Result<StemAndHead, ScoreError> {
    let hyperspace = &problem.hyperspace;
    let stem_widths = hyperspace.input_widths(0);
    let last_widths = hyperspace.input_widths(hyperspace.stages.len());
    match &problem.fixed {
        FixedLatency::PerResolution(by_resolution) => {
            let Some(&latency_ms) = by_resolution.get(&resolution) else {
                return score_error(format!(
                    "no latency of stem and head at resolution {resolution}"
                ));
            };
            let stem = |width| Stem { width, latency_ms };
            let stem = (0..stem_widths.len() as u32).map(stem).collect();
            Ok(StemAndHead { index, stem, head: vec![0.0; last_widths.len()] })
        }
        FixedLatency::Predicted { stem, head } => {
            let mut fixed =
                StemAndHead { index, stem: Vec::new(), head: vec![f64::NAN; last_widths.len()] };
            for row in stem.iter().filter(|row| row.resolution == resolution) {
                let Some(width) = index_of(stem_widths, row.width) else {
                    return score_error(format!(
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
                return score_error(format!("no latency of a stem at resolution {resolution}"));
            }
            Ok(fixed)
        }
    }
}
