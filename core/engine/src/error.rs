//! What goes wrong, for people: what, where, and what to do.

use std::{
    error::Error,
    fmt::{self, Display},
    path::{Path, PathBuf},
    sync::Arc,
};

use spacewright_core::{
    study::{ArtifactName, FieldError, StepError},
    train::TrainError,
};
use spacewright_data::DataError;

use crate::cluster::ClusterError;

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

/// What an error is about, as far as it is one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The request as a whole.
    Request,
    /// A file, by its name in messages, and a line of it, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line, where one can be named.
        line: Option<usize>,
    },
    /// A step of the method.
    Step(String),
    /// Something that a step has left, or should have.
    Artifact(ArtifactName),
}

/// Why the engine stopped.
#[derive(Debug, Clone)]
pub struct EngineError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong with that.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The error behind it.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Result of the engine.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Request => f.write_str(&self.reason),
            Subject::File { path, line: None } => write!(f, "{}: {}", path.display(), self.reason),
            Subject::File { path, line: Some(line) } => {
                write!(f, "{}:{line}: {}", path.display(), self.reason)
            }
            Subject::Step(step) => write!(f, "step `{step}`: {}", self.reason),
            Subject::Artifact(name) => write!(f, "`{name}` {}", self.reason),
        }
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

impl PartialEq for EngineError {
    fn eq(&self, other: &Self) -> bool {
        let all = |error: &Self| {
            (error.kind, error.subject.clone(), error.reason.clone(), error.hint.clone())
        };
        all(self) == all(other)
    }
}

impl EngineError {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        let (subject, reason) = (Subject::Request, reason.into());
        Self { kind, subject, reason, hint: None, source: None }
    }

    /// A wrong study.
    pub fn study(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Study, reason)
    }

    /// A file that cannot be read or written, or holds something that it must not.
    pub fn file(path: &Path, reason: impl Display) -> Self {
        Self::new(ErrorKind::Storage, reason.to_string()).about_file(path, None)
    }

    /// An artifact that is not there, or not of the form that is asked for.
    pub(crate) fn artifact(
        kind: ErrorKind,
        name: &ArtifactName,
        reason: impl Into<String>,
    ) -> Self {
        Self { subject: Subject::Artifact(name.clone()), ..Self::new(kind, reason) }
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

    /// Keeps the error behind this one.
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Says in which file it is, and in which line. An error that is about a file already, such as
    /// one that the file names, keeps that in its reason.
    pub fn about_file(self, path: &Path, line: Option<usize>) -> Self {
        let reason = self.to_string();
        Self { subject: Subject::File { path: path.to_owned(), line }, reason, ..self }
    }

    /// Names the step in which it happened.
    pub(crate) fn in_step(step: &str, error: StepError) -> Self {
        let error = Self::from(error);
        match error.kind {
            ErrorKind::Cancelled => error,
            _ => Self { subject: Subject::Step(step.to_owned()), ..error },
        }
    }
}

impl From<StepError> for EngineError {
    fn from(error: StepError) -> Self {
        let (kind, hint) = advice(&error);
        if kind == ErrorKind::Cancelled {
            return Self::cancelled();
        }
        let reason = error.to_string();
        Self { hint, ..Self::new(kind, reason).with_source(error) }
    }
}

/// What kind of error stopped a step, and what to do.
pub(crate) fn advice(error: &StepError) -> (ErrorKind, Option<String>) {
    match error {
        StepError::Cancelled => (ErrorKind::Cancelled, None),
        StepError::Field(error) => (ErrorKind::Study, Some(error.hint())),
        StepError::Task { source, .. } => advice(source),
        StepError::Engine(error) => match error.downcast_ref::<EngineError>() {
            Some(error) => (error.kind, error.hint.clone()),
            None => (ErrorKind::Step, None),
        },
        StepError::File(_) => (ErrorKind::Storage, None),
        StepError::Train(error) => (ErrorKind::Step, error.hint().map(str::to_owned)),
        _ => (ErrorKind::Step, None),
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        match error.kind {
            ErrorKind::Cancelled => Self::Cancelled,
            _ => Self::Engine(Box::new(error)),
        }
    }
}

impl From<TrainError> for EngineError {
    fn from(error: TrainError) -> Self {
        if matches!(error, TrainError::Cancelled) {
            return Self::cancelled();
        }
        let (text, hint) = (error.to_string(), error.hint().map(str::to_owned));
        Self { hint, ..Self::new(ErrorKind::Step, text).with_source(error) }
    }
}

impl From<ClusterError> for EngineError {
    fn from(error: ClusterError) -> Self {
        let (text, hint) = (error.to_string(), error.hint());
        Self::new(ErrorKind::Step, text).with_hint(hint).with_source(error)
    }
}

impl From<FieldError> for EngineError {
    fn from(error: FieldError) -> Self {
        Self::study(error.to_string()).with_hint(error.hint()).with_source(error)
    }
}

impl From<DataError> for EngineError {
    fn from(error: DataError) -> Self {
        let (text, hint) = (error.to_string(), error.hint().map(str::to_owned));
        let described = Self::study(text).with_source(error);
        match hint {
            Some(hint) => described.with_hint(hint),
            None => described,
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
        self.map_err(|error| EngineError::file(path, &error).with_source(error))
    }
}
