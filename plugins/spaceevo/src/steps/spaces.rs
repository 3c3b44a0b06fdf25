//! The space that was found against others, trained and searched alike.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision},
    space::Subnet,
    study::{Step, StepContext, StepError, StepFlag, StepNeeds, Task},
    train::{TrainContext, Trainer},
};

use super::{
    evolve::Evolve,
    measure::Measure,
    repeats::{self, TrainRepeats},
    rivals::{Contender, Contenders, TrainManual, TrainRandom},
    sampled::{self, SubnetJudge},
    search::{BudgetOutcome, ChosenSubnet, Search, found},
    searcher::{Searcher, search},
    train::{self, Train},
};
use crate::{
    network_parts::{self, PartLatencies},
    report::{SpacesReport, publish_spaces},
    settings::{RepeatSettings, RivalSettings, SearchSettings, SpacesSettings},
};

/// A chosen network on the test images, in INT8.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TestedSubnet {
    /// Share of the images that it classifies correctly.
    pub accuracy: f64,
    /// A digit for each image: 1 where it classifies it correctly, else 0.
    right: String,
}

impl TestedSubnet {
    fn new(classes: &[u32], labels: &[u32]) -> Self {
        let digit = |(class, label): (&u32, &u32)| if class == label { '1' } else { '0' };
        let right: String = classes.iter().zip(labels).map(digit).collect();
        let count = right.bytes().filter(|digit| *digit == b'1').count();
        Self { accuracy: count as f64 / labels.len().max(1) as f64, right }
    }

    /// Whether it classifies each image correctly.
    pub fn right(&self) -> Vec<bool> {
        self.right.bytes().map(|digit| digit == b'1').collect()
    }
}

/// Latencies of the networks of all spaces, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Latencies {
    /// By training, the chosen networks as measured, with the spread.
    chosen: Vec<Vec<(f64, f64)>>,
    /// By space, the random ones as sums of their parts.
    sampled: Vec<Vec<f64>>,
}

/// What came of one training of a space's supernet.
pub(crate) struct TrainedOutcome<'a> {
    pub contender: &'a Contender,
    pub searched: Vec<BudgetOutcome>,
    /// The chosen networks, in the order of their budgets.
    pub tested: Vec<TestedSubnet>,
    /// Their latencies as measured, in milliseconds, with the spread.
    pub latencies: Vec<(f64, f64)>,
}

impl TrainedOutcome<'_> {
    /// The networks that were chosen, in the order of their budgets.
    pub fn chosen(&self) -> impl Iterator<Item = &ChosenSubnet> {
        chosen(&self.searched)
    }
}

