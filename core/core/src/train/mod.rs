//! What a study asks of a trainer. Paths are those of artifacts that the engine manages.

mod benchmark;
mod compute;
mod error;
mod scales;
mod subnet;
mod teacher;
mod team;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use benchmark::{BenchmarkJob, BenchmarkPlan, BenchmarkReport, TrainingPhases, TrainingSpeed};
pub use compute::{Compute, Device, Precision, TrainedWith, UnknownDevice, UnknownPrecision};
pub use error::{AnyError, TrainError};
pub use scales::LearnScalesJob;
pub use subnet::{SubnetJob, SubnetStart};
pub use teacher::{Accuracies, TeachJob, TeachReport, Teacher, TeacherStart};
pub use team::{Meeting, TeamPlace};

use crate::{
    data::{StudyImages, Transform},
    graph::Graph,
    operators::Operators,
    quality::TableRow,
    quant::{Quantizer, Scheme, TrainedNetwork},
    space::{ElasticStage, Hyperspace, Subnet},
};

/// One point of a training curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Phase of the training, such as `fp32`.
    pub phase: String,
    /// Optimizer steps of the phase that were done.
    pub step: usize,
    /// Training loss, averaged over the steps since the point before; none where it is not known.
    pub loss: Option<f64>,
    /// Learning rate of the last of these steps.
    pub learning_rate: f64,
    /// Share of held-out images that the network classifies correctly, where it was judged.
    pub held_out_accuracy: Option<f64>,
}

/// A network whose accuracy a search has judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedNetwork {
    /// Its encoding.
    pub network: String,
    /// INT8, in milliseconds, as far as the search knows.
    pub latency_ms: f64,
    /// INT8, share of the held-out images that the search judges with.
    pub accuracy: f64,
}

/// What long work tells and asks while it runs.
pub trait Monitor: Send + Sync {
    /// `done` of `total` units of work are done; `note` is a short state such as a loss.
    fn progress(&self, done: usize, total: usize, note: &str);

    /// A point of the training curve is known. A point of the same phase and step that was told
    /// before, by an attempt that was interrupted, is replaced.
    fn curve(&self, point: &CurvePoint) {
        let _ = point;
    }

    /// A search has judged networks. One that goes on after it was interrupted tells of the same ones again.
    fn judged(&self, networks: &[JudgedNetwork]) {
        let _ = networks;
    }

    /// Whether to stop at the next safe point.
    fn cancelled(&self) -> bool;
}

/// What every job shares.
#[derive(Clone)]
pub struct TrainContext {
    /// All block types.
    pub operators: Operators,
    /// The images.
    pub images: StudyImages,
    /// The hyperspace of the study.
    pub hyperspace: Hyperspace,
    /// Quantization scheme of the target.
    pub scheme: Scheme,
    /// Where quantization parameters start.
    pub quantizer: Arc<dyn Quantizer>,
    /// Seed of everything random.
    pub seed: u64,
}

/// Gradient descent: one pass of cosine annealing per phase, with a linear warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Optimizer steps.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Images per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Peak learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
    /// Decay of convolution and linear weights; never of scales, biases or norms.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises linearly.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup: f64,
    /// Steps between checkpoints.
    #[serde(default = "default_checkpoint_steps")]
    #[schemars(range(min = 1))]
    pub checkpoint_steps: usize,
}

fn default_checkpoint_steps() -> usize {
    100
}

/// Files of a training without quantizers, then with them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TwoPhaseFiles {
    /// Weights after the phase without quantizers.
    pub fp32: PathBuf,
    /// Weights, scales and offsets after the phase with quantizers.
    pub int8: PathBuf,
    /// Folder for checkpoints.
    pub scratch: PathBuf,
}

/// What a trained network achieves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainReport {
    /// Share of held-out images classified correctly.
    pub held_out_accuracy: f64,
    /// Loss at the end, averaged over the last steps; none where nothing was trained.
    pub loss: Option<f64>,
}

/// Keeps a teacher's stage outputs on fixed images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeaturesJob {
    /// The teacher.
    pub teacher: Teacher,
    /// Number of images to distil on; the first half-open range of a seeded permutation.
    pub train_images: usize,
    /// Number of images to judge on, taken from the held-out ones.
    pub judge_images: usize,
    /// Most bytes that are kept; what is left out is computed whenever it is needed.
    pub cache_bytes: u64,
}

