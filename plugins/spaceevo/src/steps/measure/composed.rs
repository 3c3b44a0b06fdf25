//! Random subnets of random spaces, composed of rows of the quality tables: what budgets are quantiles of.

use rand::{Rng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use spacewright_core::{quality::TableRow, random, study::StudyContext};

use super::NetworkEnd;
use crate::{error::SpaceEvoError, tables::BlockRows};

/// Draws of one subnet: tables that an earlier version took from published rows may lack some widths.
const TRIES: usize = 1000;

/// The parts of a subnet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ComposedSubnet {
    /// Index of its stem.
    pub stem: usize,
    /// For each stage the index of a table and of a row in it.
    pub rows: Vec<(usize, usize)>,
    /// Index of its head.
    pub head: usize,
}

/// A stage without a row that goes on there.
struct DeadEnd {
    stage: usize,
    block: usize,
    window: usize,
    input_width: usize,
}

/// `count` subnets, the same for the same seed.
///
/// # Errors
///
/// If no subnet can be composed of these rows.
pub(super) fn draw(
    study: &StudyContext,
    count: usize,
    tables: &[BlockRows],
    (stems, heads): (&[NetworkEnd], &[NetworkEnd]),
) -> Result<Vec<ComposedSubnet>, SpaceEvoError> {
    let mut rng = random::generator(study.seed, &["measure", "distribution"]);
    let mut one = || {
        let mut drawn = draw_one(study, tables, (stems, heads), &mut rng);
        for _ in 1..TRIES {
            if drawn.is_ok() {
                break;
            }
            drawn = draw_one(study, tables, (stems, heads), &mut rng);
        }
        drawn.map_err(|dead_end| no_row(study, dead_end))
    };
    (0..count).map(|_| one()).collect()
}

fn draw_one(
    study: &StudyContext,
    tables: &[BlockRows],
    (stems, heads): (&[NetworkEnd], &[NetworkEnd]),
    rng: &mut Pcg64Mcg,
) -> Result<ComposedSubnet, DeadEnd> {
    let hyperspace = &study.hyperspace;
    let stem = rng.random_range(0..stems.len());
    let NetworkEnd { mut width, resolution, .. } = stems[stem];
    let mut chosen = Vec::with_capacity(hyperspace.stages.len());
    let mut dead_end = DeadEnd { stage: 0, block: 0, window: 0, input_width: width };
    for (stage, widths) in hyperspace.stages.iter().enumerate() {
        let block = rng.random_range(0..hyperspace.candidates.len());
        let window = rng.random_range(0..widths.windows());
        let table = stage * hyperspace.candidates.len() + block;
        let rows = &tables[table].rows;
        let fits = |row: &TableRow| {
            (row.window, row.input_width, row.resolution) == (window, width, resolution)
        };
        let fitting: Vec<usize> = (0..rows.len()).filter(|&index| fits(&rows[index])).collect();
        dead_end = DeadEnd { stage, block, window, input_width: width };
        let Some(&row) = fitting.choose(rng) else { return Err(dead_end) };
        chosen.push((table, row));
        width = rows[row].sub_stage.width().unwrap_or(width);
    }
    let ends = |head: &NetworkEnd| (head.width, head.resolution) == (width, resolution);
    let head = heads.iter().position(ends).ok_or(dead_end)?;
    Ok(ComposedSubnet { stem, rows: chosen, head })
}

fn no_row(study: &StudyContext, dead_end: DeadEnd) -> SpaceEvoError {
    let DeadEnd { stage, block, window, input_width } = dead_end;
    let stage = &study.hyperspace.stages[stage];
    SpaceEvoError::NoMatchingRows {
        stage: stage.name.clone(),
        block: study.hyperspace.candidates[block].block.clone(),
        window,
        input_width,
    }
}
