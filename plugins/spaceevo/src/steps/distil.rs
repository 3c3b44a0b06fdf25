//! Every stage learns alone, with every block type, from the teacher's stage; the rows of its
//! quality tables are judged.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    space::Hyperspace,
    study::{Artifact, Step, StepContext, StepError, StepNeeds, Task},
    train::{DistilJob, DistilReport, FeaturesJob, TrainError},
};

use super::{tables::Tables, teach::Teach};
use crate::{
    settings::{DistilSettings, TeachSettings},
    tables::task_name,
};

/// What distilling one stage with one block type gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// Distils every stage with every block type.
pub struct Distil;

impl Distil {
    /// What the teacher's stages read and give; its folder holds it.
    pub const FEATURES: Artifact<()> = Artifact::new(Self::NAME, "features");

    /// What distilling one stage with one block type gave; its file holds the weights.
    pub fn of(hyperspace: &Hyperspace, stage: usize, block: usize) -> Artifact<Distilled> {
        Artifact::of_task(Self::NAME, task_name(hyperspace, stage, block))
    }
}

impl Step for Distil {
    const NAME: &'static str = "distil";
    const SUMMARY: &'static str =
        "distil every stage with every block type; judge the rows of the quality tables";
    const READS: &'static [&'static str] = &[Tables::NAME, Teach::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;

    type Settings = (DistilSettings, TeachSettings);
    /// In the order of the tables.
    type Output = Vec<Distilled>;

    fn run(
        &self,
        context: &dyn StepContext,
        (settings, teach): Self::Settings,
    ) -> Result<Vec<Distilled>, StepError> {
        let trainer = super::trainer(context)?;
        let train = context.train_context()?;
        let teacher = Teach::teacher(context)?;
        let features = FeaturesJob {
            teacher: teacher.clone(),
            train_images: teach.distil_images,
            judge_images: teach.judge_images,
            cache_bytes: settings.cache_bytes(),
        };
        context.task(Task::new(Self::FEATURES.task(), |files, monitor| {
            Ok(trainer.features(&train, &features, &files.output, monitor)?)
        }))?;
        let features = context.file(&Self::FEATURES)?;
        let study = context.study();
        let mut tasks = Vec::new();
        for table in context.get(&Tables::OUTPUT)? {
            let (trainer, train) = (&trainer, &train);
            let name = table.task_name(&study.hyperspace);
            let job = DistilJob {
                stage: table.stage,
                block: table.block,
                teacher: teacher.clone(),
                features: features.clone(),
                fp32: settings.fp32.clone(),
                int8: settings.int8.clone(),
                rows: table.rows,
                calibration_images: settings.calibration_images,
            };
            tasks.push(Task::new(name, move |files, monitor| {
                match trainer.distil(train, &job, &files.output, &files.scratch, monitor) {
                    Ok(report) => Ok(Distilled::Learned(report)),
                    Err(error @ TrainError::Diverged { .. }) => {
                        Ok(Distilled::Diverged(error.to_string()))
                    }
                    Err(error) => Err(error.into()),
                }
            }));
        }
        let distilled = context.tasks_anywhere(tasks, study.threads)?;
        for distilled in &distilled {
            if let Distilled::Diverged(reason) = distilled {
                context.say(&format!("warning: {reason}; its loss counts as 1"));
            }
        }
        Ok(distilled)
    }
}
