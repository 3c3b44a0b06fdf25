//! What one would do without a study: networks of the same latency, each trained alone from random
//! weights for as many images, then quantized.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::{Position, Precision, milliseconds},
    quant::TrainedNetwork,
    random,
    search::ScoredSpace,
    space::{Space, Subnet},
    study::{
        FlagValue, Section, Step, StepContext, StepError, StepFlag, StepNeeds, Task, TaskField,
        TaskFiles,
    },
    target::ModelInfo,
    train::{
        EvaluateJob, Monitor, Phase, SubnetJob, TrainContext, TrainError, Trainer, TwoPhaseFiles,
    },
};

use super::{
    evolve::{Evolve, Evolved},
    export::{Export, ExportedNetwork},
    on_runtime::{OnRuntime, quantizer},
    sampled,
    search::{BudgetOutcome, Search, found},
    tables::Tables,
    teach::Teach,
    train,
};
use crate::{
    network_parts::{self, PartLatencies},
    report::{PlainReport, SeenImages},
    settings::{
        CorrectSettings, DistilSettings, FinetuneSettings, PlainSettings, TeachSettings,
        TrainSettings,
    },
};

/// Largest difference of a uniform network's latency from that of the study's network, as a share.
const LATENCY_TOLERANCE: f64 = 0.03;
/// Subnets of the uniform space among which one of the same latency is looked for.
const UNIFORM_SUBNETS: usize = 2000;
/// By how much the sum of the parts may differ, as a share: it may be wrong by some hundredths for both
/// networks.
const PREDICTED_TOLERANCE: f64 = 0.05;
/// So many of these, those with the most multiply-adds, are measured as a whole.
const MEASURED_SUBNETS: usize = 20;
/// Factors on the learning rates at which a network is trained until it does not diverge.
const SLOWER: [f64; 3] = [1.0, 0.3, 0.1];

/// Which network is trained alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RivalKind {
    /// The one that the study offers.
    Chosen,
    /// One of a space with the same block type everywhere.
    Uniform,
}

/// For how many images it is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageShare {
    /// An equal share of those that all trainings of the study saw.
    Study,
    /// An equal share of those that the training of the supernet saw.
    Supernet,
}

/// Accuracies of one training. Shares of the test images, on the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlainAccuracy {
    /// Where it is quantized after training.
    pub post_training: f64,
    /// Where it is trained with quantizers and learns its scales.
    pub int8: f64,
}

/// What a rival achieves.
pub(crate) struct PlainOutcome {
    pub rival: Rival,
    /// Of the whole network.
    pub int8_ms: f64,
    /// By share of the images, then by seed.
    pub trained: [(ImageShare, Vec<PlainAccuracy>); 2],
}

/// A network that rivals those of the study.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rival {
    /// Position, among the study's networks, of the one that it rivals.
    pub network: usize,
    pub kind: RivalKind,
    /// Its space.
    pub space: Space,
    pub subnet: Subnet,
}

impl Rival {
    /// What its trainings are called after.
    fn name(&self) -> String {
        let kind = match self.kind {
            RivalKind::Chosen => "chosen",
            RivalKind::Uniform => "uniform",
        };
        format!("network-{}-{kind}", self.network)
    }
}

/// Trains networks as one would without a study.
pub struct Plain;

