//! Which sub-stages the quality tables hold.

use rand::Rng;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::TableRow,
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

/// The rows of every stage with every block type, in order: for each width window, input width and
/// resolution `count` sub-stages, drawn with a fixed seed.
pub fn draw(hyperspace: &Hyperspace, count: usize, seed: u64) -> Vec<BlockRows> {
    let blocks = 0..hyperspace.candidates.len();
    let cells =
        (0..hyperspace.stages.len()).flat_map(|stage| blocks.clone().map(move |b| (stage, b)));
    let rows = |(stage, block)| {
        let rows = draw_block(hyperspace, stage, block, count, seed);
        BlockRows { stage, block, rows }
    };
    cells.map(rows).collect()
}

fn draw_block(
    hyperspace: &Hyperspace,
    stage: usize,
    block: usize,
    count: usize,
    seed: u64,
) -> Vec<TableRow> {
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
                    // Output widths take turns, so that every width of a window is reached: the
                    // rows of the next stage begin at each of them.
                    if let Some(BlockChoice { width, .. }) = sub_stage.blocks.last_mut() {
                        *width = elastic.widths[(first + index) % elastic.widths.len()];
                    }
                    rows.push(TableRow {
                        stage,
                        block,
                        window,
                        input_width,
                        resolution,
                        sub_stage,
                    });
                }
            }
        }
    }
    rows
}
