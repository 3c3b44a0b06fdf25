//! What a study is put together of, and what a running step may use.

use std::{path::PathBuf, sync::Arc};

use indexmap::IndexMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Artifact, ArtifactName, ErasedTask, Place, StepError, Task};
use crate::{
    latency::{Latency, LatencyQuery},
    operators::Operators,
    quant::Quantizer,
    score::Scorer,
    search::Strategy,
    space::Hyperspace,
    target::Target,
    train::{Device, Precision, TrainContext, TrainError, TrainedWith, Trainer},
};

/// Stands for every format that something here writes and runs.
const ALL_FORMATS: &str = "all";

/// What the engine has put together for a study.
#[derive(Clone)]
pub struct StudyContext {
    /// Name of the study.
    pub name: String,
    /// Folder to which paths in the study file are relative.
    pub folder: PathBuf,
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
    /// Processes that train a teacher or a supernet together.
    pub processes: usize,
    /// Where the trainer computes.
    pub device: Device,
    /// How exactly it does.
    pub precision: Precision,
}

/// A format of model files, and who writes and runs it.
#[derive(Clone)]
pub struct OtherFormat {
    /// Extension of the files.
    pub format: String,
    /// The first target that writes and runs it.
    pub target: Arc<dyn Target>,
}

impl StudyContext {
    /// Who trains, and with what; nothing where this program has no trainer.
    pub fn trained_with(&self) -> Result<Option<TrainedWith>, TrainError> {
        let Some(trainer) = &self.trainer else { return Ok(None) };
        trainer.prepare()?;
        let (trainer, device, precision) = (trainer.fingerprint(), self.device, self.precision);
        Ok(Some(TrainedWith { trainer, device, precision }))
    }

    /// Every format with the first target that writes and runs it.
    pub fn formats(&self) -> Vec<OtherFormat> {
        let mut known: Vec<OtherFormat> = Vec::new();
        for target in self.targets.values().filter(|target| target.has_runtime()) {
            let description = target.description();
            let new = known.iter().all(|known| known.format != description.model_format);
            if description.executes && new {
                let (format, target) = (description.model_format, target.clone());
                known.push(OtherFormat { format, target });
            }
        }
        known
    }

    /// The names that a study can give for formats.
    pub fn format_names(&self) -> Vec<String> {
        let formats = self.formats().into_iter().map(|known| known.format);
        formats.chain([ALL_FORMATS.to_owned()]).collect()
    }

    /// The formats that are asked for besides that of the study's target, by name, each once.
    /// `all` stands for those whose runtime is there; unknown names are left out.
    pub fn other_formats(&self, asked: &[String]) -> Vec<OtherFormat> {
        let own = self.target.description().model_format;
        let all = asked.iter().any(|format| format == ALL_FORMATS);
        let wanted = |known: &OtherFormat| match all {
            // What is not there is only missed where it is asked for by name.
            true => known.target.runtime().is_ok(),
            false => asked.contains(&known.format),
        };
        let mut formats: Vec<OtherFormat> = self.formats();
        formats.retain(|known| known.format != own && wanted(known));
        formats.sort_by(|a, b| a.format.cmp(&b.format));
        formats
    }
}

/// What a running step may use. Artifacts are immutable once written.
///
/// The methods with types of their own (`get`, `file`, `tasks`, `task`) are those that steps call.
pub trait StepContext: Sync {
    /// What the study is put together of.
    fn study(&self) -> &StudyContext;

    /// Data, operators and scheme for the trainer; reads the data set when first asked.
    fn train_context(&self) -> Result<TrainContext, StepError>;

    /// The result of a task of this step or of one that it reads, as JSON.
    fn stored_result(&self, artifact: &ArtifactName) -> Result<Value, StepError>;

    /// The file or folder that a task of this step, or of one that it reads, wrote.
    fn stored_file(&self, artifact: &ArtifactName) -> Result<PathBuf, StepError>;

    /// Runs tasks of this step and gives their results in order: `workers` at a time, or, where they may
    /// run anywhere, as many as the study's cluster takes. The output of a task that succeeds is kept,
    /// content-addressed; a task that an interrupted run of the step has finished is not repeated.
    fn run_tasks(
        &self,
        tasks: Vec<ErasedTask<'_>>,
        workers: usize,
        place: Place,
    ) -> Result<Vec<Value>, StepError>;

    /// Latencies from the target's source: measurements through the cache on disk.
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, StepError>;

    /// Latencies from the own source of another target that the step's settings name.
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

impl dyn StepContext + '_ {
    /// The result of a task of this step or of one that it reads.
    pub fn get<T: DeserializeOwned>(&self, artifact: &Artifact<T>) -> Result<T, StepError> {
        read(artifact.name(), self.stored_result(artifact.name())?)
    }

    /// The file or folder that a task of this step, or of one that it reads, wrote.
    pub fn file<T>(&self, artifact: &Artifact<T>) -> Result<PathBuf, StepError> {
        self.stored_file(artifact.name())
    }

    /// Runs tasks on this machine, `workers` at a time; see [`StepContext::run_tasks`].
    pub fn tasks<'t, T: Serialize + DeserializeOwned + 't>(
        &self,
        tasks: Vec<Task<'t, T>>,
        workers: usize,
    ) -> Result<Vec<T>, StepError> {
        self.typed_tasks(tasks, workers, Place::Here)
    }

    /// Runs tasks on the machines of the study's cluster; where it has none, on this one, `workers` at a
    /// time. See [`Place::Anywhere`] for which tasks can.
    pub fn tasks_anywhere<'t, T: Serialize + DeserializeOwned + 't>(
        &self,
        tasks: Vec<Task<'t, T>>,
        workers: usize,
    ) -> Result<Vec<T>, StepError> {
        self.typed_tasks(tasks, workers, Place::Anywhere)
    }

    fn typed_tasks<'t, T: Serialize + DeserializeOwned + 't>(
        &self,
        tasks: Vec<Task<'t, T>>,
        workers: usize,
        place: Place,
    ) -> Result<Vec<T>, StepError> {
        let tasks: Vec<ErasedTask<'_>> = tasks.into_iter().map(Task::erased).collect();
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        let results = self.run_tasks(tasks, workers, place)?;
        let typed = |(name, result): (String, Value)| {
            serde_json::from_value(result).map_err(|error| StepError::Json(error).in_task(&name))
        };
        names.into_iter().zip(results).map(typed).collect()
    }

    /// Runs one task.
    pub fn task<'t, T: Serialize + DeserializeOwned + 't>(
        &self,
        task: Task<'t, T>,
    ) -> Result<T, StepError> {
        let name = task.name.clone();
        let result = self.tasks(vec![task], 1)?.pop();
        result.ok_or_else(|| StepError::method("it has no result").in_task(&name))
    }
}

pub(super) fn read<T: DeserializeOwned>(
    artifact: &ArtifactName,
    value: Value,
) -> Result<T, StepError> {
    serde_json::from_value(value)
        .map_err(|source| StepError::Artifact { artifact: artifact.clone(), source })
}
