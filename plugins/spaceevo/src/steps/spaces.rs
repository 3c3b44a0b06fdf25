//! The space that was found against others, trained and searched alike.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision},
    space::Subnet,
    study::{Step, StepContext, StepError, StepNeeds, Task},
    train::{TrainContext, Trainer},
};

use super::{
    evolve::Evolve,
    measure::Measure,
    rivals::{Contender, Contenders, TrainManual, TrainRandom},
    sampled::{self, SubnetJudge},
    search::{BudgetOutcome, ChosenSubnet, Search, found},
    searcher::{Searcher, search},
    train::{self, Train},
};
use crate::{
    network_parts::{self, PartLatencies},
    report::{SpacesReport, publish_spaces},
    settings::{RivalSettings, SearchSettings, SpacesSettings},
};

/// Latencies of a space's networks, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpaceLatencies {
    /// The chosen networks as measured, with the spread.
    pub chosen: Vec<(f64, f64)>,
    /// The random ones as sums of their parts.
    pub sampled: Vec<f64>,
}

/// What was found out about one space.
pub(crate) struct SpaceOutcome<'a> {
    pub contender: &'a Contender,
    pub searched: Vec<BudgetOutcome>,
    /// INT8, shares of the test images, of the chosen networks.
    pub test_accuracies: Vec<f64>,
    pub sampled: &'a [Subnet],
    /// INT8, shares of held-out images, of the random networks.
    pub accuracies: Vec<f64>,
    pub latencies: SpaceLatencies,
}

impl SpaceOutcome<'_> {
    /// The networks that were chosen, in the order of their budgets.
    pub fn chosen(&self) -> impl Iterator<Item = &ChosenSubnet> {
        chosen(&self.searched)
    }
}

fn chosen(searched: &[BudgetOutcome]) -> impl Iterator<Item = &ChosenSubnet> {
    found(searched).map(|(_, chosen)| chosen)
}

/// Compares the space with a random one and the manual ones.
pub struct Spaces;

impl Step for Spaces {
    const NAME: &'static str = "spaces";
    const SUMMARY: &'static str = "compare the space with a random one and the manual ones";
    const READS: &'static [&'static str] = &[
        Measure::NAME,
        Evolve::NAME,
        Train::NAME,
        Search::NAME,
        TrainRandom::NAME,
        TrainManual::NAME,
    ];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: false };
    const EXTRA: bool = true;

    type Settings = (SearchSettings, RivalSettings, SpacesSettings);
    type Output = SpacesReport;

    fn run(
        &self,
        context: &dyn StepContext,
        (searching, rivals, settings): Self::Settings,
    ) -> Result<SpacesReport, StepError> {
        let contenders = Contenders::of(context, &rivals)?;
        let all = contenders.all();
        let study = context.study();
        let budgets_ms = context.get(&Measure::OUTPUT)?.own.budgets_ms;
        let searched = search_all(context, &searching, &budgets_ms, &all)?;
        let draw = |contender: &&Contender| {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            let purpose = ["spaces", contender.name.as_str()];
            let resolutions = &study.hyperspace.resolutions;
            sampled::draw(&stages, resolutions, settings.subnets, study.seed, &purpose)
        };
        let drawn: Vec<Vec<Subnet>> = all.iter().map(draw).collect();
        let trainer = super::trainer(context)?;
        let images = context.train_context()?;
        let SpacesSettings { calibration_images, judge_images, .. } = settings;
        let judge = SubnetJudge {
            context,
            trainer: trainer.as_ref(),
            train: &images,
            calibration_images,
            judge_images,
        };
        let test_accuracies = test(&judge, &all, &searched)?;
        let accuracies = judge_sampled(&judge, &all, &drawn)?;
        let latencies = latencies(context, &all, &searched, &drawn)?;
        let outcomes: Vec<SpaceOutcome<'_>> = all
            .iter()
            .zip(searched)
            .zip(test_accuracies)
            .zip(&drawn)
            .zip(accuracies)
            .zip(latencies)
            .map(
                |(((((contender, searched), test_accuracies), sampled), accuracies), latencies)| {
                    SpaceOutcome {
                        contender,
                        searched,
                        test_accuracies,
                        sampled,
                        accuracies,
                        latencies,
                    }
                },
            )
            .collect();
        let left_out = contenders.left_out.clone();
        let report = SpacesReport::new(context, budgets_ms, &outcomes, left_out)?;
        publish_spaces(context, &report, &outcomes)?;
        Ok(report)
    }
}

