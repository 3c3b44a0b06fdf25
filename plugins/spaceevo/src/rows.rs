//! Which sub-stages the quality tables hold.

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    quality::Cell,
    space::{BlockChoice, Hyperspace, SubStage},
};

/// A sub-stage to be judged and measured, with the window that it was drawn for.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub window: usize,
    pub input_width: usize,
    pub resolution: usize,
    pub sub_stage: SubStage,
}

/// A generator for one purpose, independent of all others.
pub fn rng(seed: u64, purpose: &[usize]) -> Pcg64Mcg {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, part: u64| (state ^ part).wrapping_mul(GOLDEN).rotate_left(29) ^ GOLDEN;
    let state = purpose.iter().fold(mix(seed, 1), |state, &part| mix(state, part as u64 + 2));
    Pcg64Mcg::new(u128::from(state) << 1 | 1)
}

/// The rows of all windows of (stage, block): for each window, input width and resolution `count`
/// sub-stages, drawn with a fixed seed. Output widths of the last block take turns, so that every
/// width that a window holds is reached.
pub fn rows(
    hyperspace: &Hyperspace,
    stage: usize,
    block: usize,
    count: usize,
    seed: u64,
) -> Vec<Row> {
    let mut rng = rng(seed, &[stage, block]);
    let mut rows = Vec::new();
    for window in 0..hyperspace.stages[stage].windows() {
        let elastic = hyperspace.choice_stage(stage, block, Some(window));
        for &input_width in hyperspace.input_widths(stage) {
            for &resolution in &hyperspace.table_resolutions {
                let first: usize = rng.random_range(0..elastic.widths.len());
                for index in 0..count {
                    let mut sub_stage = SubStage::random(&elastic, &mut rng);
                    if let Some(BlockChoice { width, .. }) = sub_stage.blocks.last_mut() {
                        *width = elastic.widths[(first + index) % elastic.widths.len()];
                    }
                    rows.push(Row { window, input_width, resolution, sub_stage });
                }
            }
        }
    }
    rows
}

/// Every (stage, block) of a hyperspace.
pub fn stage_blocks(hyperspace: &Hyperspace) -> impl Iterator<Item = (usize, usize)> + '_ {
    (0..hyperspace.stages.len())
        .flat_map(|stage| (0..hyperspace.candidates.len()).map(move |block| (stage, block)))
}

/// Name of the task that concerns a (stage, block).
pub fn task_name(hyperspace: &Hyperspace, stage: usize, block: usize) -> String {
    format!("{}-{block}-{}", hyperspace.stages[stage].name, hyperspace.candidates[block].block)
}

/// The table that a row belongs to.
pub fn cell(stage: usize, block: usize, row: &Row) -> Cell {
    Cell { stage, block, window: row.window }
}
