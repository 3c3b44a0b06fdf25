//! Runs the tasks of a step, on threads or on a cluster, and keeps what they make.

use std::{
    any::Any,
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::Value;
use spacewright_core::{
    study::{ArtifactName, ErasedTask, StepError},
    train::Monitor,
};

use crate::{
    cluster::{Dispatch, Taken},
    error::{EngineError, Result},
    events::{Event, Observer, StepMonitor},
    files::remove,
    recorder::Recorder,
    scratch::Scratch,
    store::Store,
};

/// What the tasks of one step share.
pub(crate) struct TaskRunner<'a> {
    pub store: &'a Store,
    pub recorder: &'a Recorder,
    pub step: &'static str,
    pub key: &'a str,
    /// Earlier keys of the step under which its tasks were the same.
    pub same_tasks: &'a [String],
    /// Set when a task has failed: no other is started, and running ones are asked to stop.
    pub failed: &'a AtomicBool,
    pub monitor: &'a (dyn Fn(&str) -> StepMonitor + Sync),
}

type Slot = Mutex<Option<Result<Value, StepError>>>;

impl TaskRunner<'_> {
    /// Runs what is not finished yet, `workers` at a time; results in the order of the tasks.
    pub fn run(&self, tasks: &[ErasedTask<'_>], workers: usize) -> Result<Vec<Value>, StepError> {
        let slots = self.kept(tasks, workers)?;
        let pending = pending(&slots);
        let done = AtomicUsize::new(tasks.len() - pending.len());
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..workers.clamp(1, pending.len().max(1)) {
                scope.spawn(|| {
                    while let Some(&index) = pending.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.attempt(&tasks[index]);
                        if result.is_ok() {
                            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                            self.tell_tasks(done, tasks.len());
                        } else {
                            self.failed.store(true, Ordering::Relaxed);
                        }
                        *lock(&slots[index]) = Some(result);
                    }
                });
            }
        });
        collect(slots)
    }

    /// Has other machines run what is not finished yet; results in the order of the tasks. `prepare` is
    /// asked only where something is to be run.
    pub fn run_elsewhere<'d>(
        &self,
        tasks: &[ErasedTask<'_>],
        prepare: impl FnOnce() -> Result<Dispatch<'d>>,
    ) -> Result<Vec<Value>, StepError> {
        let slots = self.kept(tasks, 1)?;
        let pending = pending(&slots);
        if pending.is_empty() {
            return collect(slots);
        }
        let mut done = tasks.len() - pending.len();
        let names: Vec<&str> = pending.iter().map(|&index| tasks[index].name.as_str()).collect();
        prepare()?.run(self.key, &names, &mut |taken| {
            let Taken { task, result, output, seconds, usage, curve } = taken;
            for point in curve {
                let (step, task) = (self.step.into(), task.as_str().into());
                self.recorder.event(&Event::Curve { step, task, point });
            }
            self.recorder.add(usage);
            self.keep(&task, &result, &output, seconds)?;
            if let Some(index) = tasks.iter().position(|known| known.name == task) {
                *lock(&slots[index]) = Some(Ok(result));
            }
            done += 1;
            self.tell_tasks(done, tasks.len());
            Ok(())
        })?;
        collect(slots)
    }

    /// A place for the result of each task, filled where the task has finished before: perhaps before others were
    /// asked for, `workers` at a time.
    fn kept(&self, tasks: &[ErasedTask<'_>], workers: usize) -> Result<Vec<Slot>> {
        check_names(tasks)?;
        let mut taken_over = 0;
        let mut slots: Vec<Slot> = Vec::with_capacity(tasks.len());
        for task in tasks {
            let seconds = self.take_over(task)?;
            let kept = self.store.task(self.key, &task.name)?;
            if let (Some(seconds), Some(_)) = (seconds, &kept) {
                taken_over += 1;
                self.recorder.took_over(seconds / workers.clamp(1, tasks.len()) as f64);
            }
            if kept.is_none() && self.store.knows_task(self.key, &task.name)? {
                let line = format!(
                    "task `{}` is done anew: what it had written is damaged or gone",
                    task.name
                );
                self.recorder.event(&Event::Said { step: self.step.into(), line: line.into() });
            }
            slots.push(Mutex::new(kept.map(|kept| Ok(kept.result))));
        }
        if taken_over > 0 {
            let all = tasks.len();
            let line = format!("finished before, and taken over: {taken_over} of {all} tasks");
            self.recorder.event(&Event::Said { step: self.step.into(), line: line.into() });
            self.recorder.keep_spent()?;
        }
        self.tell_tasks(slots.len() - pending(&slots).len(), slots.len());
        Ok(slots)
    }

    /// Takes over what a task has come to before other ones were asked for; the seconds that it took, where it had
    /// finished.
    fn take_over(&self, task: &ErasedTask<'_>) -> Result<Option<f64>> {
        let mut seconds = None;
        for earlier in self.same_tasks {
            let taken = self.store.take_over(self.step, earlier, self.key, &task.name)?;
            seconds = seconds.or(taken);
        }
        Ok(seconds)
    }

    /// Runs one task from its scratch folder to the record of its result.
    fn attempt(&self, task: &ErasedTask<'_>) -> Result<Value, StepError> {
        let monitor = (self.monitor)(&task.name);
        if monitor.cancelled() {
            return Err(StepError::Cancelled);
        }
        let (step, name) = (self.step, task.name.as_str());
        self.recorder.event(&Event::TaskStarted { step: step.into(), task: name.into() });
        let started = Instant::now();
        let result = self.work(task, &monitor, started);
        let seconds = started.elapsed().as_secs_f64();
        let succeeded = result.is_ok();
        let (step, task) = (step.into(), name.into());
        self.recorder.event(&Event::TaskFinished { step, task, seconds, succeeded });
        result.map_err(|error| error.in_task(name))
    }

    fn work(
        &self,
        task: &ErasedTask<'_>,
        monitor: &StepMonitor,
        started: Instant,
    ) -> Result<Value, StepError> {
        let files = Scratch::here(&self.store.scratch(self.step, self.key, &task.name))?.files();
        let result = unless_panicked(|| (task.work)(&files, monitor))?;
        self.keep(&task.name, &result, &files.output, started.elapsed().as_secs_f64())?;
        Ok(result)
    }

    /// Keeps what a task has left; its scratch folder is not needed any more.
    fn keep(&self, task: &str, result: &Value, output: &Path, seconds: f64) -> Result<()> {
        self.store.keep(self.key, task, result, output, seconds)?;
        self.recorder.keep_spent()?;
        remove(&self.store.scratch(self.step, self.key, task))
    }

    fn tell_tasks(&self, done: usize, total: usize) {
        self.recorder.event(&Event::Tasks { step: self.step.into(), done, total });
    }
}

