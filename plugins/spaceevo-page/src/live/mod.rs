//! Pages that are shown while studies run: a server makes them, and tells of what has changed since.

mod front;
mod list;
mod now;
mod run;

use maud::Markup;
use serde::Serialize;

use crate::data::PageStep;

pub use list::{list_changes, list_page};
pub use run::{run_changes, run_page};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A process works on it.
    Running,
    /// All of its steps are finished.
    Finished,
    /// Some of its steps are finished, and nobody works on the others.
    Resting,
    /// A step failed.
    Failed,
    /// The user stopped a step.
    Stopped,
    /// The process of a step ended without a word.
    Killed,
    /// No step was begun.
    New,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStanding {
    /// It is finished.
    Finished,
    /// It is worked on.
    Running,
    /// It was begun, and is not finished.
    Begun,
    /// It was not begun.
    Ahead,
}

/// A run as the list of runs shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRunRow {
    /// Its name, which is that of its folder.
    pub name: String,
    /// Its target.
    pub target: String,
    /// How it stands.
    pub standing: Standing,
    /// The steps of its method in their order, and others that were begun.
    pub steps: Vec<(String, StepStanding)>,
    /// The step that was worked on last.
    pub step: Option<String>,
    /// The share of this step that is done, from 0 to 1.
    pub share: Option<f64>,
    /// Seconds that the step will take, if it goes on as it has.
    pub seconds_left: Option<f64>,
    /// When it was last heard of, in seconds since 1970.
    pub heard: f64,
    /// Whether there is a report of it.
    pub has_report: bool,
}

/// A task that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveTask {
    /// Its name; empty where it is the step itself.
    pub task: String,
    /// Units of work done.
    pub done: usize,
    /// Units of work in all.
    pub total: usize,
    /// A short state, such as a loss.
    pub note: String,
}

/// A network whose accuracy was judged while a search goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveNetwork {
    /// Its encoding.
    pub network: String,
    /// INT8, in milliseconds.
    pub latency_ms: f64,
    /// INT8, share of the held-out images.
    pub accuracy: f64,
}

/// All that the page of a run shows.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRunData {
    /// As the list shows it.
    pub row: LiveRunRow,
    /// Finished tasks of the present list of the step, and all of that list.
    pub tasks: (usize, usize),
    /// Tasks that go on.
    pub running: Vec<LiveTask>,
    /// Why the step failed or was stopped, as far as is known.
    pub reason: Option<String>,
    /// The last lines of the step, the latest one last.
    pub lines: Vec<String>,
    /// How the steps went, in the order of their start.
    pub history: Vec<PageStep>,
    /// Networks that were judged.
    pub networks: Vec<LiveNetwork>,
}

/// A part of a page that may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change(
    /// Name of the element that the part is put into where it is not there yet.
    &'static str,
    /// Name of the part.
    String,
    /// Its markup.
    String,
);

impl Change {
    fn new(within: &'static str, id: impl Into<String>, content: Markup) -> Self {
        Self(within, id.into(), crate::document::visible(content.into_string()))
    }

    /// Name of the part.
    pub fn id(&self) -> &str {
        &self.1
    }
}
