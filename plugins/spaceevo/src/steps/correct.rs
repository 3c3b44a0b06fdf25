//! What a loss of a block type is worth: a few whole networks, trained for a short time, say it.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    rank::kendall_tau,
    space::{Hyperspace, Space, Subnet},
    study::{Step, StepContext, StepError, StepNeeds},
};

use super::{distil::Distil, tables::Tables, train_mixed::TrainMixed};
use crate::{
    loss_factors::{self, LeftOutPairs, NetworkLosses},
    report::Interval,
};

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
    pub judged: NetworkLosses,
}

impl Correction {
    fn new(hyperspace: &Hyperspace, networks: Vec<CorrectingNetwork>) -> Self {
        let [stages, blocks] = [hyperspace.stages.len(), hyperspace.candidates.len()];
        let judged: Vec<NetworkLosses> =
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
    const SUMMARY: &'static str = "fit factors to the losses of block types";
    const READS: &'static [&'static str] = &[Tables::NAME, Distil::NAME, TrainMixed::NAME];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;
    const SHARED: bool = true;

    type Settings = ();
    type Output = Correction;

    fn run(&self, context: &dyn StepContext, (): ()) -> Result<Correction, StepError> {
        let hyperspace = &context.study().hyperspace;
        let (tables, distilled) = (context.get(&Tables::OUTPUT)?, context.get(&Distil::OUTPUT)?);
        let losses: Vec<Vec<f64>> = tables
            .iter()
            .zip(&distilled)
            .map(|(table, distilled)| distilled.losses(table.rows.len()))
            .collect();
        let networks = context.get(&TrainMixed::OUTPUT)?;
        let judged = networks.into_iter().filter_map(|network| {
            let loss = |&(table, row): &(usize, usize)| losses[table][row];
            let judged = NetworkLosses {
                blocks: network.space.blocks.clone(),
                losses: network.rows.iter().map(loss).collect(),
                accuracy: network.accuracy?,
            };
            Some(CorrectingNetwork { space: network.space, subnet: network.subnet, judged })
        });
        let correction = Correction::new(hyperspace, judged.collect());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hyperspaces,
        steps::train_mixed::{MixedNetwork, draw},
        tables,
    };

    /// Losses that rank networks the right way round are left as they are.
    #[test]
    fn only_what_ranks_networks_better_is_applied() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let drawn = draw(&hyperspace, &tables::draw(&hyperspace, 4, 1), 20, 1);
        let correction = |worth: [f64; 5]| {
            let network = |(index, drawn): (usize, &MixedNetwork)| {
                let loss = 0.1 + 0.01 * index as f64;
                let losses = vec![loss; drawn.space.blocks.len()];
                let of_stage = drawn.space.blocks.iter().map(|&block| worth[block] * loss);
                let accuracy = 1.0 - of_stage.sum::<f64>();
                let judged = NetworkLosses { blocks: drawn.space.blocks.clone(), losses, accuracy };
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