/// Positions of the tasks without a result.
fn pending(slots: &[Slot]) -> Vec<usize> {
    (0..slots.len()).filter(|&index| lock(&slots[index]).is_none()).collect()
}

/// All results, or the first failure; a request to stop only where nothing has failed.
fn collect(slots: Vec<Slot>) -> Result<Vec<Value>, StepError> {
    let mut results = Vec::with_capacity(slots.len());
    let mut stopped = false;
    for slot in slots {
        match slot.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(value)) => results.push(value),
            Some(Err(StepError::Cancelled)) | None => stopped = true,
            Some(Err(error)) => return Err(error),
        }
    }
    if stopped { Err(StepError::Cancelled) } else { Ok(results) }
}

/// That a text can be the name of a task, which becomes that of folders.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let taken = name == ArtifactName::OUTPUT;
    if taken || name.is_empty() || name.starts_with('.') || !name.chars().all(legal) {
        let message = format!("`{name}` cannot be the name of a task");
        return Err(EngineError::study(message).with_hint("use letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

fn check_names(tasks: &[ErasedTask<'_>]) -> Result<()> {
    let mut seen = HashSet::new();
    for ErasedTask { name, .. } in tasks {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(EngineError::study(format!("two tasks have the name `{name}`")));
        }
    }
    Ok(())
}

/// What `work` gives; an error where it panics.
pub(crate) fn unless_panicked<T>(
    work: impl FnOnce() -> Result<T, StepError>,
) -> Result<T, StepError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(StepError::Panicked { message: panic_message(panic.as_ref()) }))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Option<Result<Value, StepError>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