impl Step for Plain {
    const NAME: &'static str = "plain";
    const SUMMARY: &'static str =
        "compare the networks with the same and with uniform ones, trained alone";
    const READS: &'static [&'static str] =
        &[Tables::NAME, Evolve::NAME, Search::NAME, Export::NAME];
    const NEEDS: StepNeeds = StepNeeds { training: true, latencies: true, runtime: true };
    const EXTRA: bool = true;
    const FLAGS: &'static [StepFlag] = &[StepFlag {
        flag: "seeds",
        value: FlagValue::Number("N"),
        section: PlainSettings::NAME,
        field: "seeds",
        help: "Times that each network is trained",
    }];
    const TASK_FIELDS: &'static [TaskField] = &[TaskField::new(PlainSettings::NAME, "seeds")];

    type Settings = (
        PlainSettings,
        TeachSettings,
        DistilSettings,
        CorrectSettings,
        TrainSettings,
        FinetuneSettings,
    );
    type Output = PlainReport;

    fn run(
        &self,
        context: &dyn StepContext,
        (settings, teach, distil, correct, train, finetune): Self::Settings,
    ) -> Result<PlainReport, StepError> {
        let study = context.study();
        let networks = distinct(context.get(&Export::OUTPUT)?);
        let subnets = found_subnets(&context.get(&Search::OUTPUT)?);
        let seen = SeenImages {
            networks: subnets,
            teach: Teach::images(study, &teach)?,
            distil: context.get(&Tables::OUTPUT)?.len() * distil.images(),
            correct: correct.networks * correct.images(),
            train: train.images(),
            finetune: subnets * finetune.images(),
        };
        let evolved = context.get(&Evolve::OUTPUT)?;
        let rivals =
            context.task(Task::new("rivals", |_, _| rivals(context, &evolved, &networks)))?;
        let (trainer, images) = (super::trainer(context)?, context.train_context()?);
        let runtime = study.target.runtime()?;
        let alone = TrainedAlone {
            settings: &settings,
            trainer: trainer.as_ref(),
            on: OnRuntime { study, train: &images, runtime: runtime.as_ref() },
        };
        let shares = [ImageShare::Study, ImageShare::Supernet];
        // Seed by seed: what is there of an unfinished comparison says something of all networks.
        let mut tasks = Vec::new();
        for seed in 0..settings.seeds {
            for rival in &rivals {
                for share in shares {
                    tasks.push(alone.task(rival, (share, seen.share(share)), seed));
                }
            }
        }
        let trained = context.tasks_anywhere(tasks, study.threads)?;
        let latencies = context.task(Task::new("latency", |_, _| latencies(context, &rivals)))?;
        let by_seed = trained.chunks_exact((rivals.len() * shares.len()).max(1));
        let outcome = |(index, (rival, int8_ms)): (usize, (Rival, f64))| {
            let of = |share: usize| {
                let place = index * shares.len() + share;
                (shares[share], by_seed.clone().map(|trained| trained[place]).collect())
            };
            PlainOutcome { rival, int8_ms, trained: [of(0), of(1)] }
        };
        let outcomes: Vec<PlainOutcome> =
            rivals.iter().cloned().zip(latencies).enumerate().map(outcome).collect();
        let report = PlainReport::new(study, seen, &settings, &networks, &outcomes)?;
        let text = serde_json::to_string_pretty(&report)? + "\n";
        context.publish("plain.json", text.as_bytes())?;
        Ok(report)
    }
}

/// Each network once, for the smallest of the budgets that it is offered for.
fn distinct(mut networks: Vec<ExportedNetwork>) -> Vec<ExportedNetwork> {
    networks.sort_by(|a, b| a.chosen.budget_ms.total_cmp(&b.chosen.budget_ms));
    let mut seen = HashSet::new();
    let new = |network: &ExportedNetwork| seen.insert(network.verified.encoding.clone());
    networks.into_iter().filter(new).collect()
}

/// How many different subnets were found.
fn found_subnets(outcomes: &[BudgetOutcome]) -> usize {
    let subnets = found(outcomes).map(|(_, chosen)| chosen.subnet.to_string());
    subnets.collect::<HashSet<String>>().len()
}

