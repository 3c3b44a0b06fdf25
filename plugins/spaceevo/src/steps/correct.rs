//! What a loss of a block type is worth: a few whole networks, trained for a short time, say it.

use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::TableRow,
    random,
    rank::kendall_tau,
    space::{Hyperspace, Space, SubStage, Subnet},
    study::{Step, StepContext, StepError, StepNeeds, Task},
    train::SubnetJob,
};

use super::{distil::Distil, tables::Tables, train};
use crate::{
    loss_factors::{self, JudgedNetwork, LeftOutPairs},
    network_parts::stem_width,
    report::Interval,
    settings::CorrectSettings,
    tables::BlockRows,
};

/// How often a network is drawn anew where a stage has no row for the width that was reached.
const TRIES: usize = 100;

/// What the losses of block types are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Factors of the losses of each block type in each stage: `factors[stage][block]`; 1 where networks that were
    /// left out are ranked no better with them than without.
    pub factors: Vec<Vec<f64>>,
    /// The networks that say so, without those whose training diverged.
    pub networks: Vec<CorrectingNetwork>,
    /// Kendall's τ of the networks' sums of losses, as they were distilled, with their accuracy.
    pub distilled_tau: Option<f64>,
    /// From where to where this lies with 95 % certainty, over all networks that might have been drawn.
    pub distilled_interval: Option<Interval>,
    /// The same of corrected losses, each pair of networks with factors that were fitted without one of them.
    pub corrected_tau: Option<f64>,
    /// From where to where this lies with 95 % certainty, as if the factors were known.
    pub corrected_interval: Option<Interval>,
}

/// A network that was trained for a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorrectingNetwork {
    /// Its space.
    pub space: Space,
    /// Its encoding.
    pub subnet: Subnet,
    /// Its losses and its INT8 accuracy on held-out images.
    pub judged: JudgedNetwork,
}

impl Correction {
    fn new(hyperspace: &Hyperspace, networks: Vec<CorrectingNetwork>) -> Self {
        let [stages, blocks] = [hyperspace.stages.len(), hyperspace.candidates.len()];
        let judged: Vec<JudgedNetwork> =
            networks.iter().map(|network| network.judged.clone()).collect();
        let distilled = |wanted: &dyn Fn(usize) -> bool| {
            let judged = judged.iter().enumerate().filter(|(index, _)| wanted(*index));
            let (sums, accuracies): (Vec<f64>, Vec<f64>) = judged
                .map(|(_, network)| (-network.losses.iter().sum::<f64>(), network.accuracy))
                .unzip();
            kendall_tau(&sums, &accuracies)
        };
        let left_out = LeftOutPairs::new(&judged, stages, blocks);
        let (distilled_tau, corrected_tau) = (distilled(&|_| true), left_out.tau());
        let interval = |tau: Option<f64>, without: &dyn Fn(usize) -> Option<f64>| {
            Interval::of_correlation(tau?, judged.len(), without)
        };
        let factors = match (distilled_tau, corrected_tau) {
            (Some(distilled), Some(corrected)) if corrected > distilled => {
                loss_factors::fit(&judged, stages, blocks)
            }
            _ => vec![vec![1.0; blocks]; stages],
        };
        Self {
            factors,
            networks,
            distilled_tau,
            distilled_interval: interval(distilled_tau, &|one| distilled(&|other| other != one)),
            corrected_tau,
            corrected_interval: interval(corrected_tau, &|one| left_out.tau_without(one)),
        }
    }

    /// Whether a factor is other than 1.
    pub fn is_applied(&self) -> bool {
        self.factors.iter().flatten().any(|factor| *factor != 1.0)
    }
}

/// Finds out what the losses of block types are worth.
pub struct Correct;