/// Trains one elastic stage alone, to give the teacher's stage output from its stage input, and
/// judges sub-stages of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DistilJob {
    /// Index of the choice stage.
    pub stage: usize,
    /// Index of the candidate.
    pub block: usize,
    /// The teacher.
    pub teacher: Teacher,
    /// Folder written by [`Trainer::features`] for it.
    pub features: PathBuf,
    /// FP32 phase.
    pub fp32: Phase,
    /// INT8 phase.
    pub int8: Phase,
    /// Sub-stages of this stage and candidate to judge.
    pub rows: Vec<TableRow>,
    /// Number of images for recalibration of batch normalization.
    pub calibration_images: usize,
}

/// What distilling one stage gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistilReport {
    /// INT8 loss of each row: noise-to-signal ratio.
    pub losses: Vec<f64>,
    /// Loss of the largest sub-stage after the FP32 and the INT8 phase.
    pub max_fp32: f64,
    /// See `max_fp32`.
    pub max_int8: f64,
    /// Learning rate that was used, as a share of the one asked for: below 1 after a divergence.
    pub rate: f64,
}

/// Judges sub-stages of a stage that is distilled already.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JudgeJob {
    /// Index of the choice stage.
    pub stage: usize,
    /// Index of the candidate.
    pub block: usize,
    /// The teacher.
    pub teacher: Teacher,
    /// Folder written by [`Trainer::features`] for it.
    pub features: PathBuf,
    /// Weights written by [`Trainer::distil`] for this stage and candidate.
    pub weights: PathBuf,
    /// Sub-stages of this stage and candidate to judge.
    pub rows: Vec<TableRow>,
    /// Number of images for recalibration of batch normalization.
    pub calibration_images: usize,
}

/// Weights of some stages to start from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// A file written by [`Trainer::distil`] or [`Trainer::teach`].
    pub weights: PathBuf,
    /// Names of the stages and head blocks that start from it, and no others.
    pub segments: Vec<String>,
}

/// Whose logits the smaller subnets of a supernet learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guide {
    /// The largest subnet's, on the same images: in-place distillation.
    Largest,
    /// The teacher's, as the largest subnet does; every subnet gets images of its own, so that a
    /// step sees four times as many.
    Teacher,
}

/// Subnets that a step of a supernet's training trains: the largest, the smallest, two random ones.
pub const SUBNETS_PER_STEP: usize = 4;

/// Trains the supernet of a space, [`SUBNETS_PER_STEP`] subnets a step, whose gradients are added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SupernetJob {
    /// The space's elastic stages.
    pub stages: Vec<ElasticStage>,
    /// Where its stages start from; those that nothing names start at random.
    pub start: Vec<Start>,
    /// `None`: the subnets that learn from labels learn from them alone.
    pub guidance: Option<Guidance>,
    /// FP32 phase.
    pub fp32: Phase,
    /// INT8 phase.
    pub int8: Phase,
    /// Share of the label that is spread over all classes.
    pub label_smoothing: f64,
    /// Whose logits the smaller subnets learn from.
    pub guide: Guide,
    /// Transforms of the images, without normalization; none: those of the study.
    pub augment: Vec<Transform>,
    /// Images of a subnet that are computed together, two or three at least; 0: all of a batch. Gradients of parts add
    /// up, but each part is normalized by itself.
    pub micro_batch: usize,
}

/// The teacher's opinion in the loss of a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guidance {
    /// The teacher.
    pub teacher: Teacher,
    /// Its share in the loss against teacher and labels; the rest is cross-entropy.
    pub teacher_share: f64,
    /// Every image is seen in so many views, one an epoch, for which the teacher's logits are kept; 0: every
    /// epoch has views of its own, and the teacher computes in each step.
    pub views: usize,
}

/// Looks at subnets of a trained supernet, or at a network from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateJob {
    /// The space's elastic stages; none of a network from outside.
    pub stages: Vec<ElasticStage>,
    /// Weights written by [`Trainer::train`] or [`Trainer::train_subnet`], or those of a network from outside.
    pub weights: PathBuf,
    /// Whether quantizers are active.
    pub quantized: bool,
    /// Number of training images for recalibration of batch normalization.
    pub calibration_images: usize,
    /// Number of held-out images for [`RecalibratedSubnet::held_out_accuracy`].
    pub judge_images: usize,
}

/// Classes that a network gives to images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predictions {
    /// One class per image.
    pub classes: Vec<u32>,
}

impl Predictions {
    /// Classes from logits, `images × classes` row-major; of equal logits the first wins.
    pub fn from_logits(logits: &[f32], classes: usize) -> Self {
        let best = |row: &[f32]| {
            let larger =
                |best: usize, index: usize| if row[index] > row[best] { index } else { best };
            (0..row.len()).fold(0, larger) as u32
        };
        Self { classes: logits.chunks(classes).map(best).collect() }
    }