/// For each network of the study itself and the best uniform one of the same latency, where there
/// is one.
fn rivals(
    context: &dyn StepContext,
    evolved: &Evolved,
    networks: &[ExportedNetwork],
) -> Result<Vec<Rival>, StepError> {
    let uniform = uniform_networks(context, &evolved.uniform)?;
    let mut rivals = Vec::new();
    for (index, ExportedNetwork { chosen, .. }) in networks.iter().enumerate() {
        let own = Rival {
            network: index,
            kind: RivalKind::Chosen,
            space: evolved.space().clone(),
            subnet: chosen.subnet.clone(),
        };
        let near = promising(&uniform, chosen.predicted_ms);
        let candidates = near.iter().map(|network| Rival {
            network: index,
            kind: RivalKind::Uniform,
            space: network.space.clone(),
            subnet: network.subnet.clone(),
        });
        let mut together: Vec<Rival> = std::iter::once(own).chain(candidates).collect();
        let measured = latencies(context, &together)?;
        let macs: Vec<u64> = near.iter().map(|network| network.macs).collect();
        let best = best_uniform(&measured[1..], &macs, measured[0]);
        if best.is_none() {
            context.say(&format!(
                "warning: no uniform network takes {} ms, give or take {:.0} %",
                milliseconds(measured[0]),
                100.0 * LATENCY_TOLERANCE
            ));
        }
        let uniform = best.map(|best| together.swap_remove(best + 1));
        rivals.push(together.swap_remove(0));
        rivals.extend(uniform);
    }
    Ok(rivals)
}

/// A network with the same block type everywhere.
struct UniformNetwork {
    space: Space,
    subnet: Subnet,
    predicted_ms: f64,
    macs: u64,
}

/// Random subnets of the uniform space with the best score: the block that suits the target.
fn uniform_networks(
    context: &dyn StepContext,
    uniform: &[ScoredSpace],
) -> Result<Vec<UniformNetwork>, StepError> {
    let study = context.study();
    let by_score = |a: &&ScoredSpace, b: &&ScoredSpace| a.score.score.total_cmp(&b.score.score);
    let Some(ScoredSpace { space, .. }) = uniform.iter().max_by(by_score) else {
        return Ok(Vec::new());
    };
    let stages = space.elastic_stages(&study.hyperspace);
    let resolutions = &study.hyperspace.resolutions;
    let subnets =
        sampled::draw(&stages, resolutions, UNIFORM_SUBNETS, study.seed, &["plain", "uniform"]);
    let latencies = PartLatencies::default().of(context, &stages, &subnets)?;
    let network = |(subnet, predicted_ms): (Subnet, f64)| {
        let macs = network_parts::whole_network(study, &stages, &subnet)?.macs()?;
        Ok(UniformNetwork { space: space.clone(), subnet, predicted_ms, macs })
    };
    subnets.into_iter().zip(latencies).map(network).collect()
}

/// Networks that may have this latency, by their parts; those with the most multiply-adds, as
/// arithmetic buys accuracy.
fn promising(networks: &[UniformNetwork], predicted_ms: f64) -> Vec<&UniformNetwork> {
    let near = |network: &&UniformNetwork| {
        (network.predicted_ms / predicted_ms - 1.0).abs() <= PREDICTED_TOLERANCE
    };
    let mut near: Vec<&UniformNetwork> = networks.iter().filter(near).collect();
    near.sort_by_key(|network| std::cmp::Reverse(network.macs));
    near.truncate(MEASURED_SUBNETS);
    near
}

/// Which of the networks with these latencies and multiply-adds has the most arithmetic of those that
/// take as long.
fn best_uniform(latencies_ms: &[f64], macs: &[u64], latency_ms: f64) -> Option<usize> {
    let same = |index: &usize| (latencies_ms[*index] / latency_ms - 1.0).abs() <= LATENCY_TOLERANCE;
    (0..macs.len()).filter(same).max_by_key(|&index| macs[index])
}

/// Trains networks alone and runs them on the test images.
struct TrainedAlone<'a> {
    settings: &'a PlainSettings,
    trainer: &'a dyn Trainer,
    on: OnRuntime<'a>,
}

