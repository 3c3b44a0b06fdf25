//! The chosen subnets, each trained alone from the weights that it has in the supernet.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::milliseconds,
    space::ElasticStage,
    study::{Artifact, Step, StepContext, StepError, StepNeeds, Task},
    train::{Guidance, SubnetJob, SubnetStart},
};

use super::{
    evolve::Evolve,
    search::{ChosenSubnet, Search, found},
    teach::Teach,
    train::{self, PhaseReports, Train},
};
use crate::settings::FinetuneSettings;

/// The network that is offered for a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferedNetwork {
    /// Position of the budget among all budgets.
    pub budget: usize,
    /// As it was searched, for this budget or a smaller one.
    pub chosen: ChosenSubnet,
    /// What training it alone gave; `None` where it keeps the supernet's weights.
    pub finetuned: Option<FinetunedNetwork>,
}

/// What training a subnet alone gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetunedNetwork {
    /// The task that trained it.
    pub task: String,
    /// Accuracy on all held-out images after each phase.
    pub phases: PhaseReports,
}

impl FinetunedNetwork {
    /// Its weights; the folder holds [`train::FP32`] and [`train::INT8`].
    pub fn weights(&self) -> Artifact<Option<PhaseReports>> {
        Artifact::of_task(Finetune::NAME, self.task.clone())
    }
}

/// Trains the chosen subnets alone.
pub struct Finetune;

impl Step for Finetune {
    const NAME: &'static str = "finetune";
    const SUMMARY: &'static str = "train the chosen subnets alone, from the supernet's weights";
    const READS: &'static [&'static str] = &[Teach::NAME, Evolve::NAME, Train::NAME, Search::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;

    type Settings = FinetuneSettings;
    /// In the order of the budgets that the space can keep to.
    type Output = Vec<OfferedNetwork>;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: FinetuneSettings,
    ) -> Result<Vec<OfferedNetwork>, StepError> {
        let outcomes = context.get(&Search::OUTPUT)?;
        let found: Vec<(usize, &ChosenSubnet)> = found(&outcomes).collect();
        // With the supernet's weights a network may be better than trained alone.
        let mut candidates: Vec<Trained> =
            found.iter().map(|(_, chosen)| ((*chosen).clone(), None)).collect();
        if settings.enabled {
            let evolved = context.get(&Evolve::OUTPUT)?;
            let stages = evolved.space().elastic_stages(&context.study().hyperspace);
            candidates.extend(train(context, &settings, &stages, &found)?);
        }
        let offered = offer(&found, &candidates);
        for network in &offered {
            context.say(&line(network));
        }
        Ok(offered)
    }
}

/// A subnet as it was searched, and what training it alone gave.
type Trained = (ChosenSubnet, Option<FinetunedNetwork>);

/// Share of the held-out images, with the weights that the network is deployed with.
fn held_out_accuracy(chosen: &ChosenSubnet, finetuned: Option<&FinetunedNetwork>) -> f64 {
    let trained = finetuned.and_then(|network| network.phases.get("int8"));
    trained.map_or(chosen.held_out_accuracy, |report| report.held_out_accuracy)
}

/// Each subnet once, the slowest first, so that the last to be trained keep nobody waiting for
/// long.
fn distinct<'f>(found: &[(usize, &'f ChosenSubnet)]) -> Vec<(usize, &'f ChosenSubnet)> {
    let mut subnets: Vec<(usize, &ChosenSubnet)> = Vec::new();
    for &(index, chosen) in found {
        if subnets.iter().all(|(_, known)| known.subnet != chosen.subnet) {
            subnets.push((index, chosen));
        }
    }
    subnets.sort_by(|(_, a), (_, b)| b.predicted_ms.total_cmp(&a.predicted_ms));
    subnets
}

fn train(
    context: &dyn StepContext,
    settings: &FinetuneSettings,
    stages: &[ElasticStage],
    found: &[(usize, &ChosenSubnet)],
) -> Result<Vec<Trained>, StepError> {
    let (trainer, images) = (super::trainer(context)?, context.train_context()?);
    let start = SubnetStart {
        supernet: context.file(&Train::SUPERNET)?.join(train::FP32),
        share: settings.supernet_share,
    };
    let guidance = Guidance {
        teacher: Teach::teacher(context)?,
        teacher_share: settings.teacher_share,
        views: settings.teacher_views,
    };
    let subnets = distinct(found);
    let names: Vec<String> = subnets.iter().map(|(index, _)| format!("network-{index}")).collect();
    let (all, mut tasks) = (context.study().threads, Vec::new());
    let (side_by_side, threads_of_last) = shares(subnets.len(), all);
    for (position, (name, (_, chosen))) in names.iter().zip(&subnets).enumerate() {
        let job = SubnetJob {
            stages: stages.to_vec(),
            subnet: chosen.subnet.clone(),
            start: Some(start.clone()),
            guidance: Some(guidance.clone()),
            fp32: settings.fp32.clone(),
            int8: settings.int8.clone(),
            augment: settings.augment.clone(),
            label_smoothing: settings.label_smoothing,
            threads: if position < side_by_side { 1 } else { threads_of_last },
        };
        let (trainer, images) = (trainer.as_ref(), &images);
        tasks.push(Task::new(name, move |files, monitor| {
            train::alone(trainer, images, &job, files, monitor)
        }));
    }
    let last = tasks.split_off(side_by_side);
    let mut reports = context.tasks_anywhere(tasks, all)?;
    reports.extend(context.tasks_anywhere(last, all)?);
    let mut trained = Vec::new();
    for ((task, phases), (_, chosen)) in names.into_iter().zip(reports).zip(subnets) {
        match &phases {
            Some(phases) => train::warn_of_int8_loss(context, &task, phases),
            None => {
                context.say(&format!("warning: {task} diverged; it keeps the supernet's weights"));
            }
        }
        let finetuned = phases.map(|phases| FinetunedNetwork { task, phases });
        trained.push((chosen.clone(), finetuned));
    }
    Ok(trained)
}

