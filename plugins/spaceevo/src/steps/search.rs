//! The best subnet within each latency budget.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::milliseconds,
    space::{Space, Subnet},
    study::{FieldError, Section, Step, StepContext, StepError, StepNeeds, StudyContext},
    train::EvaluateJob,
};

use super::{
    evolve::Evolve,
    measure::Measure,
    on_runtime::OnRuntime,
    searcher::{Searcher, search},
    train::{self, Train},
};
use crate::{
    settings::{MeasureSettings, SearchSettings, TrainSettings},
    subnet_search::LatencyRange,
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
    /// Share of all held-out images that it classifies correctly.
    pub held_out_accuracy: f64,
    /// Standard error of this share, by the number of images.
    pub standard_error: f64,
    /// Subnets whose accuracy was computed for this budget.
    pub evaluations: usize,
}

/// What became of one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOutcome {
    /// The best subnet. Reports have a network for it instead.
    #[schemars(skip)]
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
        let job = settings.job(context.study(), evolved.space(), weights);
        let searcher = Searcher {
            prefix: String::new(),
            job: job.clone(),
            settings,
            trainer: trainer.as_ref(),
            train: &train,
        };
        let outcomes = search(context, &[searcher], &latencies.budgets_ms)?.remove(0);
        for outcome in &outcomes {
            context.say(&line(outcome));
        }
        if let (Some((_, first)), Ok(runtime)) =
            (found(&outcomes).next(), context.study().target.runtime())
        {
            let network = trainer.evaluator(&train, &job)?.recalibrate(&first.subnet)?.network()?;
            let on = OnRuntime { study: context.study(), train: &train, runtime: runtime.as_ref() };
            on.accepts(&network).map_err(refused)?;
        }
        match nothing_found(&outcomes) {
            Some(error) => Err(error.into()),
            None => Ok(outcomes),
        }
    }
}

/// What is wrong where no budget has a subnet, told of the largest.
fn nothing_found(outcomes: &[BudgetOutcome]) -> Option<FieldError> {
    let infeasible = |outcome: &BudgetOutcome| match outcome {
        BudgetOutcome::Found(_) => None,
        BudgetOutcome::Infeasible { budget_ms, range } => Some((*budget_ms, *range)),
    };
    let all: Vec<_> = outcomes.iter().map(infeasible).collect::<Option<_>>()?;
    let (ms, range) = all.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let reason = format!("no subnet of the space takes at most {} ms", milliseconds(ms));
    let hint = format!("its subnets take {range}: set `budgets` of [measure] within");
    Some(FieldError::refused(MeasureSettings::NAME, "budgets", reason, hint))
}

/// A network of the supernet that the target's runtime does not take.
fn refused(error: StepError) -> FieldError {
    let reason = format!("the target's runtime refuses a network of the supernet: {error}");
    let hint = "its scales may be out of range: train at a smaller rate, or for more steps";
    FieldError::refused(TrainSettings::NAME, "int8", reason, hint)
}

fn line(outcome: &BudgetOutcome) -> String {
    match outcome {
        BudgetOutcome::Found(chosen) => format!(
            "{} ms: {} takes {} ms, {:.2} ± {:.2} % of held-out images",
            milliseconds(chosen.budget_ms),
            chosen.subnet,
            milliseconds(chosen.predicted_ms),
            100.0 * chosen.held_out_accuracy,
            100.0 * chosen.standard_error
        ),
        BudgetOutcome::Infeasible { budget_ms, range } => {
            let ms = milliseconds(*budget_ms);
            format!("warning: no subnet takes at most {ms} ms; the space's take {range}")
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
