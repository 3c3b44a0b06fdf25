//! A few whole networks of mixed block types, trained for a short time. They know no teacher, so that studies with
//! other teachers share them.

use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::TableRow,
    random,
    space::{Hyperspace, Space, SubStage, Subnet},
    study::{Step, StepContext, StepError, StepNeeds, Task},
    train::SubnetJob,
};

use super::{tables::Tables, train};
use crate::{network_parts::stem_width, settings::CorrectSettings, tables::BlockRows};

/// How often a network is drawn anew where a stage has no row for the width that was reached.
const TRIES: usize = 100;

/// A network of rows of the quality tables that was trained for a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixedNetwork {
    /// Its space.
    pub space: Space,
    /// Its encoding.
    pub subnet: Subnet,
    /// For each stage: which table, which row.
    pub rows: Vec<(usize, usize)>,
    /// Share of the held-out images that it classifies correctly in INT8; `None` where its training diverged.
    pub accuracy: Option<f64>,
}

/// Trains the networks by which losses of block types are corrected.
pub struct TrainMixed;

impl Step for TrainMixed {
    const NAME: &'static str = "train-mixed";
    const SUMMARY: &'static str = "train a few networks of mixed block types for a short time";
    const READS: &'static [&'static str] = &[Tables::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;

    type Settings = CorrectSettings;
    type Output = Vec<MixedNetwork>;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: CorrectSettings,
    ) -> Result<Vec<MixedNetwork>, StepError> {
        let (study, tables) = (context.study(), context.get(&Tables::OUTPUT)?);
        let mut networks = draw(&study.hyperspace, &tables, settings.networks, study.seed);
        let (trainer, images) = (super::trainer(context)?, context.train_context()?);
        let mut tasks = Vec::new();
        for (index, network) in networks.iter().enumerate() {
            let job = SubnetJob {
                stages: network.space.elastic_stages(&study.hyperspace),
                subnet: network.subnet.clone(),
                start: None,
                guidance: None,
                fp32: settings.fp32.clone(),
                int8: settings.int8.clone(),
                augment: settings.augment.clone(),
                label_smoothing: settings.label_smoothing,
                threads: 1,
            };
            let (trainer, images) = (trainer.as_ref(), &images);
            tasks.push(Task::new(format!("network-{index}"), move |files, monitor| {
                let phases = train::alone(trainer, images, &job, files, monitor)?;
                Ok(phases.and_then(|phases| Some(phases.get("int8")?.held_out_accuracy)))
            }));
        }
        let accuracies: Vec<Option<f64>> = context.tasks_anywhere(tasks, study.threads)?;
        for (network, accuracy) in networks.iter_mut().zip(accuracies) {
            if accuracy.is_none() {
                context.say(&format!("warning: {} diverged; it says nothing", network.space));
            }
            network.accuracy = accuracy;
        }
        Ok(networks)
    }
}

/// Networks of rows of the quality tables, none of them trained. In each stage every block type stands as often as the
/// next, give or take one, so that each is compared with each.
pub(super) fn draw(
    hyperspace: &Hyperspace,
    tables: &[BlockRows],
    count: usize,
    seed: u64,
) -> Vec<MixedNetwork> {
    let mut rng = random::generator(seed, &["correct"]);
    let blocks = hyperspace.candidates.len();
    let turns = |_| {
        let mut turns: Vec<usize> = (0..count).map(|network| network % blocks).collect();
        turns.shuffle(&mut rng);
        turns
    };
    let by_stage: Vec<Vec<usize>> = (0..hyperspace.stages.len()).map(turns).collect();
    let stem = hyperspace.stem_stages();
    let network = |network: usize| {
        let blocks: Vec<usize> = by_stage.iter().map(|turns| turns[network]).collect();
        let network = network.to_string();
        let mut rng = random::generator(seed, &["correct", network.as_str()]);
        let mut attempt = |_| {
            let resolution = *hyperspace.table_resolutions.choose(&mut rng)?;
            let mut stages: Vec<SubStage> =
                stem.iter().map(|stage| SubStage::random(stage, &mut rng)).collect();
            let mut width = stem_width(&stages);
            let (mut rows, mut windows) = (Vec::new(), Vec::new());
            for (stage, &block) in blocks.iter().enumerate() {
                let of = |table: &BlockRows| (table.stage, table.block) == (stage, block);
                let table = tables.iter().position(of)?;
                let fits = |(_, row): &(usize, &TableRow)| {
                    (row.input_width, row.resolution) == (width, resolution)
                };
                let all = tables[table].rows.iter().enumerate();
                let fitting: Vec<(usize, &TableRow)> = all.filter(fits).collect();
                let (index, row) = *fitting.choose(&mut rng)?;
                width = row.sub_stage.width()?;
                rows.push((table, index));
                windows.push(row.window);
                stages.push(row.sub_stage.clone());
            }
            let space =
                Space { hyperspace: hyperspace.name.clone(), blocks: blocks.clone(), windows };
            let subnet = Subnet { stages, resolution };
            Some(MixedNetwork { space, subnet, rows, accuracy: None })
        };
        (0..TRIES).find_map(&mut attempt)
    };
    (0..count).filter_map(network).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{hyperspaces, tables};

    #[test]
    fn networks_are_of_rows_and_each_block_type_stands_in_each_stage() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let tables = tables::draw(&hyperspace, 4, 1);
        let drawn = draw(&hyperspace, &tables, 20, 1);
        assert_eq!(drawn.len(), 20);
        for stage in 0..hyperspace.stages.len() {
            for block in 0..hyperspace.candidates.len() {
                let is = |network: &&MixedNetwork| network.space.blocks[stage] == block;
                assert_eq!(drawn.iter().filter(is).count(), 4);
            }
        }
        let stem = hyperspace.stem.len();
        for MixedNetwork { space, subnet, rows, .. } in &drawn {
            let mut width = stem_width(&subnet.stages[..stem]);
            for (stage, &(table, index)) in rows.iter().enumerate() {
                let BlockRows { stage: of_stage, block, rows } = &tables[table];
                assert_eq!((*of_stage, *block), (stage, space.blocks[stage]));
                let row = &rows[index];
                assert_eq!((row.input_width, row.window), (width, space.windows[stage]));
                assert_eq!(row.sub_stage, subnet.stages[stem + stage]);
                width = row.sub_stage.width().unwrap();
            }
        }
        let encodings = |seed| -> HashSet<String> {
            let drawn = draw(&hyperspace, &tables, 20, seed);
            drawn.iter().map(|network| network.subnet.to_string()).collect()
        };
        assert_eq!(encodings(1), encodings(1));
        assert_ne!(encodings(1), encodings(2));
        assert_eq!(encodings(1).len(), 20);
    }
}
