//! The supernet of the space that was found.

use std::{collections::BTreeMap, fs};

use spacewright_core::{
    method::{StepContext, StepError, Task, TaskFiles},
    space::Space,
    train::{Monitor, Start, SupernetJob, TrainReport},
};

use super::{distil::Distilled, evolve::Evolved};
use crate::{
    rows,
    settings::{self, TrainSettings},
};

/// File of the weights below the task's folder.
pub const FP32: &str = "fp32.safetensors";
/// See [`FP32`].
pub const INT8: &str = "int8.safetensors";

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let evolved: Evolved = super::result(context, "evolve/space")?;
    supernets(context, &[("supernet", &evolved.best[0].space)])?;
    let reports: BTreeMap<String, TrainReport> = super::result(context, "train/supernet")?;
    for (phase, report) in reports {
        let share = 100.0 * report.held_out_accuracy;
        context.say(&format!("largest subnet, {phase}: {share:.2} % of held-out images"));
    }
    Ok(())
}

/// Trains the supernet of each space in a task of the given name, one after the other: each uses
/// all threads, so that all are trained alike.
pub fn supernets(context: &dyn StepContext, spaces: &[(&str, &Space)]) -> Result<(), StepError> {
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let mut tasks = Vec::new();
    for (name, space) in spaces {
        let (trainer, train, job) = (trainer.as_ref(), &train, job(context, space)?);
        tasks.push(Task::new(*name, move |files: &TaskFiles, monitor: &dyn Monitor| {
            let failed = |error: std::io::Error| {
                StepError::Failed(format!("{}: {error}", files.output.display()))
            };
            fs::create_dir_all(&files.output).map_err(failed)?;
            let (fp32, int8) = (files.output.join(FP32), files.output.join(INT8));
            let reports = trainer.train(train, &job, &fp32, &int8, &files.scratch, monitor)?;
            Ok(serde_json::to_value(reports)?)
        }));
    }
    context.tasks(tasks, 1).map(drop)
}

/// A supernet that starts from the teacher's stem and head and from the distilled stages.
fn job(context: &dyn StepContext, space: &Space) -> Result<SupernetJob, StepError> {
    let settings: TrainSettings = settings::of(context, "train")?;
    let hyperspace = &context.parts().hyperspace;
    let stem = hyperspace.stem.iter().map(|stage| &stage.name);
    let fixed = stem.chain(hyperspace.head.iter().map(|head| &head.name)).cloned().collect();
    let mut start = vec![Start { weights: context.path("teach/teacher")?, segments: fixed }];
    for (stage, &block) in space.blocks.iter().enumerate() {
        let artifact = format!("distil/{}", rows::task_name(hyperspace, stage, block));
        if let Distilled::Learned(_) = super::result(context, &artifact)? {
            let segments = vec![hyperspace.stages[stage].name.clone()];
            start.push(Start { weights: context.path(&artifact)?, segments });
        }
    }
    Ok(SupernetJob {
        stages: space.elastic_stages(hyperspace),
        start,
        features: context.path("teach/features")?,
        fp32: settings.fp32,
        int8: settings.int8,
        teacher_share: settings.teacher_share,
        guide: settings.guide,
        augmentation: settings.augmentation,
    })
}
