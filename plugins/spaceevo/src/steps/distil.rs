//! Every (stage, block) learns alone from the teacher's stage; the rows of its tables are judged.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{StepContext, StepError, Task},
    train::{DistilJob, DistilReport, TrainError},
};

use crate::{
    rows::{self, Row},
    settings::{self, DistilSettings, TableSettings},
};

/// What distilling one (stage, block) gave.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distilled {
    /// Losses of the rows, in their order.
    Learned(DistilReport),
    /// Training diverged at every learning rate that was tried.
    Diverged(String),
}

impl Distilled {
    /// Losses of `rows` rows. A block that diverged is worth as much as giving the mean of the
    /// teacher's features, whose noise-to-signal ratio is 1.
    pub fn losses(&self, rows: usize) -> Vec<f64> {
        match self {
            Self::Learned(report) => report.losses.clone(),
            Self::Diverged(_) => vec![1.0; rows],
        }
    }
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: DistilSettings = settings::of(context, "distil")?;
    let tables: TableSettings = settings::of(context, "tables")?;
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let features = context.path("teach/features")?;
    let study = context.parts();
    let hyperspace = &study.hyperspace;
    let task = |(stage, block)| {
        let rows = rows::rows(hyperspace, stage, block, tables.rows, study.seed);
        let row = |row: Row| (row.input_width, row.sub_stage, row.resolution);
        let job = DistilJob {
            stage,
            block,
            features: features.clone(),
            fp32: settings.fp32.clone(),
            int8: settings.int8.clone(),
            rows: rows.into_iter().map(row).collect(),
            calibration_images: settings.calibration_images,
        };
        let (trainer, train) = (&trainer, &train);
        Task::new(rows::task_name(hyperspace, stage, block), move |files, monitor| {
            let distilled =
                match trainer.distil(train, &job, &files.output, &files.scratch, monitor) {
                    Ok(report) => Distilled::Learned(report),
                    Err(error @ TrainError::Diverged { .. }) => {
                        Distilled::Diverged(error.to_string())
                    }
                    Err(error) => return Err(error.into()),
                };
            Ok(serde_json::to_value(distilled)?)
        })
    };
    let tasks = rows::stage_blocks(hyperspace).map(task).collect();
    for value in context.tasks(tasks, study.threads)? {
        if let Distilled::Diverged(reason) = serde_json::from_value(value)? {
            context.say(&format!("warning: {reason}; its loss counts as 1"));
        }
    }
    Ok(())
}
