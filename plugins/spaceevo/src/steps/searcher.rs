//! Searches of trained supernets: finalists within each budget, then a choice among these on more
//! images.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    space::Subnet,
    study::{StepContext, StepError, StudyContext, Task, TaskFiles},
    train::{EvaluateJob, JudgedNetwork, Monitor, TrainContext, Trainer},
};

use super::search::{BudgetOutcome, ChosenSubnet};
use crate::{
    accuracy::Accuracies,
    network_parts::{PartLatencies, whole_network},
    settings::SearchSettings,
    subnet_search::{Finalist, Finalists, LatencyRange, SubnetSearch},
};

/// Searches one trained supernet.
pub(crate) struct Searcher<'a> {
    /// What the names of its tasks begin with.
    pub prefix: String,
    /// How.
    pub settings: SearchSettings,
    /// Judges subnets.
    pub trainer: &'a dyn Trainer,
    /// Images.
    pub train: &'a TrainContext,
    /// As [`SearchSettings::job`] gives it.
    pub job: EvaluateJob,
}

/// A finalist.
#[derive(Debug, Clone, Copy)]
struct Judged {
    /// Share of all held-out images.
    accuracy: f64,
    /// Multiply-adds for one image.
    macs: u64,
}

/// What the search within one budget left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Searched {
    /// The subnets to choose from.
    Feasible(Finalists),
    /// No subnet of the space keeps to the budget.
    Infeasible(LatencyRange),
}

