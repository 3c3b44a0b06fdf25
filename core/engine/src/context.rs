//! What a running step is handed.

use std::{
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use indexmap::IndexMap;
use serde_json::Value;
use spacewright_core::{
    latency::{Latency, LatencyQuery},
    study::{AnyStep, ArtifactName, ErasedTask, Place, StepContext, StepError, StudyContext},
    train::{Monitor as _, TrainContext},
};

use crate::{
    cluster,
    engine::Engine,
    error::{AtPath, EngineError, ErrorKind, Result},
    events::{Event, Observer, StepMonitor},
    files::write_atomically,
    recorder::Recorder,
    store::{Finished, Store},
    suggest::unknown,
    tasks::TaskRunner,
};

/// Names in a run's folder that are not for results.
const RESERVED: [&str; 7] =
    ["cluster", "objects", "scratch", "lock", "study.toml", "study.json", crate::runs::PAGE];

/// One attempt at one step.
pub(crate) struct Context<'e> {
    engine: &'e Engine,
    store: &'e Store,
    step: &'e dyn AnyStep,
    key: String,
    /// Earlier keys of the step under which its tasks were the same.
    same_tasks: Vec<String>,
    recorder: Arc<Recorder>,
}

impl<'e> Context<'e> {
    /// A context whose step was marked as running in the store under a key, with the earlier keys under which its tasks
    /// were the same.
    pub fn new(
        engine: &'e Engine,
        store: &'e Store,
        step: &'e dyn AnyStep,
        (key, same_tasks): (String, Vec<String>),
        recorder: &Arc<Recorder>,
    ) -> Self {
        Self { engine, store, step, key, same_tasks, recorder: recorder.clone() }
    }

    fn finished(&self, artifact: &ArtifactName) -> Result<Finished> {
        if artifact.step == self.step.name() {
            let task = self.store.task(&self.key, &artifact.task)?;
            return task.ok_or_else(|| missing(self.store, artifact, &self.key));
        }
        if !self.engine.reads(self.step, &artifact.step) {
            let message =
                format!("it asks for `{artifact}`, but `{}` is not a step it reads", artifact.step);
            return Err(EngineError::study(message)
                .with_hint(format!("the step must name `{}` in its `READS`", artifact.step)));
        }
        self.engine.finished(artifact)
    }

    fn monitor(&self, task: &str, failed: &Arc<AtomicBool>) -> StepMonitor {
        StepMonitor {
            observer: self.recorder.clone(),
            cancel: self.engine.options().cancel.clone(),
            failed: failed.clone(),
            step: self.step.name(),
            task: task.to_owned(),
        }
    }

    /// That the latencies of a target are part of the step's key.
    fn require_latencies(&self, target: &str) -> Result<()> {
        if self.engine.ingredients(self.step)?.latencies.contains_key(target) {
            return Ok(());
        }
        let message = format!("it asks for latencies of `{target}`, which it does not declare");
        Err(EngineError::study(message)
            .with_hint("the step must say so in its `NEEDS`, or its settings must name the target"))
    }

    /// The monitor of the step itself.
    fn own_monitor(&self) -> StepMonitor {
        self.monitor("", &Arc::default())
    }
}

/// The error for an artifact that is not there under the key of its step.
pub(crate) fn missing(store: &Store, artifact: &ArtifactName, key: &str) -> EngineError {
    match store.task_names(key) {
        Ok(names) if !names.is_empty() && artifact.task != ArtifactName::OUTPUT => {
            unknown("artifact", &artifact.task, names.iter().map(String::as_str))
        }
        Ok(_) => {
            let reason = "does not exist yet for these settings";
            EngineError::artifact(ErrorKind::Missing, artifact, reason)
                .with_hint(format!("run the step `{}` first", artifact.step))
        }
        Err(error) => error,
    }
}

/// The file or folder of an artifact.
pub(crate) fn file_of(artifact: &ArtifactName, finished: Finished) -> Result<PathBuf> {
    finished.object.ok_or_else(|| {
        EngineError::artifact(ErrorKind::Study, artifact, "has a result, but wrote no file")
    })
}

