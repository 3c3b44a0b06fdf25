//! The teacher: trained by the study.

use std::fs;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    operators::BlockConfig,
    space::{BlockChoice, Candidate, ElasticStage, SubStage, Subnet},
    study::{
        Artifact, FieldError, FileError, Section, Step, StepContext, StepError, StepNeeds,
        StudyContext, Task,
    },
    train::{TeachJob, TeachReport, Teacher},
};

use crate::{network_parts::whole_network, settings::TeachSettings};

/// A trained teacher, all but its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaughtTeacher {
    /// What it achieves.
    pub report: TeachReport,
    /// See [`Teacher::stages`].
    pub stages: Vec<ElasticStage>,
    /// See [`Teacher::subnet`].
    pub subnet: Subnet,
}

/// What the teacher achieves. Shares are fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    /// Of held-out images that it classifies correctly.
    pub held_out_accuracy: f64,
    /// Of test images that it classifies correctly.
    pub test_accuracy: f64,
}

/// Trains the teacher.
pub struct Teach;

impl Teach {
    /// The training of the teacher; its file holds the weights.
    pub const TEACHER: Artifact<TaughtTeacher> = Artifact::new(Self::NAME, "teacher");

    /// The teacher of a study, for other steps.
    pub(crate) fn teacher(context: &dyn StepContext) -> Result<Teacher, StepError> {
        let TaughtTeacher { stages, subnet, .. } = context.get(&Self::TEACHER)?;
        Ok(Teacher { stages, subnet, weights: context.file(&Self::TEACHER)? })
    }
}

impl Step for Teach {
    const NAME: &'static str = "teach";
    const SUMMARY: &'static str = "train the teacher";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;

    type Settings = TeachSettings;
    type Output = Taught;

    fn check(&self, study: &StudyContext, settings: &TeachSettings) -> Result<(), FieldError> {
        let job = job(study, settings)?;
        whole_network(study, &job.stages, &job.subnet).map(drop).map_err(|error| {
            let hint =
                "`block` and `config` must be a block type with a value for each of its axes";
            FieldError::refused(TeachSettings::NAME, "block", error.to_string(), hint)
        })
    }

    fn run(&self, context: &dyn StepContext, settings: TeachSettings) -> Result<Taught, StepError> {
        let trainer = super::trainer(context)?;
        let train = context.train_context()?;
        let job = job(context.study(), &settings)?;
        let macs = whole_network(context.study(), &job.stages, &job.subnet)?.macs()? as f64 / 1e6;
        context.say(&format!("the teacher computes {macs:.1} million multiply-adds per image"));
        let TaughtTeacher { report, .. } =
            context.task(Task::new(Self::TEACHER.task(), |files, monitor| {
                let report = trainer.teach(&train, &job, &files.output, &files.scratch, monitor)?;
                let TeachJob { stages, subnet, .. } = job.clone();
                Ok(TaughtTeacher { report, stages, subnet })
            }))?;
        let TeachReport { held_out_accuracy, test_accuracy, .. } = report;
        context.say(&format!("teacher: {:.2} % of held-out images", 100.0 * held_out_accuracy));
        context.say(&format!("teacher: {:.2} % of test images", 100.0 * test_accuracy));
        let weights = context.file(&Self::TEACHER)?;
        let bytes = fs::read(&weights).map_err(FileError::at(&weights))?;
        context.publish("teacher.safetensors", &bytes)?;
        Ok(Taught { held_out_accuracy, test_accuracy })
    }
}

/// The teacher as the only subnet of stages that have one choice each; names and strides are the
/// hyperspace's.
fn job(study: &StudyContext, settings: &TeachSettings) -> Result<TeachJob, FieldError> {
    let hyperspace = &study.hyperspace;
    let count = hyperspace.stages.len();
    let per_stage = |field: &str, given: &[usize], default: Vec<usize>| match given.len() {
        0 => Ok(default),
        length if length == count && !given.contains(&0) => Ok(given.to_vec()),
        length => Err(FieldError::refused(
            TeachSettings::NAME,
            field,
            format!("has {length} entries, or a zero among them"),
            format!("give one positive number for each of the {count} stages, or leave it empty"),
        )),
    };
    let largest = |widths: &[usize]| widths.iter().max().copied().unwrap_or_default();
    let widths = hyperspace.stages.iter().map(|stage| 2 * largest(&stage.widths)).collect();
    let widths = per_stage("widths", &settings.widths, widths)?;
    let depths = hyperspace.stages.iter().map(|stage| stage.depths[1]).collect();
    let depths = per_stage("depths", &settings.depths, depths)?;

    let mut stages = hyperspace.stem_stages();
    for stage in &mut stages {
        let width =
            if settings.stem_width > 0 { settings.stem_width } else { largest(&stage.widths) };
        stage.widths = vec![width];
        stage.depths = [1, 1];
    }
    let choices =
        settings.config.iter().map(|(axis, value)| (axis.clone(), vec![*value])).collect();
    let candidate =
        Candidate { block: settings.block.clone(), activation: settings.activation, choices };
    for ((stage, width), depth) in hyperspace.stages.iter().zip(widths).zip(depths) {
        stages.push(ElasticStage {
            name: stage.name.clone(),
            stride: stage.stride,
            widths: vec![width],
            depths: [depth, depth],
            candidate: candidate.clone(),
        });
    }
    let block = |stage: &ElasticStage| BlockChoice {
        width: stage.widths[0],
        config: BlockConfig(
            stage.candidate.choices.iter().map(|(a, v)| (a.clone(), v[v.len() - 1])).collect(),
        ),
    };
    let sub_stage = |stage: &ElasticStage| SubStage { blocks: vec![block(stage); stage.depths[1]] };
    let resolutions = hyperspace.resolutions.iter().chain(&hyperspace.table_resolutions);
    let resolution = resolutions.max().copied().unwrap_or(1);
    let subnet = Subnet { stages: stages.iter().map(sub_stage).collect(), resolution };
    Ok(TeachJob {
        stages,
        subnet,
        weights: (!settings.weights.is_empty()).then(|| study.folder.join(&settings.weights)),
        phase: settings.phase.clone(),
        augment: settings.augment.clone(),
        label_smoothing: settings.label_smoothing,
    })
}
