//! Which sub-stages the quality tables hold.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::{Cell, TableRow},
    random,
    space::{BlockChoice, Hyperspace, SubStage},
};

/// The rows of all width windows of one stage with one block type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockRows {
    /// Index of the choice stage, from 0.
    pub stage: usize,
    /// Index of the candidate block type.
    pub block: usize,
    /// Its rows, window by window.
    pub rows: Vec<TableRow>,
}

impl BlockRows {
    /// Name of a task that concerns this stage and block type.
    pub fn task_name(&self, hyperspace: &Hyperspace) -> String {
        task_name(hyperspace, self.stage, self.block)
    }
}

/// Name of a task that concerns a stage and a block type.
pub fn task_name(hyperspace: &Hyperspace, stage: usize, block: usize) -> String {
    format!("{}-{block}-{}", hyperspace.stages[stage].name, hyperspace.candidates[block].block)
}

/// What the rows of a part of a table have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    cell: Cell,
    input_width: usize,
    resolution: usize,
}

impl Place {
    fn of(row: &TableRow) -> Self {
        Self { cell: row.cell(), input_width: row.input_width, resolution: row.resolution }
    }
}

/// The rows of every stage with every block type, in order: for each width window, input width and
/// resolution `count` sub-stages, drawn with a fixed seed.
pub fn draw(hyperspace: &Hyperspace, count: usize, seed: u64) -> Vec<BlockRows> {
    at_all_places(hyperspace, "rows", seed, |place, rng| {
        draw_at(hyperspace, place.cell, count, rng)
    })
}

fn draw_at(
    hyperspace: &Hyperspace,
    Cell { stage, block, window }: Cell,
    count: usize,
    rng: &mut Pcg64Mcg,
) -> Vec<SubStage> {
    let elastic = hyperspace.choice_stage(stage, block, Some(window));
    let first: usize = rng.random_range(0..elastic.widths.len());
    let sub_stage = |index| {
        let mut sub_stage = SubStage::random(&elastic, rng);
        // Output widths take turns, so that every width of a window is reached: the
        // rows of the next stage begin at each of them.
        if let Some(BlockChoice { width, .. }) = sub_stage.blocks.last_mut() {
            *width = elastic.widths[(first + index) % elastic.widths.len()];
        }
        sub_stage
    };
    (0..count).map(sub_stage).collect()
}

/// The same out of known rows, each taken once at most: fewer where fewer are known. Where none is known rows are drawn,
/// as a space can be scored only if its stages go on from every width.
pub fn pick(
    hyperspace: &Hyperspace,
    known: &[TableRow],
    count: usize,
    seed: u64,
) -> Vec<BlockRows> {
    let mut places: BTreeMap<Place, Vec<&TableRow>> = BTreeMap::new();
    for row in known {
        places.entry(Place::of(row)).or_default().push(row);
    }
    at_all_places(hyperspace, "published rows", seed, |place, rng| match places.get(&place) {
        Some(known) => known.choose_multiple(rng, count).map(|row| row.sub_stage.clone()).collect(),
        None => draw_at(hyperspace, place.cell, count, rng),
    })
}

/// How many pairs of an input width and a resolution, of all cells, have no known row, and how many there are.
pub fn unknown_places(hyperspace: &Hyperspace, known: &[TableRow]) -> (usize, usize) {
    let known: BTreeSet<Place> = known.iter().map(Place::of).collect();
    let all = Cell::of_hyperspace(hyperspace).into_iter();
    let all: Vec<Place> = all.flat_map(|cell| places(hyperspace, cell)).collect();
    (all.iter().filter(|place| !known.contains(place)).count(), all.len())
}

/// Where the rows of a cell begin: input widths, and resolutions of each.
fn places(hyperspace: &Hyperspace, cell: Cell) -> impl Iterator<Item = Place> {
    let inputs = hyperspace.input_widths(cell.stage).iter();
    inputs.flat_map(move |&input_width| {
        let resolutions = hyperspace.table_resolutions.iter();
        resolutions.map(move |&resolution| Place { cell, input_width, resolution })
    })
}

/// Rows of every stage with every block type: `sub_stages` gives those of a place. For each stage and block type it has
/// a generator of its own, for this purpose.
fn at_all_places(
    hyperspace: &Hyperspace,
    purpose: &str,
    seed: u64,
    sub_stages: impl Fn(Place, &mut Pcg64Mcg) -> Vec<SubStage>,
) -> Vec<BlockRows> {
    let blocks = 0..hyperspace.candidates.len();
    let tables =
        (0..hyperspace.stages.len()).flat_map(|stage| blocks.clone().map(move |b| (stage, b)));
    let rows = |(stage, block): (usize, usize)| {
        let purpose = [purpose, &stage.to_string(), &block.to_string()];
        let mut rng = random::generator(seed, &purpose);
        let mut rows = Vec::new();
        for window in 0..hyperspace.stages[stage].windows() {
            for place in places(hyperspace, Cell { stage, block, window }) {
                let Place { input_width, resolution, .. } = place;
                let row = |sub_stage| TableRow {
                    stage,
                    block,
                    window,
                    input_width,
                    resolution,
                    sub_stage,
                };
                rows.extend(sub_stages(place, &mut rng).into_iter().map(row));
            }
        }
        BlockRows { stage, block, rows }
    };
    tables.map(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces::built_in;

    #[test]
    fn picked_rows_are_known_ones_at_every_place() {
        let hyperspace = built_in("mini").unwrap();
        let known: Vec<TableRow> =
            draw(&hyperspace, 3, 1).into_iter().flat_map(|table| table.rows).collect();
        let picked = pick(&hyperspace, &known, 2, 5);
        assert_eq!(picked, pick(&hyperspace, &known, 2, 5));
        assert_ne!(picked, pick(&hyperspace, &known, 2, 6));
        let rows: Vec<&TableRow> = picked.iter().flat_map(|table| &table.rows).collect();
        assert_eq!(rows.len() * 3, known.len() * 2);
        assert!(rows.iter().all(|row| known.contains(row)));
        // All that are known, where more are asked for.
        let all = pick(&hyperspace, &known, 9, 5).into_iter().flat_map(|table| table.rows).count();
        assert_eq!(all, known.len());
    }

    #[test]
    fn rows_are_drawn_where_none_is_known() {
        let hyperspace = built_in("mini").unwrap();
        let known: Vec<TableRow> =
            draw(&hyperspace, 2, 1).into_iter().flat_map(|table| table.rows).collect();
        let all = unknown_places(&hyperspace, &[]).1;
        assert_eq!((unknown_places(&hyperspace, &known), known.len()), ((0, all), 2 * all));
        let width = hyperspace.input_widths(1)[0];
        let lacks = |row: &TableRow| (row.stage, row.input_width) == (1, width);
        let some: Vec<TableRow> = known.iter().filter(|row| !lacks(row)).cloned().collect();
        let lacking = (known.len() - some.len()) / 2;
        assert!(lacking > 0);
        assert_eq!(unknown_places(&hyperspace, &some), (lacking, all));
        let rows: Vec<TableRow> =
            pick(&hyperspace, &some, 2, 5).into_iter().flat_map(|table| table.rows).collect();
        assert_eq!(unknown_places(&hyperspace, &rows).0, 0);
        assert!(rows.iter().all(|row| lacks(row) || some.contains(row)));
    }
}
