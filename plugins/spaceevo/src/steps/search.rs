//! The best subnet within each latency budget.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    space::{Space, Subnet},
    study::{
        Artifact, FieldError, Section, Step, StepContext, StepError, StepNeeds, StudyContext, Task,
        TaskFiles,
    },
    train::{EvaluateJob, Monitor, TrainContext, Trainer},
};

use super::{
    evolve::Evolve,
    measure::Measure,
    train::{self, Train},
};
use crate::{
    accuracy::Accuracies,
    network_parts::PartLatencies,
    settings::{MeasureSettings, SearchSettings},
    subnet_search::{FoundSubnet, LatencyRange, SubnetSearch},
};

/// The subnet found for one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChosenSubnet {
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// The subnet.
    pub subnet: Subnet,
    /// Sum of its parts.
    pub predicted_ms: f64,
    /// Share of the judged held-out images that it classifies correctly.
    pub held_out_accuracy: f64,
    /// Subnets whose accuracy was computed for this budget.
    pub evaluations: usize,
}

/// What became of one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOutcome {
    /// The best subnet.
    Found(ChosenSubnet),
    /// No subnet of the space keeps to the budget.
    Infeasible {
        /// The budget in milliseconds.
        budget_ms: f64,
        /// Latencies that the space has.
        #[serde(flatten)]
        range: LatencyRange,
    },
}

impl BudgetOutcome {
    /// The subnet, if one was found.
    pub fn chosen(&self) -> Option<&ChosenSubnet> {
        match self {
            Self::Found(chosen) => Some(chosen),
            Self::Infeasible { .. } => None,
        }
    }
}

/// The subnets that were found, with the positions of their budgets.
pub fn found(outcomes: &[BudgetOutcome]) -> impl Iterator<Item = (usize, &ChosenSubnet)> {
    outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.chosen()?)))
}

/// Searches for the best subnet within each budget.
pub struct Search;

impl Search {
    /// What became of one budget.
    fn of_budget(index: usize) -> Artifact<BudgetOutcome> {
        Artifact::of_task(Self::NAME, format!("budget-{index}"))
    }
}

impl Step for Search {
    const NAME: &'static str = "search";
    const SUMMARY: &'static str = "search for the best subnet within each budget";
    const READS: &'static [&'static str] = &[Measure::NAME, Evolve::NAME, Train::NAME];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: false };

    type Settings = SearchSettings;
    /// In the order of the budgets.
    type Output = Vec<BudgetOutcome>;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: SearchSettings,
    ) -> Result<Vec<BudgetOutcome>, StepError> {
        let latencies = context.get(&Measure::OUTPUT)?.own;
        let evolved = context.get(&Evolve::OUTPUT)?;
        let trainer = super::trainer(context)?;
        let train = context.train_context()?;
        let weights = context.file(&Train::SUPERNET)?.join(train::INT8);
        let searcher = &Searcher {
            job: settings.job(context.study(), evolved.space(), weights),
            context,
            settings,
            trainer: trainer.as_ref(),
            train: &train,
        };
        let task = |(index, &budget): (usize, &f64)| {
            searcher.task(Self::of_budget(index).task().to_owned(), budget)
        };
        let tasks = latencies.budgets_ms.iter().enumerate().map(task).collect();
        let outcomes = context.tasks(tasks, 1)?;
        for outcome in &outcomes {
            context.say(&line(outcome));
        }
        match outcomes.last() {
            Some(BudgetOutcome::Infeasible { budget_ms, range })
                if found(&outcomes).next().is_none() =>
            {
                let reason = format!("no subnet of the space takes at most {budget_ms:.3} ms");
                let hint = format!("its subnets take {range}: set `budgets` of [measure] within");
                Err(FieldError::refused(MeasureSettings::NAME, "budgets", reason, hint).into())
            }
            _ => Ok(outcomes),
        }
    }
}

fn line(outcome: &BudgetOutcome) -> String {
    match outcome {
        BudgetOutcome::Found(chosen) => format!(
            "{:.3} ms: {} takes {:.3} ms, {:.2} % of held-out images",
            chosen.budget_ms,
            chosen.subnet,
            chosen.predicted_ms,
            100.0 * chosen.held_out_accuracy
        ),
        BudgetOutcome::Infeasible { budget_ms, range } => {
            format!("warning: no subnet takes at most {budget_ms:.3} ms; the space's take {range}")
        }
    }
}

impl SearchSettings {
    /// How subnets of a supernet are judged in a search.
    pub fn job(&self, study: &StudyContext, space: &Space, weights: PathBuf) -> EvaluateJob {
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
pub(crate) struct Searcher<'a> {
    /// The step that searches.
    pub context: &'a dyn StepContext,
    /// How.
    pub settings: SearchSettings,
    /// Judges subnets.
    pub trainer: &'a dyn Trainer,
    /// Images.
    pub train: &'a TrainContext,
    /// As [`SearchSettings::job`] gives it.
    pub job: EvaluateJob,
}

impl Searcher<'_> {
    /// The task that looks for the best subnet within a budget.
    pub fn task(&self, name: String, budget_ms: f64) -> Task<'_, BudgetOutcome> {
        Task::new(name, move |files, monitor| self.choose(budget_ms, files, monitor))
    }

    fn choose(
        &self,
        budget_ms: f64,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<BudgetOutcome, StepError> {
        let Self { context, settings, trainer, train, job } = self;
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
        let mut latency = |subnets: &[Subnet]| known.of(*context, &job.stages, subnets);
        let total = search.evaluations();
        let mut accuracy = |subnets: &[Subnet]| accuracies.of(subnets, total, monitor);
        Ok(match search.run(&mut latency, &mut accuracy)? {
            Ok(FoundSubnet { subnet, latency_ms, accuracy, evaluations }) => {
                BudgetOutcome::Found(ChosenSubnet {
                    budget_ms,
                    subnet,
                    predicted_ms: latency_ms,
                    held_out_accuracy: accuracy,
                    evaluations,
                })
            }
            Err(range) => BudgetOutcome::Infeasible { budget_ms, range },
        })
    }
}
