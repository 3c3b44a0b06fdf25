//! What a running study tells, and how it is asked to stop.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::train::{CurvePoint, JudgedNetwork, Monitor};

use crate::keys::Change;

/// Something that happened in a running study: with `--progress json`, a line on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A step begins.
    StepStarted {
        /// Its name.
        step: Cow<'a, str>,
        /// What it does, in words.
        summary: Cow<'a, str>,
        /// Where it ran before: what has changed since; else nothing.
        changes: Cow<'a, [Change]>,
    },
    /// A step is skipped: nothing that it depends on has changed.
    StepSkipped {
        /// Its name.
        step: Cow<'a, str>,
        /// What it took when it ran, in seconds.
        seconds: f64,
    },
    /// A step has finished.
    StepFinished {
        /// Its name.
        step: Cow<'a, str>,
        /// What it took, earlier attempts included, in seconds.
        seconds: f64,
        /// What earlier attempts took of that, in seconds.
        #[serde(default)]
        earlier_seconds: f64,
    },
    /// A step has failed or was stopped; what it finished is kept.
    StepStopped {
        /// Its name.
        step: Cow<'a, str>,
        /// Why, in words.
        reason: Cow<'a, str>,
    },
    /// The tasks of a step: told before the first, and after each.
    Tasks {
        /// The step.
        step: Cow<'a, str>,
        /// How many have finished, those of earlier attempts included.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// A task begins.
    TaskStarted {
        /// The step.
        step: Cow<'a, str>,
        /// The task.
        task: Cow<'a, str>,
    },
    /// A task goes on.
    Progress {
        /// The step.
        step: Cow<'a, str>,
        /// The task; empty for progress of the step itself.
        task: Cow<'a, str>,
        /// Units of work done, such as steps of a training.
        done: usize,
        /// Units of work in all.
        total: usize,
        /// A short state, such as a loss.
        note: Cow<'a, str>,
    },
    /// A point of a task's training curve is known.
    Curve {
        /// The step.
        step: Cow<'a, str>,
        /// The task.
        task: Cow<'a, str>,
        /// The point.
        point: CurvePoint,
    },
    /// A search has judged networks; one that goes on tells of the same ones again.
    Judged {
        /// The step.
        step: Cow<'a, str>,
        /// The task.
        task: Cow<'a, str>,
        /// The networks.
        networks: Cow<'a, [JudgedNetwork]>,
    },
    /// A task ends.
    TaskFinished {
        /// The step.
        step: Cow<'a, str>,
        /// The task.
        task: Cow<'a, str>,
        /// What it took in this attempt, in seconds.
        seconds: f64,
        /// Whether it succeeded.
        succeeded: bool,
    },
    /// A step says a line.
    Said {
        /// The step.
        step: Cow<'a, str>,
        /// The line.
        line: Cow<'a, str>,
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
    pub step: &'static str,
    pub task: String,
}

impl Monitor for StepMonitor {
    fn progress(&self, done: usize, total: usize, note: &str) {
        let (step, task) = (self.step.into(), self.task.as_str().into());
        self.observer.event(&Event::Progress { step, task, done, total, note: note.into() });
    }

    fn curve(&self, point: &CurvePoint) {
        let (step, task) = (self.step.into(), self.task.as_str().into());
        self.observer.event(&Event::Curve { step, task, point: point.clone() });
    }

    fn judged(&self, networks: &[JudgedNetwork]) {
        let (step, task) = (self.step.into(), self.task.as_str().into());
        self.observer.event(&Event::Judged { step, task, networks: networks.into() });
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }
}
