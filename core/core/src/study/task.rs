//! Pieces of a step that know nothing of their neighbours.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::StepError;
use crate::train::Monitor;

/// Where a task may write.
#[derive(Debug, Clone)]
pub struct TaskFiles {
    /// The output, not yet existing: the task may create a file or a folder here.
    pub output: PathBuf,
    /// An existing folder for checkpoints, kept until the task has succeeded.
    pub scratch: PathBuf,
}

/// Where the tasks of a list may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this machine: they measure it, or use all of it.
    Here,
    /// On any machine that has the same program, plugins and images: they read nothing but these, settings
    /// and artifacts, and what the step does before it comes to them changes nothing and takes moments.
    /// Another machine runs the step up to the list, in which it then runs one of the tasks.
    Anywhere,
}

type Work<'a, T> = Box<dyn Fn(&TaskFiles, &dyn Monitor) -> Result<T, StepError> + Send + Sync + 'a>;

/// A piece of a step. It gets its files and where its progress goes, and gives a small result that
/// is kept as JSON.
pub struct Task<'a, T> {
    pub(super) name: String,
    work: Work<'a, T>,
}

impl<'a, T> Task<'a, T> {
    /// A task whose name is unique within the step: letters, digits, `-`, `_` and `.`.
    pub fn new(
        name: impl Into<String>,
        work: impl Fn(&TaskFiles, &dyn Monitor) -> Result<T, StepError> + Send + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

impl<'a, T: Serialize + 'a> Task<'a, T> {
    /// The same task, with its result as JSON.
    pub(super) fn erased(self) -> ErasedTask<'a> {
        let work = self.work;
        ErasedTask {
            name: self.name,
            work: Box::new(move |files, monitor| Ok(serde_json::to_value(work(files, monitor)?)?)),
        }
    }
}

/// A task whose result is JSON: what an engine runs.
pub struct ErasedTask<'a> {
    /// Unique within the step.
    pub name: String,
    /// What is done.
    pub work: Work<'a, Value>,
}
