//! The supernet of the space that was found.

use std::{collections::BTreeMap, fs};

use spacewright_core::{
    method::{StepContext, StepError, Task},
    train::{SupernetJob, TrainReport},
};

use super::evolve::Evolved;
use crate::{
    rows,
    settings::{self, TrainSettings},
};

/// File of the weights below the task's folder.
pub const FP32: &str = "fp32.safetensors";
/// See [`FP32`].
pub const INT8: &str = "int8.safetensors";

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: TrainSettings = settings::of(context, "train")?;
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let hyperspace = &context.parts().hyperspace;
    let evolved: Evolved = super::result(context, "evolve/space")?;
    let space = &evolved.best[0].space;
    let distilled = |(stage, &block): (usize, &usize)| {
        context.path(&format!("distil/{}", rows::task_name(hyperspace, stage, block)))
    };
    // A block that diverged left no weights, and its stage starts at random.
    let mut start: Vec<_> = space.blocks.iter().enumerate().flat_map(distilled).collect();
    start.push(context.path("teach/teacher")?);
    let job = SupernetJob {
        stages: space.elastic_stages(hyperspace),
        start,
        features: context.path("teach/features")?,
        fp32: settings.fp32,
        int8: settings.int8,
        teacher_share: settings.teacher_share,
        augmentation: settings.augmentation,
        checkpoint_steps: settings.checkpoint_steps,
    };
    let work = Task::new("supernet", |files, monitor| {
        let failed = |error: std::io::Error| {
            StepError::Failed(format!("{}: {error}", files.output.display()))
        };
        fs::create_dir_all(&files.output).map_err(failed)?;
        let (fp32, int8) = (files.output.join(FP32), files.output.join(INT8));
        let reports = trainer.train(&train, &job, &fp32, &int8, &files.scratch, monitor)?;
        Ok(serde_json::to_value(reports)?)
    });
    context.tasks(vec![work], 1)?;
    let reports: BTreeMap<String, TrainReport> = super::result(context, "train/supernet")?;
    for (phase, report) in reports {
        let share = 100.0 * report.held_out_accuracy;
        context.say(&format!("largest subnet, {phase}: {share:.2} % of held-out images"));
    }
    Ok(())
}