    /// Share of images whose class is their label.
    pub fn accuracy(&self, labels: &[u32]) -> f64 {
        share_equal(&self.classes, labels)
    }

    /// Share of images that both networks give the same class.
    pub fn identical(&self, other: &Self) -> f64 {
        share_equal(&self.classes, &other.classes)
    }
}

fn share_equal(a: &[u32], b: &[u32]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

/// A file of weights: a trained supernet, whose subnets can be looked at one by one, or a network from outside.
pub trait Evaluator {
    /// Recalibrates the batch normalization of a subnet on training images (running statistics of
    /// a supernet fit none of its subnets): all that is asked of the answer is computed with these
    /// statistics.
    fn recalibrate(
        &mut self,
        subnet: &Subnet,
    ) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError>;

    /// A network of this graph, whose weights and statistics of batch normalizations the file holds as they are:
    /// one from outside, which is no subnet of a supernet.
    fn network(&mut self, graph: &Graph) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError>;
}

/// A network with batch normalization statistics of its own.
pub trait RecalibratedSubnet {
    /// Share of the judged held-out images that it classifies correctly.
    fn held_out_accuracy(&self) -> Result<f64, TrainError>;

    /// Classes of the test images, computed as in training.
    fn test_predictions(&self) -> Result<Predictions, TrainError>;

    /// The subnet as a network of its own; with quantization parameters where the supernet is
    /// quantized.
    fn network(&self) -> Result<TrainedNetwork, TrainError>;

    /// The same network with the parameters that another quantizer chooses from calibration
    /// images: weights and activations as they are without quantization.
    fn post_training(&self, quantizer: &dyn Quantizer) -> Result<TrainedNetwork, TrainError>;
}

/// What processes that train have used for jobs that ended.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, over all cores.
    pub core_seconds: f64,
    /// The most memory that one of them had at a time, in bytes.
    pub peak_bytes: u64,
}

impl Usage {
    /// Of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            core_seconds: self.core_seconds + other.core_seconds,
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
        }
    }
}

/// Trains networks given as graphs. Knows no block: every network is interpreted.
///
/// Methods with `output` write their result there, and keep what they need to continue after a kill in
/// `scratch`, if they have it; [`TwoPhaseFiles`] names both. With the same context, job and [`Compute`]
/// the result is the same bit for bit, interrupted or not.
pub trait Trainer: Send + Sync {
    /// Makes sure that it can compute where it should, which may take seconds at the first call.
    fn prepare(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// Name, version and what else results depend on, for reports and keys of artifacts. Known once it is
    /// [prepared](Self::prepare).
    fn fingerprint(&self) -> String;

    /// What other processes have used for this trainer since this was asked last.
    fn take_usage(&self) -> Usage {
        Usage::default()
    }

    /// Trains a teacher and writes its weights to the file `output`.
    fn teach(
        &self,
        context: &TrainContext,
        job: &TeachJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<TeachReport, TrainError>;

    /// Computes the teacher's features into the folder `output`.
    fn features(
        &self,
        context: &TrainContext,
        job: &FeaturesJob,
        output: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError>;

    /// Distils one (stage, block) and writes its weights to the file `output`.
    fn distil(
        &self,
        context: &TrainContext,
        job: &DistilJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<DistilReport, TrainError>;

    /// INT8 losses of sub-stages of a distilled (stage, block), as [`Trainer::distil`] judges its
    /// rows: noise-to-signal ratios on the judging images, one for each row.
    fn judge(
        &self,
        context: &TrainContext,
        job: &JudgeJob,
        monitor: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError>;

    /// Trains a supernet, without quantizers, then with them.
    fn train(
        &self,
        context: &TrainContext,
        job: &SupernetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError>;

    /// Trains one network alone, without quantizers, then with them. The files hold this subnet and
    /// no other; [`Trainer::evaluator`] opens them with the stages of the job.
    fn train_subnet(
        &self,
        context: &TrainContext,
        job: &SubnetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError>;

    /// Trains a network of any graph with quantizers. The file `output` gets weights, scales and offsets of the
    /// network without batch normalizations, whose graph is that of [`fold_float`](crate::quant::fold_float).
    fn learn_scales(
        &self,
        context: &TrainContext,
        job: &LearnScalesJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError>;

    /// Opens a trained supernet, or a network that was trained alone.
    fn evaluator(
        &self,
        context: &TrainContext,
        job: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError>;

    /// Measures how fast a supernet is trained; nothing is kept.
    fn benchmark(
        &self,
        context: &TrainContext,
        job: &BenchmarkJob,
        monitor: &dyn Monitor,
    ) -> Result<BenchmarkReport, TrainError>;
}
