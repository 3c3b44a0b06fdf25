//! What a step is handed that runs again on a node.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use indexmap::IndexMap;
use serde_json::Value;
use spacewright_core::{
    latency::{Latency, LatencyQuery},
    study::{AnyStep, ArtifactName, ErasedTask, Place, StepContext, StepError, StudyContext},
    train::{Monitor as _, TrainContext},
};

use super::exchange::{Description, KnownArtifact};
use crate::{
    context::{file_of, train_context},
    engine::Engine,
    error::{EngineError, ErrorKind, Result},
    events::{Observer, StepMonitor},
    hash,
    scratch::Scratch,
    store::Finished,
    tasks::unless_panicked,
};

/// A step that is run again as far as the task that is wanted: all that it read or made before is known.
pub(super) struct Replay<'r> {
    pub engine: &'r Engine,
    pub step: &'r dyn AnyStep,
    pub description: &'r Description,
    pub wanted: &'r str,
    pub scratch: &'r Scratch,
    pub observer: &'r Arc<dyn Observer>,
    /// Of the task, once it has run.
    pub outcome: Mutex<Option<Result<Value, StepError>>>,
}

impl Replay<'_> {
    fn known(&self, name: &ArtifactName) -> Result<&KnownArtifact> {
        let found = self.description.artifacts.iter().find(|known| known.name == *name);
        found.ok_or_else(|| {
            let reason =
                "is asked for on another machine, but was not there when the head submitted this";
            EngineError::artifact(ErrorKind::Missing, name, reason)
        })
    }

    fn monitor(&self, task: &str) -> StepMonitor {
        StepMonitor {
            observer: self.observer.clone(),
            cancel: self.engine.options().cancel.clone(),
            failed: Arc::default(),
            step: self.step.name(),
            task: task.to_owned(),
        }
    }

    fn work(&self, task: &ErasedTask<'_>) -> Result<Value, StepError> {
        let monitor = self.monitor(&task.name);
        if monitor.cancelled() {
            return Err(StepError::Cancelled);
        }
        unless_panicked(|| (task.work)(&self.scratch.files(), &monitor))
    }

    /// The error for what only the head may do.
    fn only_on_head(&self, what: &str) -> StepError {
        let (step, task) = (self.step.name(), self.wanted);
        let message =
            format!("step `{step}` asks for {what} before the task `{task}`, on another machine");
        let error = EngineError::study(message);
        error.with_hint("run the step without a cluster: `--cluster none`").into()
    }
}

impl StepContext for Replay<'_> {
    fn study(&self) -> &StudyContext {
        self.engine.context()
    }

    fn train_context(&self) -> Result<TrainContext, StepError> {
        train_context(self.engine, self.step, &self.monitor(""))
    }

    fn stored_result(&self, artifact: &ArtifactName) -> Result<Value, StepError> {
        Ok(self.known(artifact)?.result.clone())
    }

    fn stored_file(&self, artifact: &ArtifactName) -> Result<PathBuf, StepError> {
        let KnownArtifact { result, object, .. } = self.known(artifact)?.clone();
        let path = file_of(artifact, Finished { result, object })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !hash::is_object(&path, &name)? {
            let hint =
                "run the study's command on the head again, which makes anew what is damaged";
            return Err(EngineError::file(&path, "damaged").with_hint(hint).into());
        }
        Ok(path)
    }

    fn run_tasks(
        &self,
        tasks: Vec<ErasedTask<'_>>,
        _: usize,
        _: Place,
    ) -> Result<Vec<Value>, StepError> {
        if let Some(task) = tasks.iter().find(|task| task.name == self.wanted) {
            let outcome = self.work(task);
            *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            // The step is not needed any further.
            return Err(StepError::Cancelled);
        }
        let result = |task: ErasedTask<'_>| {
            self.stored_result(&ArtifactName {
                step: self.step.name().into(),
                task: task.name.into(),
            })
        };
        tasks.into_iter().map(result).collect()
    }

    fn latencies(&self, _: &[LatencyQuery]) -> Result<Vec<Latency>, StepError> {
        Err(self.only_on_head("latencies"))
    }

    fn latencies_on(&self, _: &str, _: &[LatencyQuery]) -> Result<Vec<Latency>, StepError> {
        Err(self.only_on_head("latencies"))
    }

    fn publish(&self, _: &str, _: &[u8]) -> Result<PathBuf, StepError> {
        Err(self.only_on_head("a place to publish a file"))
    }

    fn seconds(&self) -> Result<IndexMap<String, f64>, StepError> {
        Err(self.only_on_head("the time that steps took"))
    }

    fn say(&self, line: &str) {
        tracing::debug!("{line}");
    }
}
