//! Methods: the steps of a study, and what a step may use of the engine.

use std::{path::PathBuf, sync::Arc};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{
    latency::{Latency, LatencyError, LatencyQuery},
    operators::Operators,
    quant::Quantizer,
    score::{ScoreError, Scorer},
    search::Strategy,
    space::Hyperspace,
    target::{Target, TargetError},
    train::{Monitor, TrainContext, TrainError, Trainer},
};

/// A step of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Name.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Steps whose artifacts it reads.
    pub after: Vec<String>,
    /// Sections of the study's settings that it depends on.
    pub settings: Vec<String>,
    /// Whether it needs a trainer.
    pub trains: bool,
    /// Whether it is no part of a run: it runs only where it is asked for by name, after the steps
    /// that it reads. A step of a run never reads one.
    #[serde(default)]
    pub extra: bool,
    /// Whether another study, perhaps for another target, may take what it made: it depends on no
    /// latency, and reads only steps that are shared as well.
    #[serde(default)]
    pub shared: bool,
}

/// Why a step stopped.
#[derive(Debug, Error)]
pub enum StepError {
    /// The user asked to stop; finished tasks are kept.
    #[error("stopped on request")]
    Cancelled,
    /// The study asks for something that cannot be.
    #[error("{message}")]
    Study {
        /// What is wrong and where.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A task failed.
    #[error("{0}")]
    Failed(String),
}

impl From<TrainError> for StepError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Cancelled => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
    }
}

macro_rules! failures {
    ($($error:ty),*) => {
        $(impl From<$error> for StepError {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}

failures!(
    LatencyError,
    TargetError,
    ScoreError,
    crate::operators::OperatorError,
    crate::graph::GraphError,
    crate::quant::FoldError,
    serde_json::Error
);

/// What the engine has put together for a study.
#[derive(Clone)]
pub struct Parts {
    /// Name of the study.
    pub study: String,
    /// What the classes of its images are called, where that is known.
    pub labels: Vec<String>,
    /// All block types.
    pub operators: Operators,
    /// The hyperspace of the study.
    pub hyperspace: Hyperspace,
    /// The target of the study.
    pub target: Arc<dyn Target>,
    /// All targets by name.
    pub targets: IndexMap<String, Arc<dyn Target>>,
    /// The trainer, where this program has one.
    pub trainer: Option<Arc<dyn Trainer>>,
    /// Quantizers by name.
    pub quantizers: IndexMap<String, Arc<dyn Quantizer>>,
    /// Scorers by name.
    pub scorers: IndexMap<String, Arc<dyn Scorer>>,
    /// Strategies by name.
    pub strategies: IndexMap<String, Arc<dyn Strategy>>,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads that a step may use.
    pub threads: usize,
}

/// The work of a task: gets its files and where its progress goes, gives a small JSON result.
pub type TaskFn<'a> =
    Box<dyn Fn(&TaskFiles, &dyn Monitor) -> Result<Value, StepError> + Send + Sync + 'a>;

/// A piece of a step that knows nothing of its neighbours.
pub struct Task<'a> {
    /// Unique within the step; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What is done.
    pub work: TaskFn<'a>,
}

impl<'a> Task<'a> {
    /// A task of this name.
    pub fn new(
        name: impl Into<String>,
        work: impl Fn(&TaskFiles, &dyn Monitor) -> Result<Value, StepError> + Send + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

/// Where a task may write.
#[derive(Debug, Clone)]
pub struct TaskFiles {
    /// The output, not yet existing: the task may create a file or a folder here.
    pub output: PathBuf,
    /// An existing folder for checkpoints, kept until the task has succeeded.
    pub scratch: PathBuf,
}

/// What a running step may use. Artifacts are named `<step>/<task>` and immutable once written.
pub trait StepContext: Sync {
    /// The parts of the study.
    fn parts(&self) -> &Parts;

    /// A section of the study's settings, defaults filled in.
    fn settings(&self, section: &str) -> Result<Value, StepError>;

    /// Data, operators and scheme for the trainer; reads the data set when first asked.
    fn train_context(&self) -> Result<TrainContext, StepError>;

    /// The JSON result of the task `<step>/<task>` of this or an earlier step.
    fn result(&self, artifact: &str) -> Result<Value, StepError>;

    /// The file or folder that the task `<step>/<task>` wrote.
    fn path(&self, artifact: &str) -> Result<PathBuf, StepError>;

    /// Runs tasks of this step, `workers` at a time, and gives their results in order. The output
    /// of a task that succeeds is kept, content-addressed; a task that an interrupted run of the
    /// step has finished is not repeated.
    fn tasks(&self, tasks: Vec<Task<'_>>, workers: usize) -> Result<Vec<Value>, StepError>;

    /// Latencies from the target's source, through the cache on disk.
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, StepError>;

    /// Latencies from the own source of another target that the step's settings name, through the
    /// cache on disk.
    fn latencies_on(
        &self,
        target: &str,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, StepError>;

    /// Writes a file into the run's folder, where people look for results.
    fn publish(&self, name: &str, content: &[u8]) -> Result<PathBuf, StepError>;

    /// The finished steps of this run with the seconds that each took.
    fn seconds(&self) -> Result<IndexMap<String, f64>, StepError>;

    /// Tells the user one line.
    fn say(&self, line: &str);
}

/// A sequence of steps that turns a study's settings into networks.
pub trait Method: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// The steps, in order.
    fn steps(&self) -> Vec<StepSpec>;

    /// The sections of settings that the method understands, each with its documented defaults.
    fn sections(&self) -> Vec<SettingsSection>;

    /// Checks a section of the settings and fills in defaults; errors name the field.
    fn check_settings(&self, section: &str, value: &Value) -> Result<Value, StepError>;

    /// Checks a study as a whole, before anything runs; `settings` gives a section with its
    /// defaults filled in.
    fn check(&self, parts: &Parts, settings: &dyn Fn(&str) -> Value) -> Result<(), StepError> {
        let _ = (parts, settings);
        Ok(())
    }

    /// Runs one step.
    fn run(&self, step: &str, context: &dyn StepContext) -> Result<(), StepError>;
}

/// A section of a study file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsSection {
    /// Name of the table in the study file.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Fields in order.
    pub fields: Vec<SettingsField>,
}

/// A field of a settings section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsField {
    /// Name, with dots for nested tables.
    pub name: String,
    /// The default as TOML; empty where the field is required.
    pub default: String,
    /// One sentence.
    pub summary: String,
}
