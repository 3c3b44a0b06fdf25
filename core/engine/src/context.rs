//! What a running step is handed.

use std::{
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use indexmap::IndexMap;
use serde_json::Value;
use spacewright_core::{
    latency::{Latency, LatencyQuery},
    method::{Parts, StepContext, StepError, StepSpec, Task},
    train::TrainContext,
};

use crate::{
    engine::Engine,
    error::{AtPath, EngineError, ErrorKind, Result},
    events::{Event, StepMonitor},
    files::write_atomically,
    store::{Finished, Store},
    tasks::TaskRunner,
};

/// Names in a run's folder that are not for results.
const RESERVED: [&str; 5] = ["objects", "scratch", "lock", "study.toml", "study.json"];

/// One run of one step.
pub(crate) struct Context<'e> {
    engine: &'e Engine,
    store: &'e Store,
    step: &'e StepSpec,
    key: String,
    earlier_seconds: f64,
    started: Instant,
}

impl<'e> Context<'e> {
    /// A context whose step was marked as running in the store.
    pub fn new(
        engine: &'e Engine,
        store: &'e Store,
        step: &'e StepSpec,
        key: String,
        earlier_seconds: f64,
    ) -> Self {
        Self { engine, store, step, key, earlier_seconds, started: Instant::now() }
    }

    /// Seconds that the step has taken, interrupted attempts included.
    pub fn spent(&self) -> f64 {
        self.earlier_seconds + self.started.elapsed().as_secs_f64()
    }

    fn finished(&self, artifact: &str) -> Result<Finished> {
        let (step, task) = artifact.split_once('/').ok_or_else(|| {
            EngineError::study(format!("`{artifact}` is not of the form `step/task`"))
        })?;
        let own = step == self.step.name;
        if !own && !self.engine.reads(self.step, step) {
            let message = format!("it asks for `{artifact}`, but `{step}` is not a step it reads");
            return Err(EngineError::study(message)
                .with_hint(format!("the method must name `{step}` in the step's `after`")));
        }
        let key = if own { self.key.clone() } else { self.engine.key(step)? };
        let owner = self.engine.owner(self.engine.step(step)?);
        if std::ptr::eq(owner, self.engine) {
            return self
                .store
                .task(&key, task)?
                .ok_or_else(|| missing(self.store, step, &key, task));
        }
        let store = owner.existing_store()?.ok_or_else(|| {
            let message = format!("the run `{}` has not been started", owner.study().name);
            EngineError::new(ErrorKind::Missing, message)
        })?;
        store.task(&key, task)?.ok_or_else(|| missing(&store, step, &key, task))
    }

    fn monitor_of(&self, task: &str, failed: &Arc<AtomicBool>) -> StepMonitor {
        StepMonitor {
            observer: self.engine.options().observer.clone(),
            cancel: self.engine.options().cancel.clone(),
            failed: failed.clone(),
            step: self.step.name.clone(),
            task: task.to_owned(),
        }
    }

    fn tell(&self, event: &Event<'_>) {
        self.engine.options().observer.event(event);
    }
}

/// The error for a task that has left nothing under the key.
pub(crate) fn missing(store: &Store, step: &str, key: &str, task: &str) -> EngineError {
    match store.task_names(key) {
        Ok(names) if !names.is_empty() => {
            crate::suggest::unknown("artifact", task, names.iter().map(String::as_str))
        }
        Ok(_) => EngineError::new(
            ErrorKind::Missing,
            format!("`{step}/{task}` does not exist yet for these settings"),
        )
        .with_hint(format!("run the step `{step}` first")),
        Err(error) => error,
    }
}

impl StepContext for Context<'_> {
    fn parts(&self) -> &Parts {
        self.engine.parts()
    }

    fn settings(&self, section: &str) -> Result<Value, StepError> {
        if !self.step.settings.iter().any(|name| name == section) {
            let message = format!("it reads the section [{section}] that it does not declare");
            return Err(EngineError::study(message)
                .with_hint(format!("the method must name `{section}` in the step's `settings`"))
                .into());
        }
        self.engine.study().sections.get(section).cloned().ok_or_else(|| {
            EngineError::study(format!("the study has no section [{section}]")).into()
        })
    }

    fn train_context(&self) -> Result<TrainContext, StepError> {
        if !self.engine.knows_data(self.step) {
            let message = "it asks for images, but neither it nor a step that it reads trains";
            return Err(EngineError::study(message)
                .with_hint("the method must set `trains` of the step")
                .into());
        }
        Ok(self.engine.train_context()?)
    }

    fn result(&self, artifact: &str) -> Result<Value, StepError> {
        Ok(self.finished(artifact)?.result)
    }

    fn path(&self, artifact: &str) -> Result<PathBuf, StepError> {
        self.finished(artifact)?.object.ok_or_else(|| {
            EngineError::study(format!("`{artifact}` has a result, but wrote no file")).into()
        })
    }

    fn tasks(&self, tasks: Vec<Task<'_>>, workers: usize) -> Result<Vec<Value>, StepError> {
        let failed = Arc::new(AtomicBool::new(false));
        let monitor = |task: &str| self.monitor_of(task, &failed);
        let spent = || self.spent();
        let runner = TaskRunner {
            store: self.store,
            observer: self.engine.options().observer.as_ref(),
            step: &self.step.name,
            key: &self.key,
            failed: &failed,
            monitor: &monitor,
            spent: &spent,
        };
        runner.run(&tasks, workers)
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, StepError> {
        let failed = Arc::new(AtomicBool::new(false));
        Ok(self.engine.latencies(queries, &self.monitor_of("", &failed))?)
    }

    fn latencies_on(
        &self,
        target: &str,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, StepError> {
        let failed = Arc::new(AtomicBool::new(false));
        Ok(self.engine.latencies_on(target, queries, &self.monitor_of("", &failed))?)
    }

    fn publish(&self, name: &str, content: &[u8]) -> Result<PathBuf, StepError> {
        check_published_name(name)?;
        let path = self.store.folder().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).at(folder)?;
        }
        write_atomically(&path, content)?;
        self.store.published(&self.key, name)?;
        Ok(path)
    }

    fn seconds(&self) -> Result<IndexMap<String, f64>, StepError> {
        let mut seconds = self.store.seconds()?;
        for step in self.engine.steps() {
            let owner = self.engine.owner(step);
            if std::ptr::eq(owner, self.engine) {
                continue;
            }
            let (key, store) = (self.engine.key(&step.name)?, owner.existing_store()?);
            if let Some(taken) = store.map_or(Ok(None), |store| store.finished_step(&key))? {
                seconds.insert(step.name.clone(), taken);
            }
        }
        Ok(seconds)
    }

    fn say(&self, line: &str) {
        self.tell(&Event::Said { step: &self.step.name, line });
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
