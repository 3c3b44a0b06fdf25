//! What goes wrong, for people: what, where, and what to do.

use std::{fmt::Display, path::Path};

use spacewright_core::method::StepError;
use thiserror::Error;

/// What an error is about; decides exit codes, never wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The user asked to stop.
    Cancelled,
    /// A study file, a name or an option is wrong.
    Study,
    /// A step needs another one first.
    Missing,
    /// Another process works on the run.
    Locked,
    /// A file or data base cannot be read or written.
    Storage,
    /// A plugin cannot be used.
    Plugin,
    /// A step failed.
    Step,
}

/// Why the engine stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct EngineError {
    /// What it is about.
    pub kind: ErrorKind,
    /// What is wrong and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Result of the engine.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A wrong study.
    pub fn study(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Study, message)
    }

    /// Something about a file.
    pub fn file(path: &Path, reason: impl Display) -> Self {
        Self::new(ErrorKind::Storage, format!("{}: {reason}", path.display()))
    }

    /// The request to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
            .with_hint("the same command goes on where it stopped")
    }

    /// Adds what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something that a method finds wrong with a study.
    pub(crate) fn in_study(error: StepError) -> Self {
        match error {
            StepError::Study { message, hint } => {
                Self { hint: Some(hint).filter(|hint| !hint.is_empty()), ..Self::study(message) }
            }
            other => Self::study(other.to_string()),
        }
    }

    /// Names the step in which it happened.
    pub(crate) fn in_step(step: &str, error: StepError) -> Self {
        match error {
            StepError::Cancelled => Self::cancelled(),
            StepError::Study { message, hint } => Self {
                kind: ErrorKind::Study,
                message: format!("step `{step}`: {message}"),
                hint: Some(hint).filter(|hint| !hint.is_empty()),
            },
            StepError::Failed(reason) => {
                Self::new(ErrorKind::Step, format!("step `{step}`: {reason}"))
            }
        }
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        match (error.kind, error.hint) {
            (ErrorKind::Cancelled, _) => Self::Cancelled,
            (_, Some(hint)) => Self::Study { message: error.message, hint },
            (ErrorKind::Study | ErrorKind::Missing, None) => {
                Self::Study { message: error.message, hint: String::new() }
            }
            (_, None) => Self::Failed(error.message),
        }
    }
}

/// Adds the path to errors of the file system.
pub(crate) trait AtPath<T> {
    /// Names the file.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| EngineError::file(path, error))
    }
}
