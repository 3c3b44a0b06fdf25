//! Which sub-stages the quality tables hold.

use rand::Rng;
use spacewright_core::{
    quality::Cell,
    random,
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
    let purpose = ["rows", &stage.to_string(), &block.to_string()];
    let mut rng = random::generator(seed, &purpose);
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