/// What the trainer needs for a step that declares that it trains.
pub(crate) fn train_context(
    engine: &Engine,
    step: &dyn AnyStep,
    monitor: &StepMonitor,
) -> Result<TrainContext, StepError> {
    if !engine.knows_images(step) {
        let message = "it asks for images, but neither it nor a step that it reads trains";
        return Err(EngineError::study(message)
            .with_hint("the step must say in its `NEEDS` that it trains")
            .into());
    }
    let looked_through = |done: usize, total: usize| {
        // A line for each image would be more than anybody, or any log, reads.
        if done.is_multiple_of(1000) || done == total {
            monitor.progress(done, total, "images looked through");
        }
        !monitor.cancelled()
    };
    Ok(engine.train_context(looked_through)?)
}

impl StepContext for Context<'_> {
    fn study(&self) -> &StudyContext {
        self.engine.context()
    }

    fn train_context(&self) -> Result<TrainContext, StepError> {
        train_context(self.engine, self.step, &self.own_monitor())
    }

    fn stored_result(&self, artifact: &ArtifactName) -> Result<Value, StepError> {
        Ok(self.finished(artifact)?.result)
    }

    fn stored_file(&self, artifact: &ArtifactName) -> Result<PathBuf, StepError> {
        Ok(file_of(artifact, self.finished(artifact)?)?)
    }

    fn run_tasks(
        &self,
        tasks: Vec<ErasedTask<'_>>,
        workers: usize,
        place: Place,
    ) -> Result<Vec<Value>, StepError> {
        let failed = Arc::new(AtomicBool::new(false));
        let runner = TaskRunner {
            store: self.store,
            recorder: &self.recorder,
            step: self.step.name(),
            key: &self.key,
            same_tasks: &self.same_tasks,
            failed: &failed,
            monitor: &|task: &str| self.monitor(task, &failed),
        };
        match self.engine.cluster() {
            // A task without neighbours gains nothing from being elsewhere.
            Some(cluster) if place == Place::Anywhere && tasks.len() > 1 => {
                let Self { engine, store, step, key, recorder, .. } = self;
                runner.run_elsewhere(&tasks, || {
                    cluster::prepare(engine, cluster, store, *step, key, recorder.as_ref())
                })
            }
            _ => runner.run(&tasks, workers),
        }
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, StepError> {
        self.require_latencies(&self.engine.study().target)?;
        Ok(self.engine.latencies(queries, &self.own_monitor())?)
    }

    fn latencies_on(
        &self,
        target: &str,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, StepError> {
        self.require_latencies(target)?;
        Ok(self.engine.latencies_on(target, queries, &self.own_monitor())?)
    }

    fn publish(&self, name: &str, content: &[u8]) -> Result<PathBuf, StepError> {
        check_published_name(name)?;
        let path = self.store.folder().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).at(folder)?;
        }
        write_atomically(&path, content)?;
        self.store.published(&self.key, name, content)?;
        Ok(path)
    }

    fn seconds(&self) -> Result<IndexMap<String, f64>, StepError> {
        let mut seconds = self.store.seconds()?;
        for step in self.engine.steps() {
            let owner = self.engine.owner(step.as_ref());
            if std::ptr::eq(owner, self.engine) {
                continue;
            }
            let (key, store) = (self.engine.key(step.name())?, owner.existing_store()?);
            if let Some(taken) = store.map_or(Ok(None), |store| store.finished_step(&key))? {
                seconds.insert(step.name().to_owned(), taken);
            }
        }
        Ok(seconds)
    }

    fn say(&self, line: &str) {
        let step = self.step.name().into();
        self.recorder.event(&Event::Said { step, line: line.into() });
    }
}

fn check_published_name(name: &str) -> Result<()> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let first = path.components().next().map(|part| part.as_os_str().to_string_lossy());
    let free = first.is_some_and(|first| {
        !RESERVED.contains(&first.as_ref()) && !first.starts_with("run.sqlite")
    });
    if plain && free {
        return Ok(());
    }
    Err(EngineError::study(format!("a result cannot be published as `{name}`")))
}

/// Whether the user has asked to stop.
pub(crate) fn stopping(engine: &Engine) -> bool {
    engine.options().cancel.load(Ordering::Relaxed)
}
