//! The space that was found against others, trained and searched alike.

mod report;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision},
    method::{StepContext, StepError, Task},
    space::Subnet,
    train::{TrainContext, Trainer},
};

use super::{
    measure::Measured,
    rivals::{Contender, Contenders},
    sampled::{self, Judge},
    search::{self, Chosen, Searched, Searcher},
    train,
};
use crate::{
    parts::{self, PartLatencies},
    settings::{self, SearchSettings, SpacesSettings},
};

/// Latencies of a space's networks, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Latencies {
    /// The chosen networks as measured, with the spread.
    chosen: Vec<(f64, f64)>,
    /// The random ones as sums of their parts.
    sampled: Vec<f64>,
}

/// What was found out about one space.
struct Outcome<'a> {
    contender: &'a Contender,
    searched: Vec<Searched>,
    /// INT8, shares of the test images, of the chosen networks.
    test_accuracies: Vec<f64>,
    sampled: &'a [Subnet],
    /// INT8, shares of held-out images, of the random networks.
    accuracies: Vec<f64>,
    latencies: Latencies,
}

impl Outcome<'_> {
    fn chosen(&self) -> impl Iterator<Item = &Chosen> {
        chosen(&self.searched)
    }
}

fn chosen(searched: &[Searched]) -> impl Iterator<Item = &Chosen> {
    searched.iter().filter_map(|searched| match searched {
        Searched::Found(chosen) => Some(chosen),
        Searched::Infeasible { .. } => None,
    })
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: SpacesSettings = settings::of(context, "spaces")?;
    let contenders = Contenders::of(context)?;
    let all = contenders.all();
    let study = context.parts();
    let searched = search_all(context, &all)?;
    let draw = |contender: &&Contender| {
        let stages = contender.space.elastic_stages(&study.hyperspace);
        let purpose = ["spaces", contender.name.as_str()];
        let resolutions = &study.hyperspace.resolutions;
        sampled::draw(&stages, resolutions, settings.subnets, study.seed, &purpose)
    };
    let drawn: Vec<Vec<Subnet>> = all.iter().map(draw).collect();
    let test_accuracies = test(context, &settings, &all, &searched)?;
    let accuracies = judge(context, &settings, &all, &drawn)?;
    let latencies = latencies(context, &all, &searched, &drawn)?;
    let outcomes: Vec<Outcome<'_>> = all
        .iter()
        .zip(searched)
        .zip(test_accuracies)
        .zip(&drawn)
        .zip(accuracies)
        .zip(latencies)
        .map(|(((((contender, searched), test_accuracies), sampled), accuracies), latencies)| {
            Outcome { contender, searched, test_accuracies, sampled, accuracies, latencies }
        })
        .collect();
    report::run(context, &outcomes, contenders.left_out.clone())
}

/// The same search in every space; that of the found space is the study's own.
fn search_all(
    context: &dyn StepContext,
    contenders: &[&Contender],
) -> Result<Vec<Vec<Searched>>, StepError> {
    let settings: SearchSettings = settings::of(context, "search")?;
    let measured: Measured = super::result(context, "measure/latency")?;
    let trainer = super::trainer(context)?;
    let images = context.train_context()?;
    let mut all = vec![search::all(context)?];
    let mut searchers = Vec::new();
    for rival in &contenders[1..] {
        let weights = context.path(&rival.supernet)?.join(train::INT8);
        searchers.push(Searcher {
            job: settings.job(context.parts(), &rival.space, weights),
            context,
            settings: settings.clone(),
            trainer: trainer.as_ref(),
            train: &images,
        });
    }
    let mut tasks = Vec::new();
    for (rival, searcher) in contenders[1..].iter().zip(&searchers) {
        for (index, &budget) in measured.budgets_ms.iter().enumerate() {
            tasks.push(searcher.task(format!("search-{}-{index}", rival.name), budget));
        }
    }
    // Searches measure what they do not know, which nothing else may disturb.
    let mut results = context.tasks(tasks, 1)?.into_iter();
    for _ in &searchers {
        let of_rival = results.by_ref().take(measured.budgets_ms.len());
        all.push(of_rival.map(serde_json::from_value).collect::<Result<_, _>>()?);
    }
    Ok(all)
}

