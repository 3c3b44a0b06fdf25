//! What the two processes tell each other.

use std::{collections::HashSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    foreign::{MeasuredInput, OpenSizes},
    model::ModelSummary,
    target::Measurement,
};
use spacewright_engine::import::ImportReport;

/// What is to be done with a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The file.
    pub model: PathBuf,
    /// Whose runtime; by default the first target's with this format.
    pub target: Option<String>,
    pub task: Task,
    /// Threads to measure with.
    pub threads: usize,
    pub sizes: OpenSizes,
    /// Seconds for opening the file and the first run, and for each run after it.
    pub seconds: u64,
    /// Memory of the process that opens it, in GiB.
    pub memory_gib: u64,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Of the network in the file, by who knows the file's format: no target is asked.
    Read(ReadTask),
    /// Of the file, opened with a target's runtime.
    Open(OpenTask),
}

/// What is wanted of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadTask {
    /// Its graph and weights, written into this folder; its results are compared.
    Import { folder: PathBuf },
    /// Its graph alone, written into this folder.
    Structure { folder: PathBuf },
}

/// What is wanted of a file that a runtime opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenTask {
    /// A summary, and the latency unless `measures` is not set.
    Inspect { measures: bool },
    /// The latency.
    Measure,
    /// What the network says of these images, prepared as the file says.
    Run { images: Vec<PathBuf> },
}

/// What the child tells, a line each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The file is opened from now on.
    Ready {
        target: String,
    },
    Summary(Box<ModelSummary>),
    /// Operators that the runtime computes in real numbers.
    FloatOperators {
        by: String,
        operators: Vec<String>,
    },
    /// Milliseconds that the target's predictor says, or why it says none.
    Predicted(Result<f64, String>),
    /// The first run begins.
    Opened(Vec<MeasuredInput>),
    /// The first run ended.
    Measuring,
    /// Runs go on.
    Running,
    /// Whoever measures it tells nothing before the end.
    Unwatched,
    Measured(Box<Measurement>),
    NotMeasured(String),
    /// It is ready to run on images.
    Loaded,
    /// What the network says of the next image, or why it says nothing.
    Ran(Result<Vec<f32>, String>),
    /// Graph and weights are written.
    Imported(Box<ImportReport>),
    /// There is no result.
    Failed(Problem),
    Done,
}

/// Why there is no result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    pub message: String,
    pub hint: Option<String>,
    /// Whether the command or the file is wrong, rather than something that went wrong on the way.
    pub is_input: bool,
}

/// What became known of a file.
#[derive(Debug, Default)]
pub struct Found {
    /// Name of the target that was asked.
    pub target: String,
    pub summary: Option<ModelSummary>,
    /// The runtime that said which operators compute with real numbers; the file's types said it
    /// where there is none.
    pub float_by: Option<String>,
    pub predicted: Option<Result<f64, String>>,
    pub measured: Option<Measurement>,
    /// Why it was not measured.
    pub not_measured: Option<String>,
    /// Logits of each image, or why there are none.
    pub ran: Vec<Result<Vec<f32>, String>>,
    /// What was made of it.
    pub imported: Option<ImportReport>,
}

impl Found {
    /// Takes the runtime's word for which operators compute with real numbers: these do not
    /// saturate either.
    pub(super) fn correct(&mut self, by: String, float_operators: Vec<String>) {
        let Some(summary) = &mut self.summary else { return };
        let real: HashSet<&String> = float_operators.iter().collect();
        summary.saturating_operators.retain(|operator| !real.contains(operator));
        summary.float_operators = float_operators;
        self.float_by = Some(by);
    }
}