impl TrainedAlone<'_> {
    fn task<'t>(
        &'t self,
        rival: &'t Rival,
        (share, images): (ImageShare, usize),
        seed: usize,
    ) -> Task<'t, PlainAccuracy> {
        let share = match share {
            ImageShare::Study => "study",
            ImageShare::Supernet => "supernet",
        };
        let name = format!("{}-{share}-{seed}", rival.name());
        Task::new(name, move |files, monitor| self.train(rival, images, seed, files, monitor))
    }

    fn train(
        &self,
        rival: &Rival,
        images: usize,
        seed: usize,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<PlainAccuracy, StepError> {
        let Self { settings, trainer, on } = self;
        // By the rival's name: one subnet may rival two networks, and is trained for each.
        let seed = random::seed(on.study.seed, &["plain", &rival.name(), &seed.to_string()]);
        let context = TrainContext { seed, ..on.train.clone() };
        let stages = rival.space.elastic_stages(&on.study.hyperspace);
        let written = train::two_phase_files(files)?;
        for (attempt, slower) in SLOWER.into_iter().enumerate() {
            let [float, quantized] = settings
                .phases(images)
                .map(|phase| Phase { learning_rate: phase.learning_rate * slower, ..phase });
            let job = SubnetJob {
                stages: stages.clone(),
                subnet: rival.subnet.clone(),
                start: None,
                guidance: None,
                fp32: float,
                int8: quantized,
                augment: settings.augment.clone(),
                label_smoothing: settings.label_smoothing,
                threads: 1,
            };
            let scratch = files.scratch.join(format!("attempt-{attempt}"));
            let files = TwoPhaseFiles { scratch, ..written.clone() };
            match trainer.train_subnet(&context, &job, &files, monitor) {
                Err(TrainError::Diverged { .. }) if attempt + 1 < SLOWER.len() => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        let opened = |weights: PathBuf, quantized| {
            let calibration_images = settings.calibration_images;
            let stages = stages.clone();
            let job =
                EvaluateJob { stages, weights, quantized, calibration_images, judge_images: 1 };
            trainer.evaluator(&context, &job)
        };
        let quantizer = quantizer(on.study, &settings.post_training)?;
        let post_training =
            opened(written.fp32, false)?.recalibrate(&rival.subnet)?.post_training(quantizer)?;
        let int8 = opened(written.int8, true)?.recalibrate(&rival.subnet)?.network()?;
        let info = ModelInfo { name: "plain".into(), metadata: BTreeMap::new() };
        let accuracy = |network: &TrainedNetwork| {
            if monitor.cancelled() {
                return Err(StepError::Cancelled);
            }
            let predictions = on.classify(network, rival.subnet.resolution, &info)?;
            Ok(predictions.accuracy(&on.test_labels()))
        };
        Ok(PlainAccuracy { post_training: accuracy(&post_training)?, int8: accuracy(&int8)? })
    }
}

/// Latencies of whole rivals in integers, in milliseconds, with nothing beside them.
fn latencies(context: &dyn StepContext, rivals: &[Rival]) -> Result<Vec<f64>, StepError> {
    let study = context.study();
    let query = |rival: &Rival| {
        let stages = rival.space.elastic_stages(&study.hyperspace);
        let graph = network_parts::whole_network(study, &stages, &rival.subnet)?;
        Ok(network_parts::query(graph, Position::Whole, Precision::Int8))
    };
    let queries = rivals.iter().map(query).collect::<Result<Vec<_>, StepError>>()?;
    Ok(context.latencies(&queries)?.into_iter().map(|latency| latency.ms).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces;

    #[test]
    fn the_most_arithmetic_of_the_same_latency_is_taken() {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let space = hyperspace.uniform_spaces().remove(0);
        let subnet = Subnet::smallest(&space.elastic_stages(&hyperspace), &hyperspace.resolutions);
        let network = |(predicted_ms, macs)| UniformNetwork {
            space: space.clone(),
            subnet: subnet.clone(),
            predicted_ms,
            macs,
        };
        let networks = [(0.98, 5), (1.02, 7), (1.04, 9), (0.8, 8), (0.97, 6)].map(network);
        let near = promising(&networks, 1.0);
        let macs: Vec<u64> = near.iter().map(|network| network.macs).collect();
        assert_eq!(macs, [9, 7, 6, 5]);
        // As a whole they take another time than their parts.
        assert_eq!(best_uniform(&[1.1, 1.05, 1.02, 0.98], &macs, 1.0), Some(2));
        assert_eq!(best_uniform(&[1.1, 1.05, 1.2, 0.9], &macs, 1.0), None);
    }
}
