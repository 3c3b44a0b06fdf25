//! The teacher: trained by the study, its features kept for all blocks of a stage.

use std::fs;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepContext, StepError, Task},
    operators::BlockConfig,
    space::{BlockChoice, Candidate, ElasticStage, SubStage, Subnet},
    train::{FeaturesJob, TeachJob, TrainReport},
};

use crate::{
    parts,
    settings::{self, TeachSettings},
};

/// What the teacher achieves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Taught {
    /// Share of test images classified correctly.
    pub test_accuracy: f64,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: TeachSettings = settings::of(context, "teach")?;
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let job = job(context.parts(), &settings)?;
    let subnet = Subnet { resolution: train.canvas, ..job.subnet.clone() };
    let macs = parts::whole(context.parts(), &job.stages, &subnet)?.macs()? as f64 / 1e6;
    context.say(&format!("the teacher computes {macs:.1} million multiply-adds per image"));
    let teach = Task::new("teacher", |files, monitor| {
        let report = trainer.teach(&train, &job, &files.output, &files.scratch, monitor)?;
        Ok(serde_json::to_value(report)?)
    });
    context.tasks(vec![teach], 1)?;
    let report: TrainReport = super::result(context, "teach/teacher")?;
    context.say(&format!("teacher: {:.2} % of held-out images", 100.0 * report.held_out_accuracy));
    let weights = context.path("teach/teacher")?;
    let failed = |error| StepError::Failed(format!("{}: {error}", weights.display()));
    context.publish("teacher.safetensors", &fs::read(&weights).map_err(failed)?)?;
    let features = Task::new("features", |files, monitor| {
        let job = FeaturesJob {
            teacher: job.clone(),
            weights: weights.clone(),
            train_images: settings.distil_images,
            judge_images: settings.judge_images,
        };
        let test_accuracy = trainer.features(&train, &job, &files.output, monitor)?;
        Ok(serde_json::to_value(Taught { test_accuracy })?)
    });
    context.tasks(vec![features], 1)?;
    let taught: Taught = super::result(context, "teach/features")?;
    context.say(&format!("teacher: {:.2} % of test images", 100.0 * taught.test_accuracy));
    Ok(())
}

/// Whether the teacher can be built.
pub fn check(parts: &Parts, settings: &TeachSettings) -> Result<(), StepError> {
    let job = job(parts, settings)?;
    let resolution = parts.hyperspace.resolutions.iter().max().copied().unwrap_or(1);
    let subnet = Subnet { resolution, ..job.subnet };
    parts::whole(parts, &job.stages, &subnet).map(drop).map_err(|error| StepError::Study {
        message: format!("[teach]: {error}"),
        hint: "`block` and `config` must be a block type with a value for each of its axes".into(),
    })
}

/// The teacher as the only subnet of stages that have one choice each; names and strides are the
/// hyperspace's.
fn job(study: &Parts, settings: &TeachSettings) -> Result<TeachJob, StepError> {
    let hyperspace = &study.hyperspace;
    let count = hyperspace.stages.len();
    let per_stage = |name: &str, given: &[usize], default: Vec<usize>| match given.len() {
        0 => Ok(default),
        length if length == count && !given.contains(&0) => Ok(given.to_vec()),
        length => Err(StepError::Study {
            message: format!("[teach]: `{name}` has {length} entries, or a zero among them"),
            hint: format!(
                "give one positive number for each of the {count} stages, or leave it empty"
            ),
        }),
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
    let subnet = Subnet { stages: stages.iter().map(sub_stage).collect(), resolution: 0 };
    Ok(TeachJob {
        stages,
        subnet,
        weights: (!settings.weights.is_empty()).then(|| settings.weights.clone().into()),
        phase: settings.phase.clone(),
        augmentation: settings.augmentation,
        label_smoothing: settings.label_smoothing,
    })
}
