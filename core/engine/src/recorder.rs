//! Keeps what happens in a step, and passes it on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
    observer: Arc<dyn Observer>,
}

impl Recorder {
    /// Opens an attempt at the step of this key.
    pub fn new(
        store: &Arc<Store>,
        key: &str,
        observer: &Arc<dyn Observer>,
        trainer: Option<Arc<dyn Trainer>>,
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
            observer: observer.clone(),
        })
    }

    /// Counts what processes of another machine have used.
    pub fn add(&self, usage: Usage) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.and(usage);
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