/// What was found out about one space.
pub(crate) struct SpaceOutcome<'a> {
    /// With the study's seed.
    pub first: TrainedOutcome<'a>,
    /// With other seeds.
    pub repeats: Vec<TrainedOutcome<'a>>,
    pub sampled: &'a [Subnet],
    /// INT8, shares of held-out images, of the random networks.
    pub accuracies: Vec<f64>,
    /// Sums of their parts in milliseconds.
    pub sampled_ms: Vec<f64>,
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
        TrainRepeats::NAME,
    ];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: false };
    const EXTRA: bool = true;
    const FLAGS: &'static [StepFlag] = &[repeats::SEEDS];

    type Settings = (SearchSettings, RivalSettings, RepeatSettings, SpacesSettings);
    type Output = SpacesReport;

    fn run(
        &self,
        context: &dyn StepContext,
        (searching, rivals, repeated, settings): Self::Settings,
    ) -> Result<SpacesReport, StepError> {
        let contenders = Contenders::of(context, &rivals)?;
        let spaces = contenders.all();
        let again = repeats::repeats(&contenders, &repeated, &context.get(&Evolve::OUTPUT)?);
        let all: Vec<&Contender> = spaces.iter().copied().chain(&again).collect();
        let study = context.study();
        let budgets_ms = context.get(&Measure::OUTPUT)?.own.budgets_ms;
        let searched = search_all(context, &searching, &budgets_ms, &all)?;
        let draw = |contender: &&Contender| {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            let purpose = ["spaces", contender.name.as_str()];
            let resolutions = &study.hyperspace.resolutions;
            sampled::draw(&stages, resolutions, settings.subnets, study.seed, &purpose)
        };
        let drawn: Vec<Vec<Subnet>> = spaces.iter().map(draw).collect();
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
        let tested = test(&judge, &all, &searched)?;
        let accuracies = judge_sampled(&judge, &spaces, &drawn)?;
        let latencies = latencies(context, &all, &searched, &drawn)?;
        let trained = all.iter().zip(searched).zip(tested).zip(latencies.chosen).map(
            |(((contender, searched), tested), latencies)| TrainedOutcome {
                contender,
                searched,
                tested,
                latencies,
            },
        );
        let mut first: Vec<TrainedOutcome<'_>> = trained.collect();
        let mut repeated = first.split_off(spaces.len());
        let judged = first.into_iter().zip(&drawn).zip(accuracies).zip(latencies.sampled);
        let mut outcomes = Vec::new();
        for (((first, sampled), accuracies), sampled_ms) in judged {
            let name = &first.contender.name;
            let repeats = repeated.extract_if(.., |again| again.contender.name == *name).collect();
            outcomes.push(SpaceOutcome { first, repeats, sampled, accuracies, sampled_ms });
        }
        let left_out = contenders.left_out.clone();
        let report = SpacesReport::new(context, budgets_ms, &outcomes, left_out)?;
        publish_spaces(context, &report, &outcomes)?;
        Ok(report)
    }
}

/// The same search after every training; that of the found space with the study's seed is the study's own.
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
            prefix: format!("search-{}-", rival.label()),
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

/// The chosen networks on the test images.
fn test(
    judge: &SubnetJudge<'_>,
    contenders: &[&Contender],
    searched: &[Vec<BudgetOutcome>],
) -> Result<Vec<Vec<TestedSubnet>>, StepError> {
    let mut tasks = Vec::new();
    for (contender, searched) in contenders.iter().zip(searched) {
        let job = judge.job(contender)?;
        let (trainer, images): (&dyn Trainer, &TrainContext) = (judge.trainer, judge.train);
        tasks.push(Task::new(format!("test-{}", contender.label()), move |_, monitor| {
            let labels = images.images.labels(&images.images.test);
            let mut evaluator = trainer.evaluator(images, &job)?;
            let mut tested = Vec::new();
            for chosen in chosen(searched) {
                if monitor.cancelled() {
                    return Err(StepError::Cancelled);
                }
                let predictions = evaluator.recalibrate(&chosen.subnet)?.test_predictions()?;
                tested.push(TestedSubnet::new(&predictions.classes, &labels));
                monitor.progress(tested.len(), searched.len(), "test set");
            }
            Ok(tested)
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
) -> Result<Latencies, StepError> {
    let measure = || {
        let study = context.study();
        let stages = |contender: &&Contender| contender.space.elastic_stages(&study.hyperspace);
        let mut queries = Vec::new();
        for (contender, searched) in contenders.iter().zip(searched) {
            for chosen in chosen(searched) {
                let graph =
                    network_parts::whole_network(study, &stages(contender), &chosen.subnet)?;
                queries.push(network_parts::query(graph, Position::Whole, Precision::Int8));
            }
        }
        let mut known = PartLatencies::default();
        let parts = contenders.iter().zip(drawn);
        let sampled = parts.map(|(contender, drawn)| known.of(context, &stages(contender), drawn));
        let sampled = sampled.collect::<Result<_, StepError>>()?;
        let mut measured = context.latencies(&queries)?.into_iter().map(|l| (l.ms, l.spread_ms));
        let of_training = |searched: &Vec<BudgetOutcome>| {
            measured.by_ref().take(chosen(searched).count()).collect()
        };
        Ok(Latencies { chosen: searched.iter().map(of_training).collect(), sampled })
    };
    context.task(Task::new("latency", |_, _| measure()))
}
