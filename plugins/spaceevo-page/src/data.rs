//! What a page shows, gathered by whoever has the run.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spacewright_core::{hex::hex, train::CurvePoint};
use spacewright_spaceevo::{
    report::{NetworkShape, PlainReport, ProxyReport, SpacesReport, StudyReport},
    steps::{evolve::SearchTrace, export::LayerLatency, measure::SumOfParts},
};

/// All that a page shows. Numbers on the page name their place in it: `report.budgets.0.int8_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageData {
    /// The study file.
    pub study: StudyFile,
    /// Who made the run.
    pub origin: Origin,
    /// What was found: `report.json`.
    pub report: StudyReport,
    /// The stages of the space, those of the stem first.
    pub stages: Vec<PageStage>,
    /// The networks, in the order of the report's budgets.
    pub networks: Vec<PageNetwork>,
    /// Whole networks against the sums of their parts.
    pub sums: Vec<SumOfParts>,
    /// How the searches for a space went; empty where an earlier version searched.
    #[serde(default)]
    pub traces: Vec<SearchTrace>,
    /// The networks against networks trained alone: `plain.json`.
    pub plain: Option<PlainReport>,
    /// Losses against accuracies: `proxy.json`.
    pub proxy: Option<ProxyReport>,
    /// The space against others: `spaces.json`.
    pub spaces: Option<SpacesReport>,
    /// How the steps went, in their order.
    pub history: Vec<PageStep>,
}

/// The study file of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyFile {
    /// Name of the study.
    pub name: String,
    /// Path of the file, as commands name it.
    pub file: String,
    /// What the file says.
    pub text: String,
    /// What the classes of its images are called.
    pub classes: Vec<String>,
}

/// Where a run comes from, beyond what its report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of the program that wrote the page.
    pub program: String,
    /// Folder of all runs, as commands name it; none where it is the usual one.
    pub runs: Option<String>,
    /// Threads of the program.
    pub threads: usize,
    /// Names and values of flags with which the study has other values than its file, such as `seed` and `7`.
    #[serde(default)]
    pub flags: Vec<(String, String)>,
}

/// A stage of the space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageStage {
    /// Its name.
    pub stage: String,
    /// Its block type.
    pub block: String,
    /// Its output widths, smallest first.
    pub widths: Vec<usize>,
    /// Fewest and most blocks.
    pub depths: [usize; 2],
    /// Down-sampling of its first block.
    pub stride: usize,
}

/// What the report does not say of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageNetwork {
    /// Latencies of its blocks, from the input to the output.
    pub layers: Vec<LayerLatency>,
    /// Its arithmetic; none where its blocks are not known any more.
    pub shape: Option<NetworkShape>,
    /// Its model files.
    pub files: Vec<ModelFile>,
}

/// A model file in the folder of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, as `sha256sum` prints it.
    pub sha256: String,
}

impl ModelFile {
    /// A file of this name and content.
    pub fn new(name: &str, content: &[u8]) -> Self {
        let sha256 = hex(&Sha256::digest(content));
        Self { name: name.to_owned(), bytes: content.len() as u64, sha256 }
    }
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageStep {
    /// Its name.
    pub step: String,
    /// Whether these are the present settings.
    pub current: bool,
    /// In the order of their start.
    pub attempts: Vec<PageAttempt>,
    /// Training curves, by task.
    pub curves: Vec<PageCurve>,
}

/// One interval in which a step was worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageAttempt {
    /// When it began, in seconds since 1970.
    pub started: f64,
    /// How long it took.
    pub seconds: f64,
    /// Seconds of processor time, over all cores.
    pub core_seconds: f64,
    /// The most memory that a process that trained had at a time, in bytes; none where none did.
    pub peak_bytes: Option<u64>,
    /// How it ended, in a word: `finished` where nothing stopped it, `running` where it goes on.
    pub outcome: String,
}

impl PageAttempt {
    /// Whether it ended before the step was finished.
    pub fn stopped(&self) -> bool {
        !["finished", "running"].contains(&self.outcome.as_str())
    }
}

/// The training curve of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageCurve {
    /// Name of the task.
    pub task: String,
    /// Its points: phase after phase, in the order of their steps.
    pub points: Vec<CurvePoint>,
}
