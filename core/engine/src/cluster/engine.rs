//! What the engine of a site is asked for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ClusterError;

/// Jobs that are submitted together. The head chooses the name and keeps it before it submits, so that it
/// finds the jobs again whenever it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What no other batch is called: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// [`ClusterEngine::name`] of who got it.
    pub engine: String,
    /// The task of each job, by the job's number in the batch.
    pub tasks: Vec<String>,
}

/// A batch with all that its jobs are.
pub struct Submission<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// What each job runs, for a shell.
    pub lines: Vec<String>,
    /// Where the output of each job goes.
    pub logs: Vec<PathBuf>,
    /// The folder in which jobs begin.
    pub folder: &'a Path,
}

/// A job that the engine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Name of its batch.
    pub batch: String,
    /// Its number in the batch.
    pub number: usize,
    /// What the engine calls it.
    pub id: String,
    /// How it stands.
    pub state: JobState,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum JobState {
    /// It has not begun.
    Waiting {
        /// What for, in the engine's words; empty where it does not say.
        reason: String,
    },
    /// It runs.
    Running {
        /// The machine.
        node: String,
    },
    /// It is over, or will never begin.
    Ended {
        /// Why, in the engine's words; empty where it does not say.
        reason: String,
    },
}

/// Hands jobs to machines. Asked by one thread at a time, and again and again: an answer that does not
/// come is tried for later.
pub trait ClusterEngine: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// That it is there and answers.
    fn check(&self) -> Result<(), ClusterError>;

    /// Whether it keeps to the study's number of jobs at a time itself, within a batch. Else it is never
    /// given more than that.
    fn limits_batches(&self) -> bool;

    /// Takes a batch.
    fn submit(&self, submission: &Submission<'_>) -> Result<(), ClusterError>;

    /// Those jobs of these batches that it knows. One that it does not name has ended.
    fn jobs(&self, batches: &[&Batch]) -> Result<Vec<Job>, ClusterError>;

    /// Sees to it that these jobs, by number in their batch, do not run; some may have ended before.
    fn cancel(&self, batch: &Batch, numbers: &[usize]) -> Result<(), ClusterError>;
}
