//! A node's side: runs a step up to one of its tasks, and leaves what came of it for the head.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Instant,
};

use serde_json::Value;
use spacewright_core::{
    study::{AnyStep, StepError},
    train::{CurvePoint, TrainError, Usage},
};

use super::{
    exchange::{Description, Exchange, TaskEnd, TaskOutcome, unique_name},
    replay::Replay,
};
use crate::{
    engine::{Engine, EngineOptions},
    error::{EngineError, ErrorKind, Result, advice},
    events::{Event, Observer},
    hash,
    recorder::cpu_seconds,
    registry::Registry,
    scratch::Scratch,
    tasks::{check_name, unless_panicked},
};

/// A task that a head has described.
pub struct NodeTask {
    exchange: Exchange,
    description: Description,
    task: String,
}

impl NodeTask {
    /// Reads what the head has written into a folder; the task is one of the step that it describes.
    pub fn read(folder: &Path, task: &str) -> Result<Self> {
        check_name(task)?;
        let exchange = Exchange::at(folder);
        let description = exchange.description()?;
        Ok(Self { exchange, description, task: task.to_owned() })
    }

    /// The head's home, where its plugins are.
    pub fn home(&self) -> &Path {
        &self.description.home
    }

    /// Runs the task and leaves its result, or why it has failed, for the head; `observer` and `cancel`
    /// are those of [`EngineOptions`]. An attempt that is asked to stop leaves nothing but its checkpoint.
    pub fn run(
        &self,
        registry: &Registry,
        observer: Arc<dyn Observer>,
        cancel: Arc<AtomicBool>,
    ) -> Result<()> {
        let attempt = unique_name()?;
        let scratch = Scratch::named(&self.description.scratch.join(&self.task), &attempt)?;
        let options = EngineOptions {
            runs: self.description.runs.clone(),
            threads: self.description.threads,
            home: self.description.home.clone(),
            observer: observer.clone(),
            cancel,
            task_command: None,
        };
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        let curve = Arc::new(CurveKeeper { points: Mutex::default(), observer });
        let heard: Arc<dyn Observer> = curve.clone();
        let done = self.replay(registry, options, &scratch, &heard);
        let (end, used) = match done {
            Ok((result, used)) => (self.done(result, &scratch)?, used),
            Err(_) if scratch.is_taken_over() => {
                let message = "another attempt has taken over this task's files, and goes on";
                return Err(EngineError::new(ErrorKind::Locked, message));
            }
            Err(StepError::Cancelled) => return Err(EngineError::cancelled()),
            Err(error) => (failed(&error), Usage::default()),
        };
        let own = Usage { core_seconds: cpu_seconds() - cpu_before, peak_bytes: 0 };
        let outcome = TaskOutcome {
            key: self.description.key.clone(),
            task: self.task.clone(),
            node: node_name(),
            seconds: started.elapsed().as_secs_f64(),
            usage: own.and(used),
            curve: curve.take(),
            end,
        };
        self.exchange.leave(&attempt, &outcome, &scratch.files().output)?;
        match outcome.end {
            TaskEnd::Done { .. } => Ok(()),
            TaskEnd::Failed { reason, hint, .. } => {
                let error =
                    EngineError::new(ErrorKind::Step, format!("task `{}`: {reason}", self.task));
                Err(hint.into_iter().fold(error, EngineError::with_hint))
            }
        }
    }

    fn done(&self, result: Value, scratch: &Scratch) -> Result<TaskEnd> {
        let output = scratch.files().output;
        let output = if output.exists() { Some(hash::object_name(&output)?) } else { None };
        Ok(TaskEnd::Done { result, output })
    }

    /// The task's result, and what its processes have used.
    fn replay(
        &self,
        registry: &Registry,
        options: EngineOptions,
        scratch: &Scratch,
        observer: &Arc<dyn Observer>,
    ) -> Result<(Value, Usage), StepError> {
        let engine = Engine::open(self.description.study.clone(), registry, options)?;
        let step = engine.step(&self.description.step)?.clone();
        self.check_key(&engine, step.as_ref())?;
        let replay = Replay {
            engine: &engine,
            step: step.as_ref(),
            description: &self.description,
            wanted: &self.task,
            scratch,
            observer,
            outcome: Mutex::default(),
        };
        let run = || step.run(&replay, &|section| engine.study().section(section));
        let ended = unless_panicked(run);
        let outcome = replay.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        let result = match (outcome, ended) {
            (Some(outcome), _) => outcome?,
            (None, Err(error)) => return Err(error),
            (None, Ok(_)) => {
                let message = format!("the step `{}` has no such task", step.name());
                return Err(EngineError::new(ErrorKind::Missing, message).into());
            }
        };
        let trainer = engine.context().trainer.as_ref();
        Ok((result, trainer.map(|trainer| trainer.take_usage()).unwrap_or_default()))
    }

    /// That what is here makes what the head expects.
    fn check_key(&self, engine: &Engine, step: &dyn AnyStep) -> Result<()> {
        let Description { ingredients: head, key, .. } = &self.description;
        let here = engine.ingredients_with(step, head.inputs.clone())?;
        if here.key()? == *key {
            return Ok(());
        }
        let changes: Vec<String> =
            here.changes_since(head).iter().map(ToString::to_string).collect();
        let message = format!(
            "{} would make something else than the head: {}",
            node_name(),
            changes.join("; ")
        );
        Err(EngineError::new(ErrorKind::Missing, message).with_hint(
            "all machines need the same program, plugins, images and kind of device as the head",
        ))
    }
}

/// What an attempt leaves that has failed.
fn failed(error: &StepError) -> TaskEnd {
    let (_, hint) = advice(error);
    TaskEnd::Failed { reason: error.to_string(), hint, passes: passes(error) }
}

/// Whether a process was ended, which another machine, or the same one later, may not do.
fn passes(error: &StepError) -> bool {
    match error {
        StepError::Task { source, .. } => passes(source),
        StepError::Train(error) => matches!(error, TrainError::Worker { .. }),
        _ => false,
    }
}

/// What this machine is called.
fn node_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Keeps the points of training curves for the head.
struct CurveKeeper {
    points: Mutex<Vec<CurvePoint>>,
    observer: Arc<dyn Observer>,
}

impl CurveKeeper {
    fn take(&self) -> Vec<CurvePoint> {
        std::mem::take(&mut self.points.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for CurveKeeper {
    fn event(&self, event: &Event<'_>) {
        if let Event::Curve { point, .. } = event {
            self.points.lock().unwrap_or_else(PoisonError::into_inner).push(point.clone());
        }
        self.observer.event(event);
    }
}