/// The same search in every space; that of the found space is the study's own.
fn search_all(
    context: &dyn StepContext,
    settings: &SearchSettings,
    budgets_ms: &[f64],
    contenders: &[&Contender],
) -> Result<Vec<Vec<BudgetOutcome>>, StepError> {
    let trainer = super::trainer(context)?;
    let images = context.train_context()?;
    let mut searchers = Vec::new();
    for rival in &contenders[1..] {
        let weights = context.file(&rival.supernet)?.join(train::INT8);
        searchers.push(Searcher {
            prefix: format!("search-{}-", rival.name),
            job: settings.job(context.study(), &rival.space, weights),
            settings: settings.clone(),
            trainer: trainer.as_ref(),
            train: &images,
        });
    }
    let mut all = vec![context.get(&Search::OUTPUT)?];
    all.extend(search(context, &searchers, budgets_ms)?);
    Ok(all)
}

/// Accuracy of the chosen networks on the test images.
fn test(
    judge: &SubnetJudge<'_>,
    contenders: &[&Contender],
    searched: &[Vec<BudgetOutcome>],
) -> Result<Vec<Vec<f64>>, StepError> {
    let mut tasks = Vec::new();
    for (contender, searched) in contenders.iter().zip(searched) {
        let job = judge.job(contender)?;
        let (trainer, images): (&dyn Trainer, &TrainContext) = (judge.trainer, judge.train);
        tasks.push(Task::new(format!("test-{}", contender.name), move |_, monitor| {
            let mut evaluator = trainer.evaluator(images, &job)?;
            let mut accuracies = Vec::new();
            for chosen in chosen(searched) {
                if monitor.cancelled() {
                    return Err(StepError::Cancelled);
                }
                let predictions = evaluator.recalibrate(&chosen.subnet)?.test_predictions()?;
                accuracies.push(predictions.accuracy(&images.images.labels(&images.images.test)));
                monitor.progress(accuracies.len(), searched.len(), "test set");
            }
            Ok(accuracies)
        }));
    }
    judge.context.tasks(tasks, judge.context.study().threads)
}

/// Accuracy of the random subnets on held-out images.
fn judge_sampled(
    judge: &SubnetJudge<'_>,
    contenders: &[&Contender],
    drawn: &[Vec<Subnet>],
) -> Result<Vec<Vec<f64>>, StepError> {
    let mut tasks = Vec::new();
    for (contender, subnets) in contenders.iter().zip(drawn) {
        tasks.push(judge.task(format!("sampled-{}", contender.name), contender, subnets)?);
    }
    judge.context.tasks(tasks, 1)
}

/// All latencies, in one task with nothing beside it.
fn latencies(
    context: &dyn StepContext,
    contenders: &[&Contender],
    searched: &[Vec<BudgetOutcome>],
    drawn: &[Vec<Subnet>],
) -> Result<Vec<SpaceLatencies>, StepError> {
    let measure = || {
        let study = context.study();
        let mut known = PartLatencies::default();
        let mut queries = Vec::new();
        let mut sampled = Vec::new();
        for ((contender, searched), drawn) in contenders.iter().zip(searched).zip(drawn) {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            for chosen in chosen(searched) {
                let graph = network_parts::whole_network(study, &stages, &chosen.subnet)?;
                queries.push(network_parts::query(graph, Position::Whole, Precision::Int8));
            }
            sampled.push(known.of(context, &stages, drawn)?);
        }
        let mut measured = context.latencies(&queries)?.into_iter();
        let of_space = |(searched, sampled): (&Vec<BudgetOutcome>, Vec<f64>)| {
            let networks = measured.by_ref().take(chosen(searched).count());
            SpaceLatencies { chosen: networks.map(|l| (l.ms, l.spread_ms)).collect(), sampled }
        };
        Ok::<_, StepError>(searched.iter().zip(sampled).map(of_space).collect::<Vec<_>>())
    };
    context.task(Task::new("latency", |_, _| measure()))
}