/// Searches supernets within each of the budgets: outcomes by supernet, in the order of the budgets.
pub(crate) fn search(
    context: &dyn StepContext,
    searchers: &[Searcher<'_>],
    budgets_ms: &[f64],
) -> Result<Vec<Vec<BudgetOutcome>>, StepError> {
    let mut tasks = Vec::new();
    for searcher in searchers {
        for (index, &budget_ms) in budgets_ms.iter().enumerate() {
            let name = format!("{}budget-{index}", searcher.prefix);
            tasks.push(Task::new(name, move |files, monitor| {
                searcher.finalists(context, budget_ms, files, monitor)
            }));
        }
    }
    // Searches measure what they do not know, which nothing else may disturb.
    let mut searched = context.tasks(tasks, 1)?.into_iter();
    let mut tasks = Vec::new();
    for searcher in searchers {
        let of_budget: Vec<Searched> = searched.by_ref().take(budgets_ms.len()).collect();
        tasks.push(Task::new(format!("{}final", searcher.prefix), move |files, monitor| {
            let judged = searcher.judge(&of_budget, context.study(), files, monitor)?;
            Ok(choose(budgets_ms, &of_budget, &judged, searcher.train.images.held_out.len()))
        }));
    }
    context.tasks(tasks, 1)
}

impl Searcher<'_> {
    fn finalists(
        &self,
        context: &dyn StepContext,
        budget_ms: f64,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<Searched, StepError> {
        let Self { settings, trainer, train, job, .. } = self;
        let study = context.study();
        let mut accuracies = Accuracies::open(&files.scratch, *trainer, train, job, study.threads)?;
        let mut known = PartLatencies::default();
        let search = SubnetSearch {
            stages: &job.stages,
            resolutions: &study.hyperspace.resolutions,
            budget_ms,
            population: settings.population,
            generations: settings.generations,
            slack: settings.slack,
            seed: study.seed,
        };
        let mut latency = |subnets: &[Subnet]| known.of(context, &job.stages, subnets);
        let total = search.evaluations();
        let mut accuracy = |generation: &[(Subnet, f64)]| {
            let subnets: Vec<Subnet> =
                generation.iter().map(|(subnet, _)| subnet.clone()).collect();
            let found = accuracies.of(&subnets, total, monitor)?;
            let judged = generation.iter().zip(&found);
            let judged = judged.map(|((subnet, latency_ms), accuracy)| JudgedNetwork {
                network: subnet.to_string(),
                latency_ms: *latency_ms,
                accuracy: *accuracy,
            });
            monitor.judged(&judged.collect::<Vec<_>>());
            Ok(found)
        };
        Ok(match search.run(&mut latency, &mut accuracy)? {
            Ok(mut finalists) => {
                finalists.best.truncate(settings.finalists);
                Searched::Feasible(finalists)
            }
            Err(range) => Searched::Infeasible(range),
        })
    }

    /// The finalists of all budgets on all held-out images, by encoding.
    fn judge(
        &self,
        searched: &[Searched],
        study: &StudyContext,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<HashMap<String, Judged>, StepError> {
        let job =
            EvaluateJob { judge_images: self.train.images.held_out.len(), ..self.job.clone() };
        let mut accuracies =
            Accuracies::open(&files.scratch, self.trainer, self.train, &job, study.threads)?;
        let mut subnets: Vec<Subnet> = Vec::new();
        for outcome in searched {
            if let Searched::Feasible(finalists) = outcome {
                subnets.extend(finalists.best.iter().map(|finalist| finalist.subnet.clone()));
            }
        }
        let known = accuracies.of(&subnets, subnets.len(), monitor)?;
        let judged = |(subnet, accuracy): (&Subnet, f64)| {
            let macs = whole_network(study, &self.job.stages, subnet)?.macs()?;
            Ok((subnet.to_string(), Judged { accuracy, macs }))
        };
        subnets.iter().zip(known).map(judged).collect()
    }
}

/// The best finalist of each budget, those of smaller budgets included. Those within one standard error of the most
/// accurate are as good as it, for all that is known: of these the one with the most multiply-adds is taken, which
/// gains the most where it is trained alone. None is less accurate than what a smaller budget has. `judged` holds shares
/// of `images` images and multiply-adds, by encoding.
fn choose(
    budgets_ms: &[f64],
    searched: &[Searched],
    judged: &HashMap<String, Judged>,
    images: usize,
) -> Vec<BudgetOutcome> {
    let mut order: Vec<usize> = (0..budgets_ms.len()).collect();
    order.sort_by(|&a, &b| budgets_ms[a].total_cmp(&budgets_ms[b]));
    let of = |finalist: &Finalist| judged[&finalist.subnet.to_string()];
    let mut outcomes = vec![None; budgets_ms.len()];
    let (mut finalists, mut least) = (Vec::new(), 0.0);
    for index in order {
        let budget_ms = budgets_ms[index];
        let evaluations = match &searched[index] {
            Searched::Feasible(Finalists { best, evaluations }) => {
                finalists.extend(best);
                *evaluations
            }
            Searched::Infeasible(range) => {
                outcomes[index] = Some(BudgetOutcome::Infeasible { budget_ms, range: *range });
                continue;
            }
        };
        let highest = finalists.iter().map(|finalist| of(finalist).accuracy).fold(0.0, f64::max);
        let lowest = f64::max(highest - standard_error(highest, images), least);
        let as_good = finalists.iter().filter(|finalist| of(finalist).accuracy >= lowest);
        let larger = |a: &&&Finalist, b: &&&Finalist| {
            let (a, b) = (of(a), of(b));
            a.macs.cmp(&b.macs).then(a.accuracy.total_cmp(&b.accuracy))
        };
        let taken = as_good.max_by(larger).unwrap_or(&finalists[0]);
        let accuracy = of(taken).accuracy;
        least = accuracy;
        outcomes[index] = Some(BudgetOutcome::Found(ChosenSubnet {
            budget_ms,
            subnet: taken.subnet.clone(),
            predicted_ms: taken.latency_ms,
            held_out_accuracy: accuracy,
            standard_error: standard_error(accuracy, images),
            evaluations,
        }));
    }
    outcomes.into_iter().flatten().collect()
}

/// Standard error of a share of so many images.
pub(crate) fn standard_error(share: f64, images: usize) -> f64 {
    (share * (1.0 - share) / images.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use spacewright_core::random;

    use super::*;
    use crate::hyperspaces;

    /// What is chosen for budgets of 1 ms, which no subnet keeps to, of 4 ms and of 2 ms, each from finalists of such
    /// latencies with such accuracies on 100 images; slower ones have more multiply-adds.
    fn chosen(within_4: &[(f64, f64)], within_2: &[(f64, f64)]) -> Vec<BudgetOutcome> {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
        let mut rng = random::generator(1, &["test"]);
        let mut judged = HashMap::new();
        let mut finalist = |&(latency_ms, accuracy): &(f64, f64)| {
            let subnet = Subnet::random(&stages, &hyperspace.resolutions, &mut rng);
            judged.insert(subnet.to_string(), Judged { accuracy, macs: latency_ms as u64 });
            // What the search saw counts no more.
            Finalist { subnet, latency_ms, accuracy: 1.0 - accuracy }
        };
        let mut feasible = |finalists: &[(f64, f64)]| {
            let best = finalists.iter().map(&mut finalist).collect();
            Searched::Feasible(Finalists { best, evaluations: 5 })
        };
        let infeasible = Searched::Infeasible(LatencyRange { fastest_ms: 1.5, slowest_ms: 9.0 });
        let searched = [infeasible, feasible(within_4), feasible(within_2)];
        choose(&[1.0, 4.0, 2.0], &searched, &judged, 100)
    }

    /// What is chosen within 4 ms from finalists of 3 and 4 ms with these accuracies, beside a bad one of 2 ms.
    fn latency(accuracies: [f64; 2]) -> f64 {
        let within_4 = [(3.0, accuracies[0]), (4.0, accuracies[1])];
        chosen(&within_4, &[(2.0, 0.1)])[1].chosen().unwrap().predicted_ms
    }

    #[test]
    fn a_clearly_better_finalist_is_taken() {
        assert_eq!((latency([0.9, 0.5]), latency([0.5, 0.9])), (3.0, 4.0));
        let outcomes = chosen(&[(3.0, 0.5), (4.0, 0.9)], &[(2.0, 0.1)]);
        assert!(outcomes[0].chosen().is_none());
        let best = outcomes[1].chosen().unwrap();
        assert_eq!((best.budget_ms, best.held_out_accuracy, best.evaluations), (4.0, 0.9, 5));
        assert!((best.standard_error - 0.03).abs() < 1e-12);
    }

    #[test]
    fn of_finalists_that_cannot_be_told_apart_the_larger_is_taken() {
        assert_eq!((latency([0.9, 0.88]), latency([0.9, 0.86])), (4.0, 3.0));
    }

    #[test]
    fn no_network_is_less_accurate_than_that_of_a_smaller_budget() {
        let of = |within_4: &[(f64, f64)], within_2: &[(f64, f64)]| {
            let outcomes = chosen(within_4, within_2);
            [2, 1].map(|index| {
                let network = outcomes[index].chosen().unwrap();
                (network.budget_ms, network.predicted_ms, network.held_out_accuracy)
            })
        };
        // What a larger budget lets in, but the search within it did not find.
        assert_eq!(of(&[(4.0, 0.7)], &[(1.9, 0.9)]), [(2.0, 1.9, 0.9), (4.0, 1.9, 0.9)]);
        // Within one standard error, and larger, but less accurate.
        assert_eq!(of(&[(4.0, 0.89)], &[(1.9, 0.9)]), [(2.0, 1.9, 0.9), (4.0, 1.9, 0.9)]);
        assert_eq!(of(&[(4.0, 0.91)], &[(1.9, 0.9)]), [(2.0, 1.9, 0.9), (4.0, 4.0, 0.91)]);
    }
}
