//! What head and worker tell each other.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::Transform,
    graph::Graph,
    operators::{BlockRequest, BlockType},
    quant::{ActivationRange, Scheme, TensorStats, TrainedNetwork, WeightRange},
    space::{Hyperspace, Subnet},
    train::{
        BenchmarkJob, BenchmarkReport, Compute, CurvePoint, DistilJob, DistilReport, EvaluateJob,
        FeaturesJob, JudgeJob, LearnScalesJob, Predictions, SubnetJob, SupernetJob, TeachJob,
        TeachReport, TeamPlace, TrainReport, TwoPhaseFiles, Usage,
    },
};

/// Changes with everything below; both sides have to be of one version.
pub const PROTOCOL: u32 = 6;

/// What the head tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// First of all.
    Start {
        /// What it computes with.
        compute: Compute,
        /// Where it stands among other workers.
        place: Place,
        /// Whether messages for who looks for mistakes are wanted.
        verbose: bool,
    },
    /// Images that jobs are about; as many open files follow as are named.
    Images { id: u64, images: SharedStudyImages, files: usize },
    /// Something to compute. Nothing else is until it has ended.
    Work { context: Box<Context>, job: Box<Job> },
    /// About what [`Job::Evaluate`] has opened.
    Ask(Question),
    /// The graphs that were asked for; none where the operator set failed.
    Graphs(Option<Vec<Graph>>),
    /// The scales that were asked for; none where the quantizer failed.
    Scales(Option<Scales>),
    /// Stop at the next safe point.
    Cancel,
}

/// Where a worker stands among others.
#[derive(Debug, Serialize, Deserialize)]
pub enum Place {
    /// It computes alone, beside other workers of its machine.
    Alone { local_rank: usize },
    /// It trains together with others, for which it waits.
    InTeam(TeamPlace),
}

impl Place {
    /// Its number among the workers of its machine: which of the machine's GPUs it computes on. Several that
    /// compute alone may have the same one.
    pub fn local_rank(&self) -> usize {
        match self {
            Self::Alone { local_rank } => *local_rank,
            Self::InTeam(place) => place.local_rank,
        }
    }

    /// Its place in a team, if it belongs to one.
    pub fn in_team(&self) -> Option<&TeamPlace> {
        match self {
            Self::Alone { .. } => None,
            Self::InTeam(place) => Some(place),
        }
    }
}

/// The images of a study.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedStudyImages {
    pub description: Vec<u8>,
    pub train: Vec<usize>,
    pub held_out: Vec<usize>,
    pub test: Vec<usize>,
    pub judging: Vec<Transform>,
    pub training: Vec<Transform>,
}

/// What a job is done with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Context {
    /// Which images, of those that were told before.
    pub images: u64,
    /// All block types; their graphs are asked for.
    pub blocks: Vec<BlockType>,
    pub hyperspace: Hyperspace,
    pub scheme: Scheme,
    /// Its scales are asked for.
    pub quantizer: NamedQuantizer,
    pub seed: u64,
}

/// What is known of a quantizer without asking it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedQuantizer {
    pub name: String,
    pub learnable: bool,
}

/// A call of [`Trainer`](spacewright_core::train::Trainer).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    Teach { job: TeachJob, output: PathBuf, scratch: PathBuf },
    Features { job: FeaturesJob, output: PathBuf },
    Distil { job: DistilJob, output: PathBuf, scratch: PathBuf },
    Judge { job: JudgeJob },
    Train { job: SupernetJob, files: TwoPhaseFiles },
    TrainSubnet { job: SubnetJob, files: TwoPhaseFiles },
    LearnScales { job: LearnScalesJob, output: PathBuf, scratch: PathBuf },
    Evaluate { job: EvaluateJob },
    Benchmark { job: BenchmarkJob },
}

impl Job {
    /// What is done by who evaluates, for errors.
    pub const EVALUATING: &str = "judging networks";

    /// What is done, for errors.
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Teach { .. } => "training the teacher",
            Self::Features { .. } => "computing the teacher's features",
            Self::Distil { .. } => "distilling a stage",
            Self::Judge { .. } => "judging the sub-stages of a stage",
            Self::Train { .. } => "training a supernet",
            Self::TrainSubnet { .. } => "training a network",
            Self::LearnScales { .. } => "training a network with quantizers",
            Self::Evaluate { .. } => Self::EVALUATING,
            Self::Benchmark { .. } => "measuring how fast it trains",
        }
    }
}

/// A call of [`Evaluator`](spacewright_core::train::Evaluator) or of
/// [`RecalibratedSubnet`](spacewright_core::train::RecalibratedSubnet), which is about the subnet that was
/// recalibrated last, or the network that was opened last.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    Recalibrate(Box<Subnet>),
    /// The network of this graph.
    Open(Box<Graph>),
    HeldOutAccuracy,
    TestPredictions,
    Network,
    PostTraining(NamedQuantizer),
    /// Nothing more.
    Close,
}

/// What the worker tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// First of all.
    Greeting {
        protocol: u32,
        /// Of the program.
        version: String,
        /// The trainer's name in keys.
        trainer: String,
    },
    /// The trainer can compute as it was told to.
    Started {
        /// The card's name; none for the processor.
        card: Option<String>,
    },
    /// It cannot; nothing follows.
    Refused {
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A message for people, or for who looks for mistakes.
    Log {
        level: LogLevel,
        text: String,
    },
    Progress {
        done: usize,
        total: usize,
        note: String,
    },
    Curve(CurvePoint),
    /// The graphs of these blocks are needed.
    NeedGraphs(Vec<BlockRequest>),
    /// The scales of these tensors are needed.
    NeedScales(NeedScales),
    /// The job is done, or the question answered, and what that has used.
    Done {
        answer: Box<Answer>,
        usage: Usage,
    },
    /// It is not.
    Failed {
        problem: Problem,
        usage: Usage,
    },
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// A call of [`Quantizer`](spacewright_core::quant::Quantizer): of the one that the question named, else of
/// the context's.
#[derive(Debug, Serialize, Deserialize)]
pub enum NeedScales {
    Activations(Vec<(TensorStats, ActivationRange)>),
    Weights(Vec<TensorStats>, WeightRange),
}

/// What a quantizer answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Scales {
    Activations(Vec<(f32, f32)>),
    Weights(Vec<f32>),
}

/// The result of a job, or the answer to a question.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// There is nothing to say.
    Nothing,
    Taught(TeachReport),
    Distilled(DistilReport),
    Judged(Vec<f64>),
    Trained(BTreeMap<String, TrainReport>),
    Accuracy(f64),
    Predictions(Predictions),
    Network(TrainedNetwork),
    Benchmark(BenchmarkReport),
}

/// Why there is none.
#[derive(Debug, Serialize, Deserialize)]
pub enum Problem {
    /// As it was asked for.
    Cancelled,
    Diverged {
        what: String,
        step: usize,
    },
    /// The head did not answer: it knows why.
    Unanswered,
    /// Anything else.
    Said(String),
}
