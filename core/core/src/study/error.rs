//! Why a step stopped.

use std::{error::Error, io, path::PathBuf};

use thiserror::Error;

use super::{ArtifactName, FieldError};
use crate::{
    graph::GraphError,
    latency::LatencyError,
    operators::OperatorError,
    quant::{FoldError, IntegerError},
    score::ScoreError,
    target::TargetError,
    train::TrainError,
};

/// A file that cannot be read or written.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl FileError {
    /// Names the file of a failed operation: for `map_err`.
    pub fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { path, source }
    }
}

/// Why a step stopped.
#[derive(Debug, Error)]
pub enum StepError {
    /// The user asked to stop; finished tasks are kept.
    #[error("stopped on request")]
    Cancelled,
    /// The study asks for something that cannot be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A task of the step stopped.
    #[error("task `{task}`: {source}")]
    Task {
        /// Name of the task.
        task: String,
        /// Why.
        source: Box<StepError>,
    },
    /// A bug: the step panicked.
    #[error("panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A kept result is not of the type that is asked for.
    #[error("`{artifact}` cannot be read: {source}")]
    Artifact {
        /// Which one.
        artifact: ArtifactName,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Training failed.
    #[error(transparent)]
    Train(TrainError),
    /// A latency is not known.
    #[error(transparent)]
    Latency(#[from] LatencyError),
    /// A target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Spaces cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A block cannot be built.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A network cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The integer executor cannot follow a network.
    #[error(transparent)]
    Integer(#[from] IntegerError),
    /// A result cannot be written as JSON or read again.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// What the engine could not do for the step.
    #[error(transparent)]
    Engine(Box<dyn Error + Send + Sync>),
    /// Anything else that a method finds.
    #[error(transparent)]
    Method(Box<dyn Error + Send + Sync>),
}

impl StepError {
    /// What a method finds wrong: an error type of its own.
    pub fn method(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Method(error.into())
    }

    /// Names the task in which it happened; a request to stop stays one.
    pub fn in_task(self, task: &str) -> Self {
        match self {
            Self::Cancelled => Self::Cancelled,
            other => Self::Task { task: task.to_owned(), source: Box::new(other) },
        }
    }
}

impl From<TrainError> for StepError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Cancelled => Self::Cancelled,
            other => Self::Train(other),
        }
    }
}