/// Accuracy of the chosen networks on the test images.
fn test(
    context: &dyn StepContext,
    settings: &SpacesSettings,
    contenders: &[&Contender],
    searched: &[Vec<Searched>],
) -> Result<Vec<Vec<f64>>, StepError> {
    let trainer = super::trainer(context)?;
    let images = &context.train_context()?;
    let judge = looks(context, settings, trainer.as_ref(), images);
    let mut tasks = Vec::new();
    for (contender, searched) in contenders.iter().zip(searched) {
        let (job, trainer) = (judge.job(contender)?, trainer.as_ref());
        tasks.push(Task::new(format!("test-{}", contender.name), move |_, monitor| {
            let mut evaluator = trainer.evaluator(images, &job)?;
            let mut accuracies = Vec::new();
            for chosen in chosen(searched) {
                if monitor.cancelled() {
                    return Err(StepError::Cancelled);
                }
                let predictions = evaluator.test_predictions(&chosen.subnet)?;
                accuracies.push(predictions.accuracy(&images.data.test.labels));
                monitor.progress(accuracies.len(), searched.len(), "test set");
            }
            Ok(serde_json::to_value(accuracies)?)
        }));
    }
    lists(context.tasks(tasks, context.parts().threads)?)
}

/// Accuracy of the random subnets on held-out images.
fn judge(
    context: &dyn StepContext,
    settings: &SpacesSettings,
    contenders: &[&Contender],
    drawn: &[Vec<Subnet>],
) -> Result<Vec<Vec<f64>>, StepError> {
    let trainer = super::trainer(context)?;
    let images = &context.train_context()?;
    let judge = looks(context, settings, trainer.as_ref(), images);
    let mut tasks = Vec::new();
    for (contender, subnets) in contenders.iter().zip(drawn) {
        tasks.push(judge.task(format!("sampled-{}", contender.name), contender, subnets)?);
    }
    lists(context.tasks(tasks, 1)?)
}

fn looks<'a>(
    context: &'a dyn StepContext,
    settings: &SpacesSettings,
    trainer: &'a dyn Trainer,
    train: &'a TrainContext,
) -> Judge<'a> {
    let SpacesSettings { calibration_images, judge_images, .. } = *settings;
    Judge { context, trainer, train, calibration_images, judge_images }
}

fn lists(values: Vec<serde_json::Value>) -> Result<Vec<Vec<f64>>, StepError> {
    Ok(values.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?)
}

/// All latencies, in one task with nothing beside it.
fn latencies(
    context: &dyn StepContext,
    contenders: &[&Contender],
    searched: &[Vec<Searched>],
    drawn: &[Vec<Subnet>],
) -> Result<Vec<Latencies>, StepError> {
    let measure = || {
        let study = context.parts();
        let mut known = PartLatencies::default();
        let mut queries = Vec::new();
        let mut sampled = Vec::new();
        for ((contender, searched), drawn) in contenders.iter().zip(searched).zip(drawn) {
            let stages = contender.space.elastic_stages(&study.hyperspace);
            for chosen in chosen(searched) {
                let graph = parts::whole(study, &stages, &chosen.subnet)?;
                queries.push(parts::query(graph, Position::Whole, Precision::Int8));
            }
            sampled.push(known.of(context, &stages, drawn)?);
        }
        let mut measured = context.latencies(&queries)?.into_iter();
        let of_space = |(searched, sampled): (&Vec<Searched>, Vec<f64>)| {
            let networks = measured.by_ref().take(chosen(searched).count());
            Latencies { chosen: networks.map(|l| (l.ms, l.spread_ms)).collect(), sampled }
        };
        Ok::<_, StepError>(searched.iter().zip(sampled).map(of_space).collect::<Vec<_>>())
    };
    let task = Task::new("latency", |_, _| Ok(serde_json::to_value(measure()?)?));
    let value = context.tasks(vec![task], 1)?.swap_remove(0);
    Ok(serde_json::from_value(value)?)
}
