//! What a running study tells, and how it is asked to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use spacewright_core::train::Monitor;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A step begins.
    StepStarted {
        /// Its name.
        step: &'a str,
        /// What it does.
        summary: &'a str,
    },
    /// A step is skipped: nothing that it depends on has changed.
    StepSkipped {
        /// Its name.
        step: &'a str,
        /// What it took when it ran.
        seconds: f64,
    },
    /// A step has finished.
    StepFinished {
        /// Its name.
        step: &'a str,
        /// What it took, interrupted attempts included.
        seconds: f64,
    },
    /// A step has failed or was stopped; what it finished is kept.
    StepStopped {
        /// Its name.
        step: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The tasks of a step: told before the first, and after each.
    Tasks {
        /// The step.
        step: &'a str,
        /// Finished, those of earlier attempts included.
        done: usize,
        /// All.
        total: usize,
    },
    /// A task begins.
    TaskStarted {
        /// The step.
        step: &'a str,
        /// The task.
        task: &'a str,
    },
    /// A task goes on; `task` is empty for progress of the step itself.
    Progress {
        /// The step.
        step: &'a str,
        /// The task.
        task: &'a str,
        /// Units of work done.
        done: usize,
        /// Units of work in all.
        total: usize,
        /// A short state, such as a loss.
        note: &'a str,
    },
    /// A task ends.
    TaskFinished {
        /// The step.
        step: &'a str,
        /// The task.
        task: &'a str,
        /// What it took in this attempt.
        seconds: f64,
        /// Whether it succeeded.
        succeeded: bool,
    },
    /// A step says a line.
    Said {
        /// The step.
        step: &'a str,
        /// The line.
        line: &'a str,
    },
}

/// Hears events, on whichever thread they happen.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Hears nothing, and never asks to stop.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

impl Monitor for Silent {
    fn progress(&self, _done: usize, _total: usize, _note: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// The monitor that steps and tasks are handed.
pub(crate) struct StepMonitor {
    pub observer: Arc<dyn Observer>,
    pub cancel: Arc<AtomicBool>,
    /// Set when a neighbouring task has failed.
    pub failed: Arc<AtomicBool>,
    pub step: String,
    pub task: String,
}

impl Monitor for StepMonitor {
    fn progress(&self, done: usize, total: usize, note: &str) {
        let (step, task) = (self.step.as_str(), self.task.as_str());
        self.observer.event(&Event::Progress { step, task, done, total, note });
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }
}