/// Of so many networks, how many are trained on one thread each, side by side, until fewer are left than
/// there are threads; and how many threads each of these few then has.
fn shares(networks: usize, threads: usize) -> (usize, usize) {
    let last = networks % threads.max(1);
    (networks - last, threads / last.max(1))
}

/// For each budget the best of the networks that keep to it, on the held-out images, so that a larger
/// budget never has a worse network than a smaller one; of equal ones the fastest.
fn offer(found: &[(usize, &ChosenSubnet)], candidates: &[Trained]) -> Vec<OfferedNetwork> {
    let accuracy = |(chosen, finetuned): &Trained| held_out_accuracy(chosen, finetuned.as_ref());
    let mut ranked: Vec<&Trained> = candidates.iter().collect();
    ranked.sort_by(|a, b| {
        let by_accuracy = accuracy(b).total_cmp(&accuracy(a));
        by_accuracy.then(a.0.predicted_ms.total_cmp(&b.0.predicted_ms))
    });
    let offered = |&(budget, own): &(usize, &ChosenSubnet)| {
        let best = ranked.iter().find(|(chosen, _)| chosen.predicted_ms <= own.budget_ms);
        let (budget_ms, evaluations) = (own.budget_ms, own.evaluations);
        let chosen = best.map_or(own, |(chosen, _)| chosen).clone();
        OfferedNetwork {
            budget,
            chosen: ChosenSubnet { budget_ms, evaluations, ..chosen },
            finetuned: best.and_then(|(_, finetuned)| finetuned.clone()),
        }
    };
    found.iter().map(offered).collect()
}

fn line(network: &OfferedNetwork) -> String {
    let OfferedNetwork { chosen, finetuned, .. } = network;
    format!(
        "{} ms: {} has {:.2} % of held-out images, {:.2} % as searched",
        milliseconds(chosen.budget_ms),
        chosen.subnet,
        100.0 * held_out_accuracy(chosen, finetuned.as_ref()),
        100.0 * chosen.held_out_accuracy
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spacewright_core::{random, space::Subnet, train::TrainReport};

    use super::*;
    use crate::hyperspaces;

    /// Subnets of 2, 3 and 4 ms, each found for that budget.
    fn chosen() -> Vec<ChosenSubnet> {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
        let mut rng = random::generator(1, &["test"]);
        let subnet = |ms| ChosenSubnet {
            budget_ms: ms,
            subnet: Subnet::random(&stages, &hyperspace.resolutions, &mut rng),
            predicted_ms: ms,
            held_out_accuracy: 0.5,
            standard_error: 0.1,
            evaluations: ms as usize,
        };
        [2.0, 3.0, 4.0].map(subnet).to_vec()
    }

    #[test]
    fn no_thread_waits_for_the_last_networks() {
        assert_eq!(shares(3, 2), (2, 2));
        assert_eq!(shares(3, 16), (0, 5));
        assert_eq!(shares(1, 2), (0, 2));
        assert_eq!(shares(4, 2).0, 4);
        assert_eq!(shares(3, 1).0, 3);
    }

    #[test]
    fn each_budget_is_offered_the_best_network_that_keeps_to_it() {
        let chosen = chosen();
        let found: Vec<(usize, &ChosenSubnet)> = chosen.iter().enumerate().collect();
        let trained = |accuracies: [f64; 3]| -> Vec<Trained> {
            let network = |(chosen, held_out_accuracy): (&ChosenSubnet, f64)| {
                let report = TrainReport { held_out_accuracy, loss: None };
                let phases = BTreeMap::from([("int8".to_owned(), report)]);
                (chosen.clone(), Some(FinetunedNetwork { task: String::new(), phases }))
            };
            chosen.iter().zip(accuracies).map(network).collect()
        };
        let offered = |accuracies| -> Vec<f64> {
            let offered = offer(&found, &trained(accuracies));
            // What was asked stays: the budget and what its search cost.
            assert!(offered.iter().zip(&chosen).all(|(network, own)| {
                let OfferedNetwork { chosen, .. } = network;
                (chosen.budget_ms, chosen.evaluations) == (own.budget_ms, own.evaluations)
            }));
            offered.iter().map(|network| network.chosen.predicted_ms).collect()
        };
        assert_eq!(offered([0.6, 0.7, 0.8]), [2.0, 3.0, 4.0]);
        assert_eq!(offered([0.6, 0.8, 0.7]), [2.0, 3.0, 3.0]);
        assert_eq!(offered([0.8, 0.6, 0.8]), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn a_subnet_of_two_budgets_is_trained_once() {
        let mut chosen = chosen();
        chosen[2].subnet = chosen[1].subnet.clone();
        let found: Vec<(usize, &ChosenSubnet)> = chosen.iter().enumerate().collect();
        let trained: Vec<usize> = distinct(&found).iter().map(|(index, _)| *index).collect();
        assert_eq!(trained, [1, 0]);
    }
}
