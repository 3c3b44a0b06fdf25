//! The supernet of the space that was found.

use std::{collections::BTreeMap, fs};

use spacewright_core::{
    space::Space,
    study::{Artifact, FileError, Step, StepContext, StepError, StepNeeds, Task, TaskFiles},
    train::{
        Guidance, Monitor, Start, SubnetJob, SupernetJob, TrainContext, TrainError, TrainReport,
        Trainer, TwoPhaseFiles,
    },
};

use super::{
    distil::{Distil, Distilled},
    evolve::Evolve,
    teach::Teach,
};
use crate::settings::TrainSettings;

/// File of the weights after the phase without quantizers, below the folder of a supernet.
pub const FP32: &str = "fp32.safetensors";
/// File of the weights after the phase with quantizers; see [`FP32`].
pub const INT8: &str = "int8.safetensors";

/// What a network, or the largest subnet of a supernet, achieves after each phase: `fp32`, `int8`.
pub type PhaseReports = BTreeMap<String, TrainReport>;

/// Trains the supernet of the space that was found.
pub struct Train;

impl Train {
    /// The supernet; its folder holds [`FP32`] and [`INT8`].
    pub const SUPERNET: Artifact<PhaseReports> = Artifact::new(Self::NAME, "supernet");
}

impl Step for Train {
    const NAME: &'static str = "train";
    const SUMMARY: &'static str = "train the supernet of the space";
    const READS: &'static [&'static str] = &[Teach::NAME, Distil::NAME, Evolve::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;

    type Settings = TrainSettings;
    type Output = PhaseReports;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: TrainSettings,
    ) -> Result<PhaseReports, StepError> {
        let evolved = context.get(&Evolve::OUTPUT)?;
        let supernet = Self::SUPERNET;
        let supernet = Supernet::new(supernet.task(), evolved.space(), context);
        let reports = supernets(context, &settings, &[supernet])?.remove(0);
        for (phase, report) in &reports {
            let share = 100.0 * report.held_out_accuracy;
            context.say(&format!("largest subnet, {phase}: {share:.2} % of held-out images"));
        }
        Ok(reports)
    }
}

/// A supernet that is to be trained.
pub(crate) struct Supernet {
    /// Name of its task.
    pub task: String,
    /// Its space.
    pub space: Space,
    /// Seed of its training.
    pub seed: u64,
}

impl Supernet {
    /// With the study's seed.
    pub fn new(task: &str, space: &Space, context: &dyn StepContext) -> Self {
        Self { task: task.to_owned(), space: space.clone(), seed: context.study().seed }
    }
}

/// Trains supernets, one after the other: each uses all threads, so that all are trained alike.
pub(crate) fn supernets(
    context: &dyn StepContext,
    settings: &TrainSettings,
    supernets: &[Supernet],
) -> Result<Vec<PhaseReports>, StepError> {
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let mut tasks = Vec::new();
    for Supernet { task, space, seed } in supernets {
        let train = TrainContext { seed: *seed, ..train.clone() };
        let (trainer, job) = (trainer.as_ref(), job(context, settings, space)?);
        tasks.push(Task::new(task, move |files, monitor| {
            Ok(trainer.train(&train, &job, &two_phase_files(files)?, monitor)?)
        }));
    }
    let reports = context.tasks(tasks, 1)?;
    for (supernet, phases) in supernets.iter().zip(&reports) {
        warn_of_int8_loss(context, &supernet.task, phases);
    }
    Ok(reports)
}

/// Trains a subnet alone, with the files of a task; `None` where its training diverges.
pub(crate) fn alone(
    trainer: &dyn Trainer,
    train: &TrainContext,
    job: &SubnetJob,
    files: &TaskFiles,
    monitor: &dyn Monitor,
) -> Result<Option<PhaseReports>, StepError> {
    match trainer.train_subnet(train, job, &two_phase_files(files)?, monitor) {
        Ok(phases) => Ok(Some(phases)),
        Err(TrainError::Diverged { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files of a task that trains in two phases, in a folder that is made: [`FP32`] and [`INT8`].
pub(crate) fn two_phase_files(files: &TaskFiles) -> Result<TwoPhaseFiles, FileError> {
    let TaskFiles { output, scratch } = files;
    fs::create_dir_all(output).map_err(FileError::at(output))?;
    let [fp32, int8] = [FP32, INT8].map(|file| output.join(file));
    Ok(TwoPhaseFiles { fp32, int8, scratch: scratch.clone() })
}

/// Share of the held-out images that a network may lose in INT8 before it is warned about: networks
/// whose quantizers have learned lose less than a hundredth.
const LARGEST_INT8_LOSS: f64 = 0.05;

/// Says so where quantizers cost a network (the largest subnet of a supernet) more than they should.
pub(crate) fn warn_of_int8_loss(context: &dyn StepContext, network: &str, phases: &PhaseReports) {
    let accuracy = |phase: &str| phases.get(phase).map(|report| report.held_out_accuracy);
    let (Some(fp32), Some(int8)) = (accuracy("fp32"), accuracy("int8")) else { return };
    if fp32 - int8 > LARGEST_INT8_LOSS {
        context.say(&format!(
            "warning: {network} has {:.2} % of held-out images in INT8, {:.2} % in FP32; more steps \
             or a smaller rate with quantizers (`int8.steps`, `int8.learning_rate`) may help",
            100.0 * int8,
            100.0 * fp32
        ));
    }
}

/// A supernet that starts from the distilled stages, and from the stem and head of a teacher that has these.
fn job(
    context: &dyn StepContext,
    settings: &TrainSettings,
    space: &Space,
) -> Result<SupernetJob, StepError> {
    let hyperspace = &context.study().hyperspace;
    let teacher = Teach::teacher(context)?;
    // Nodes are called after their stage; a network from outside has none of these but where a study trained it.
    let has = |name: &&String| {
        teacher.graph.nodes.iter().any(|node| node.name.split('.').next() == Some(name.as_str()))
    };
    let stem = hyperspace.stem.iter().map(|stage| &stage.name);
    let fixed = stem.chain(hyperspace.head.iter().map(|head| &head.name)).filter(has);
    let segments = fixed.cloned().collect();
    let mut start = vec![Start { weights: teacher.weights.clone(), segments }];
    for (stage, &block) in space.blocks.iter().enumerate() {
        let artifact = Distil::of(hyperspace, stage, block);
        if let Distilled::Learned(_) = context.get(&artifact)? {
            let segments = vec![hyperspace.stages[stage].name.clone()];
            start.push(Start { weights: context.file(&artifact)?, segments });
        }
    }
    Ok(SupernetJob {
        stages: space.elastic_stages(hyperspace),
        start,
        guidance: Some(Guidance {
            teacher,
            teacher_share: settings.teacher_share,
            views: settings.teacher_views,
        }),
        fp32: settings.fp32.clone(),
        int8: settings.int8.clone(),
        label_smoothing: settings.label_smoothing,
        guide: settings.guide,
        augment: settings.augment.clone(),
        micro_batch: settings.micro_batch,
    })
}