impl Step for Correct {
    const NAME: &'static str = "correct";
    const SUMMARY: &'static str =
        "train a few networks for a short time, to see what the losses of block types are worth";
    const READS: &'static [&'static str] = &[Tables::NAME, Distil::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;

    type Settings = CorrectSettings;
    type Output = Correction;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: CorrectSettings,
    ) -> Result<Correction, StepError> {
        let study = context.study();
        let (tables, distilled) = (context.get(&Tables::OUTPUT)?, context.get(&Distil::OUTPUT)?);
        let losses: Vec<Vec<f64>> = tables
            .iter()
            .zip(&distilled)
            .map(|(table, distilled)| distilled.losses(table.rows.len()))
            .collect();
        let drawn = draw(&study.hyperspace, &tables, settings.networks, study.seed);
        let (trainer, images) = (super::trainer(context)?, context.train_context()?);
        let mut tasks = Vec::new();
        for (index, network) in drawn.iter().enumerate() {
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
        let accuracies = context.tasks_anywhere(tasks, study.threads)?;
        for (network, accuracy) in drawn.iter().zip(&accuracies) {
            if accuracy.is_none() {
                context.say(&format!("warning: {} diverged; it says nothing", network.space));
            }
        }
        let judged = drawn.into_iter().zip(accuracies).filter_map(|(network, accuracy)| {
            let loss = |&(table, row): &(usize, usize)| losses[table][row];
            let judged = JudgedNetwork {
                blocks: network.space.blocks.clone(),
                losses: network.rows.iter().map(loss).collect(),
                accuracy: accuracy?,
            };
            Some(CorrectingNetwork { space: network.space, subnet: network.subnet, judged })
        });
        let correction = Correction::new(&study.hyperspace, judged.collect());
        if let Some(line) = line(&correction) {
            context.say(&line);
        }
        Ok(correction)
    }
}

fn line(correction: &Correction) -> Option<String> {
    let Correction { networks, distilled_tau, corrected_tau, .. } = correction;
    let verdict = if correction.is_applied() { "corrected" } else { "left as they are" };
    let networks = networks.len();
    let (distilled, corrected) = (distilled_tau.as_ref()?, corrected_tau.as_ref()?);
    Some(format!(
        "losses rank {networks} networks with tau {distilled:.2}, corrected {corrected:.2} where left out: {verdict}"
    ))
}

/// A network of rows of the quality tables.
struct Drawn {
    space: Space,
    subnet: Subnet,
    /// For each stage: which table, which row.
    rows: Vec<(usize, usize)>,
}

/// Networks of rows whose losses are known. In each stage every block type stands as often as the next, give or take
/// one, so that each is compared with each.
fn draw(hyperspace: &Hyperspace, tables: &[BlockRows], count: usize, seed: u64) -> Vec<Drawn> {
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
            Some(Drawn { space, subnet: Subnet { stages, resolution }, rows })
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
                let is = |network: &&Drawn| network.space.blocks[stage] == block;
                assert_eq!(drawn.iter().filter(is).count(), 4);
            }
        }
        let stem = hyperspace.stem.len();
        for Drawn { space, subnet, rows } in &drawn {
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

    /// Losses that rank networks the right way round are left as they are.
    #[test]
    fn only_what_ranks_networks_better_is_applied() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let drawn = draw(&hyperspace, &tables::draw(&hyperspace, 4, 1), 20, 1);
        let correction = |worth: [f64; 5]| {
            let network = |(index, drawn): (usize, &Drawn)| {
                let loss = 0.1 + 0.01 * index as f64;
                let losses = vec![loss; drawn.space.blocks.len()];
                let of_stage = drawn.space.blocks.iter().map(|&block| worth[block] * loss);
                let accuracy = 1.0 - of_stage.sum::<f64>();
                let judged = JudgedNetwork { blocks: drawn.space.blocks.clone(), losses, accuracy };
                let (space, subnet) = (drawn.space.clone(), drawn.subnet.clone());
                CorrectingNetwork { space, subnet, judged }
            };
            Correction::new(&hyperspace, drawn.iter().enumerate().map(network).collect())
        };
        let right = correction([0.1; 5]);
        assert!(!right.is_applied());
        assert_eq!(right.distilled_tau, Some(1.0));
        let wrong = correction([0.3, 0.1, 0.1, 0.05, 0.02]);
        assert!(wrong.is_applied(), "{wrong:?}");
        assert!(wrong.corrected_tau > wrong.distilled_tau);
        let interval = wrong.corrected_interval.unwrap();
        assert!(interval.low < wrong.corrected_tau.unwrap() && interval.high <= 1.0);
        assert!(interval.high > interval.low && wrong.distilled_interval.is_some());
        assert_eq!(line(&Correction::new(&hyperspace, Vec::new())), None);
    }
}
