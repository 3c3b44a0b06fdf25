//! Losses that a study found, against those that were published for the same rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::TableRow,
    rank::spearman,
    space::{BlockChoice, Hyperspace},
};

use crate::{
    steps::distil::Distilled,
    tables::{BlockRows, published::PublishedRow},
};

/// Losses of the rows of a study's quality tables against those that were published for them: what
/// `spacewright --json table compare` prints. Correlations are Spearman's ρ: 1 where both rank alike, 0 by chance; none
/// where one ranks nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedReport {
    /// Rows of the study that were published, too; a row of several width windows counts once.
    pub rows: usize,
    /// Rows of the study that were not.
    pub not_published: usize,
    /// The stages, in order.
    pub stages: Vec<PublishedStage>,
}

/// The rows of a stage, of all block types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedStage {
    /// Its name.
    pub stage: String,
    /// How many rows.
    pub rows: usize,
    /// Correlation over all of them.
    pub spearman: Option<f64>,
    /// Correlation of the mean losses of the block types.
    pub between: Option<f64>,
    /// Mean of the correlations over the rows of one block type.
    pub within: Option<f64>,
    /// The block types.
    pub blocks: Vec<PublishedBlock>,
}

/// The rows of a stage and block type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedBlock {
    /// Its name.
    pub block: String,
    /// How many rows.
    pub rows: usize,
    /// Correlation over them.
    pub spearman: Option<f64>,
    /// Mean loss that the study found.
    pub loss: f64,
    /// Mean loss that was published.
    pub published_loss: f64,
}

/// A loss that was found, and that which was published.
type Pair = (f64, f64);

impl PublishedReport {
    /// Whether rows of a study are among those that were published.
    pub fn knows(published: &[PublishedRow], tables: &[BlockRows]) -> bool {
        let known: BTreeSet<String> = published.iter().map(|row| name(&row.row)).collect();
        tables.iter().flat_map(|table| &table.rows).any(|row| known.contains(&name(row)))
    }

    /// `tables` and `distilled` are those of the study, in the same order.
    pub fn new(
        hyperspace: &Hyperspace,
        tables: &[BlockRows],
        distilled: &[Distilled],
        published: &[PublishedRow],
    ) -> Self {
        let mut known: BTreeMap<String, f64> = BTreeMap::new();
        for row in published {
            known.entry(name(&row.row)).or_insert(row.loss);
        }
        let mut not_published: BTreeSet<String> = BTreeSet::new();
        let mut stages: Vec<PublishedStage> = Vec::new();
        let of_stages = tables.iter().zip(distilled).collect::<Vec<_>>();
        for of_stage in of_stages.chunk_by(|(a, _), (b, _)| a.stage == b.stage) {
            let mut blocks: Vec<(String, Vec<Pair>)> = Vec::new();
            for (table, distilled) in of_stage {
                let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
                for (row, loss) in table.rows.iter().zip(distilled.losses(table.rows.len())) {
                    let name = name(row);
                    match known.get(&name) {
                        Some(published) => {
                            pairs.entry(name).or_insert((loss, *published));
                        }
                        None => drop(not_published.insert(name)),
                    }
                }
                let block = hyperspace.candidates[table.block].block.clone();
                blocks.push((block, pairs.into_values().collect()));
            }
            let stage = hyperspace.stages[of_stage[0].0.stage].name.clone();
            stages.push(PublishedStage::new(stage, &blocks));
        }
        let rows = stages.iter().map(|stage| stage.rows).sum();
        Self { rows, not_published: not_published.len(), stages }
    }
}

