//! The best subnet within each latency budget.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepContext, StepError, Task, TaskFiles},
    space::{Space, Subnet},
    train::{EvaluateJob, Monitor, TrainContext, Trainer},
};

use super::{evolve::Evolved, measure::Measured, train};
use crate::{
    accuracy::Accuracies,
    parts::PartLatencies,
    settings::{self, SearchSettings},
    subnet_search::{Found, Problem, Range, search},
};

/// The subnet found for one budget.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chosen {
    pub budget_ms: f64,
    pub subnet: Subnet,
    /// Sum of its parts.
    pub predicted_ms: f64,
    /// Share of the judged held-out images.
    pub held_out_accuracy: f64,
    /// Subnets whose accuracy was computed for this budget.
    pub evaluations: usize,
}

/// What became of one budget.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Searched {
    /// The best subnet.
    Found(Chosen),
    /// No subnet of the space keeps to the budget.
    Infeasible {
        budget_ms: f64,
        #[serde(flatten)]
        range: Range,
    },
}

/// What became of every budget, in order.
pub fn all(context: &dyn StepContext) -> Result<Vec<Searched>, StepError> {
    let measured: Measured = super::result(context, "measure/latency")?;
    let one = |index| super::result(context, &format!("search/budget-{index}"));
    (0..measured.budgets_ms.len()).map(one).collect()
}

/// The subnets that were found, with the positions of their budgets.
pub fn found(context: &dyn StepContext) -> Result<Vec<(usize, Chosen)>, StepError> {
    let found = |(index, searched)| match searched {
        Searched::Found(chosen) => Some((index, chosen)),
        Searched::Infeasible { .. } => None,
    };
    Ok(all(context)?.into_iter().enumerate().filter_map(found).collect())
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: SearchSettings = settings::of(context, "search")?;
    let measured: Measured = super::result(context, "measure/latency")?;
    let evolved: Evolved = super::result(context, "evolve/space")?;
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let weights = context.path("train/supernet")?.join(train::INT8);
    let searcher = Searcher {
        job: settings.job(context.parts(), &evolved.best[0].space, weights),
        context,
        settings,
        trainer: trainer.as_ref(),
        train: &train,
    };
    let searcher = &searcher;
    let budgets = measured.budgets_ms.iter().enumerate();
    let task = |(index, &budget): (usize, &f64)| searcher.task(format!("budget-{index}"), budget);
    context.tasks(budgets.map(task).collect(), 1)?;
    let searched = all(context)?;
    for searched in &searched {
        context.say(&match searched {
            Searched::Found(chosen) => format!(
                "{:.3} ms: {} takes {:.3} ms, {:.2} % of held-out images",
                chosen.budget_ms,
                chosen.subnet,
                chosen.predicted_ms,
                100.0 * chosen.held_out_accuracy
            ),
            Searched::Infeasible { budget_ms, range } => {
                format!(
                    "warning: no subnet takes at most {budget_ms:.3} ms; the space's take {range}"
                )
            }
        });
    }
    match searched.last() {
        Some(Searched::Infeasible { budget_ms, range }) if found(context)?.is_empty() => {
            Err(StepError::Study {
                message: format!("no subnet of the space takes at most {budget_ms:.3} ms"),
                hint: format!("its subnets take {range}: set `budgets` of [measure] within"),
            })
        }
        _ => Ok(()),
    }
}

impl SearchSettings {
    /// How subnets of a supernet are judged in a search.
    pub fn job(&self, study: &Parts, space: &Space, weights: PathBuf) -> EvaluateJob {
        EvaluateJob {
            stages: space.elastic_stages(&study.hyperspace),
            weights,
            quantized: true,
            calibration_images: self.calibration_images,
            judge_images: self.judge_images,
        }
    }
}

/// Searches one trained supernet.
pub struct Searcher<'a> {
    pub context: &'a dyn StepContext,
    pub settings: SearchSettings,
    pub trainer: &'a dyn Trainer,
    pub train: &'a TrainContext,
    /// As [`SearchSettings::job`] gives it.
    pub job: EvaluateJob,
}

impl Searcher<'_> {
    /// The task that looks for the best subnet within a budget; its result is a [`Searched`].
    pub fn task(&self, name: String, budget_ms: f64) -> Task<'_> {
        Task::new(name, move |files, monitor| {
            Ok(serde_json::to_value(self.choose(budget_ms, files, monitor)?)?)
        })
    }

    fn choose(
        &self,
        budget_ms: f64,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<Searched, StepError> {
        let Self { context, settings, trainer, train, job } = self;
        let study = context.parts();
        let mut accuracies = Accuracies::open(&files.scratch, *trainer, train, job, study.threads)?;
        let mut known = PartLatencies::default();
        let problem = Problem {
            stages: &job.stages,
            resolutions: &study.hyperspace.resolutions,
            budget_ms,
            population: settings.population,
            generations: settings.generations,
            slack: settings.slack,
            seed: study.seed,
        };
        let mut latency = |subnets: &[Subnet]| known.of(*context, &job.stages, subnets);
        let total = problem.evaluations();
        let mut accuracy = |subnets: &[Subnet]| accuracies.of(subnets, total, monitor);
        Ok(match search(&problem, &mut latency, &mut accuracy)? {
            Ok(Found { subnet, latency_ms, accuracy, evaluations }) => Searched::Found(Chosen {
                budget_ms,
                subnet,
                predicted_ms: latency_ms,
                held_out_accuracy: accuracy,
                evaluations,
            }),
            Err(range) => Searched::Infeasible { budget_ms, range },
        })
    }
}
