//! Keeps what happens in a step, and passes it on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use spacewright_core::train::{Trainer, Usage};

use crate::{
    error::{EngineError, Result},
    events::{Event, Observer},
    store::{AttemptOutcome, Store},
};

/// Of the progress of a task, one event in so long is kept: a curve needs no more, and each costs
/// a write to the disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// An attempt at a step, as it is kept in the store.
pub(crate) struct Recorder {
    store: Arc<Store>,
    key: String,
    attempt: i64,
    /// Its processes use processor time, too.
    trainer: Option<Arc<dyn Trainer>>,
    /// What they have used so far.
    used: Mutex<Usage>,
    /// Processor time that this process had used when the attempt began, in seconds.
    cpu_before: f64,
    /// When progress was last kept, by task.
    kept: Mutex<HashMap<String, Instant>>,
    started: Instant,
    /// Of earlier attempts, and of tasks that were taken over.
    earlier_seconds: Mutex<f64>,
    observer: Arc<dyn Observer>,
}

impl Recorder {
    /// Opens an attempt at the step of this key, after earlier ones of so many seconds.
    pub fn new(
        store: &Arc<Store>,
        key: &str,
        observer: &Arc<dyn Observer>,
        trainer: Option<Arc<dyn Trainer>>,
        earlier_seconds: f64,
    ) -> Result<Self> {
        // What earlier steps have used is not this one's.
        if let Some(trainer) = &trainer {
            let _ = trainer.take_usage();
        }
        Ok(Self {
            store: store.clone(),
            key: key.to_owned(),
            attempt: store.attempt(key)?,
            cpu_before: cpu_seconds(),
            used: Mutex::default(),
            trainer,
            kept: Mutex::default(),
            started: Instant::now(),
            earlier_seconds: Mutex::new(earlier_seconds),
            observer: observer.clone(),
        })
    }

    /// Counts what processes of another machine have used.
    pub fn add(&self, usage: Usage) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.and(usage);
    }

    /// Seconds that the step has taken so far, interrupted attempts and tasks that were taken over included.
    pub fn spent(&self) -> f64 {
        *self.earlier_seconds() + self.started.elapsed().as_secs_f64()
    }

    /// Adds what a task took that was taken over.
    pub fn took_over(&self, seconds: f64) {
        *self.earlier_seconds() += seconds;
    }

    /// Records how long the step has taken so far.
    pub fn keep_spent(&self) -> Result<()> {
        self.store.spent(&self.key, self.spent(), false)
    }

    fn earlier_seconds(&self) -> MutexGuard<'_, f64> {
        self.earlier_seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records how the attempt ended.
    pub fn ended(&self, outcome: AttemptOutcome) {
        if let Err(error) = self.attempted(outcome) {
            not_kept(&error);
        }
    }

    /// Records how the attempt stands.
    fn attempted(&self, outcome: AttemptOutcome) -> Result<()> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trainer) = &self.trainer {
            *used = used.and(trainer.take_usage());
        }
        let core_seconds = cpu_seconds() - self.cpu_before + used.core_seconds;
        self.store.attempted(self.attempt, Usage { core_seconds, ..*used }, outcome)
    }

    fn keep(&self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Curve { task, point, .. } => self.store.curve_point(&self.key, task, point),
            Event::Progress { task, .. } if !self.is_due(task) => Ok(()),
            Event::Progress { .. } => {
                self.store.event(&self.key, event)?;
                self.keep_spent()?;
                self.attempted(AttemptOutcome::Running)
            }
            _ => self.store.event(&self.key, event),
        }
    }

    fn is_due(&self, task: &str) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kept.get(task).is_none_or(|last| last.elapsed() >= INTERVAL);
        if due {
            kept.insert(task.to_owned(), Instant::now());
        }
        due
    }
}

impl Observer for Recorder {
    fn event(&self, event: &Event<'_>) {
        if let Err(error) = self.keep(event) {
            not_kept(&error);
        }
        self.observer.event(event);
    }
}

/// What is kept for people to look at is no reason to stop.
fn not_kept(error: &EngineError) {
    tracing::warn!("what happens cannot be kept: {error}");
}

/// Processor time that this process has used, over all cores, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