impl PublishedStage {
    /// `blocks` holds the losses of each block type that were found, and that were published.
    fn new(stage: String, blocks: &[(String, Vec<Pair>)]) -> Self {
        let all: Vec<Pair> = blocks.iter().flat_map(|(_, pairs)| pairs).copied().collect();
        let blocks: Vec<PublishedBlock> = blocks
            .iter()
            .filter(|(_, pairs)| !pairs.is_empty())
            .map(|(block, pairs)| {
                let mean = |loss: fn(&Pair) -> f64| {
                    pairs.iter().map(loss).sum::<f64>() / pairs.len() as f64
                };
                PublishedBlock {
                    block: block.clone(),
                    rows: pairs.len(),
                    spearman: correlation(pairs),
                    loss: mean(|pair| pair.0),
                    published_loss: mean(|pair| pair.1),
                }
            })
            .collect();
        let means: Vec<Pair> =
            blocks.iter().map(|block| (block.loss, block.published_loss)).collect();
        let within: Vec<f64> = blocks.iter().filter_map(|block| block.spearman).collect();
        Self {
            stage,
            rows: all.len(),
            spearman: correlation(&all),
            between: correlation(&means),
            within: (!within.is_empty()).then(|| within.iter().sum::<f64>() / within.len() as f64),
            blocks,
        }
    }
}

fn correlation(pairs: &[Pair]) -> Option<f64> {
    let (found, published): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    spearman(&found, &published)
}

/// What a row is, whichever width window it was drawn for.
fn name(row: &TableRow) -> String {
    let TableRow { stage, block, window: _, input_width, resolution, sub_stage } = row;
    let mut name = format!("{stage} {block} {input_width} {resolution}");
    for BlockChoice { width, config } in &sub_stage.blocks {
        // A result that was kept and one that was read just now may have their axes in another order.
        let config: BTreeMap<&String, &f64> = config.0.iter().collect();
        let _ = write!(name, " {width} {config:?}");
    }
    name
}

#[cfg(test)]
mod tests {
    use spacewright_core::train::DistilReport;

    use super::*;
    use crate::{hyperspaces::built_in, tables};

    #[test]
    fn losses_are_compared_over_and_within_block_types() {
        let hyperspace = built_in("mini").unwrap();
        let tables = tables::draw(&hyperspace, 4, 1);
        // As published, but for the order of block types in the last stage, where one diverged.
        let last = hyperspace.stages.len() - 1;
        let published_loss =
            |table: &BlockRows, row: usize| table.block as f64 + 0.001 * row as f64;
        let distilled: Vec<Distilled> = tables
            .iter()
            .map(|table| match (table.stage == last, table.block) {
                (true, 4) => Distilled::Diverged("no".into()),
                (turned, block) => {
                    let loss = |row| {
                        let loss = published_loss(table, row);
                        if turned { loss - 2.0 * block as f64 } else { loss }
                    };
                    let losses = (0..table.rows.len()).map(loss).collect();
                    let [max_fp32, max_int8, rate] = [0.1, 0.1, 1.0];
                    Distilled::Learned(DistilReport { losses, max_fp32, max_int8, rate })
                }
            })
            .collect();
        let row = |table: &BlockRows, (index, row): (usize, &TableRow)| PublishedRow {
            line: index + 1,
            row: row.clone(),
            loss: published_loss(table, index),
            macs_m: 1.0,
            params_m: 1.0,
            latency_ms: 1.0,
        };
        let mut published: Vec<PublishedRow> = tables
            .iter()
            .flat_map(|table| table.rows.iter().enumerate().map(move |at| row(table, at)))
            .collect();
        let report = PublishedReport::new(&hyperspace, &tables, &distilled, &published);
        assert_eq!((report.stages.len(), report.not_published), (4, 0));
        let first = &report.stages[0];
        assert_eq!((first.blocks.len(), first.between), (5, Some(1.0)));
        assert!(first.spearman.unwrap() > 0.99 && first.within.unwrap() > 0.99, "{first:?}");
        // Ranks 3, 2, 1, 0, 4 against 0, 1, 2, 3, 4.
        let turned = &report.stages[last];
        assert!(
            turned.between.unwrap().abs() < 1e-9 && turned.within.unwrap() > 0.99,
            "{turned:?}"
        );
        assert_eq!((turned.blocks[4].spearman, turned.blocks[4].loss), (None, 1.0));

        published.retain(|row| row.row.stage > 0);
        let without = PublishedReport::new(&hyperspace, &tables, &distilled, &published);
        assert_eq!((without.stages[0].rows, without.stages[0].spearman), (0, None));
        assert!(without.not_published > 0);
    }
}
