//! What a study asks of a trainer. Paths are those of artifacts that the engine manages.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    data::{Augmentation, DataSet},
    graph::GraphError,
    operators::{OperatorError, Operators},
    quality::TableRow,
    quant::{PlacementError, Quantizer, QuantizerError, Scheme, TrainedNetwork},
    space::{ElasticStage, Hyperspace, Subnet},
};

/// An error of a library or of the operating system.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Why a network was not trained, or cannot be looked at.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The user asked to stop; work up to the last checkpoint is kept.
    #[error("stopped on request")]
    Cancelled,
    /// The loss was not finite, or training made the network worse.
    #[error("{what}: training diverged at step {step}")]
    Diverged {
        /// What was trained.
        what: String,
        /// Counted from 0 over all phases.
        step: usize,
    },
    /// A file cannot be read or written, or does not hold what it should.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: AnyError,
    },
    /// A weight, a statistic or a scale is not there.
    #[error("there is no tensor `{name}`")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor has another shape than the network needs.
    #[error("tensor `{name}` has the shape {found:?}, which does not fit {needed:?}")]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// What is there, outermost dimension first.
        found: Vec<usize>,
        /// What is needed.
        needed: Vec<usize>,
    },
    /// A value of a graph is asked for that is not computed, or no longer kept.
    #[error("the graph has no value `{name}`")]
    MissingValue {
        /// Name of the node that computes it.
        name: String,
    },
    /// The features of the teacher were not computed for a resolution.
    #[error("there are no features of the teacher for images of {resolution} pixels")]
    MissingFeatures {
        /// Side of the network's input image, in pixels.
        resolution: usize,
    },
    /// Weights of grouped convolutions cannot be shared by blocks of different widths.
    #[error(
        "node `{node}`: a grouped convolution cannot be elastic in width ({first:?} and \
         {second:?}); only dense and depth-wise ones can"
    )]
    ElasticGroups {
        /// The convolution.
        node: String,
        /// Shape of its weights in one configuration.
        first: Vec<usize>,
        /// Shape of its weights in another configuration.
        second: Vec<usize>,
    },
    /// An operator set gave no graph.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Quantizers cannot be placed.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A quantizer gave no parameters.
    #[error(transparent)]
    Quantizer(#[from] QuantizerError),
    /// The library that computes failed.
    #[error("{doing}: {source}")]
    Computation {
        /// What was computed, such as `fake quantization`.
        doing: &'static str,
        /// What went wrong.
        source: AnyError,
    },
}

impl TrainError {
    /// A file that cannot be read or written, or does not hold what it should.
    pub fn file(path: &Path, source: impl Into<AnyError>) -> Self {
        Self::File { path: path.to_owned(), source: source.into() }
    }
}

/// One point of a training curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// What long work tells and asks while it runs.
pub trait Monitor: Send + Sync {
    /// `done` of `total` units of work are done; `note` is a short state such as a loss.
    fn progress(&self, done: usize, total: usize, note: &str);

    /// A point of the training curve is known. A point of the same phase and step that was told
    /// before, by an attempt that was interrupted, is replaced.
    fn curve(&self, point: &CurvePoint) {
        let _ = point;
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
    pub data: Arc<DataSet>,
    /// Positions in the training images that are never trained on.
    pub held_out: Arc<Vec<usize>>,
    /// Side of the square on which images are placed before resizing.
    pub canvas: usize,
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
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises linearly.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup: f64,
    /// Steps between checkpoints.
    #[schemars(range(min = 1))]
    pub checkpoint_steps: usize,
}

/// Trains a teacher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TeachJob {
    /// Stages with exactly one width and choice, followed by the hyperspace's head.
    pub stages: Vec<ElasticStage>,
    /// The teacher as the only subnet of these stages, at the canvas' resolution.
    pub subnet: Subnet,
    /// A file with the weights, as [`Trainer::teach`] writes it, instead of training.
    pub weights: Option<PathBuf>,
    /// How.
    pub phase: Phase,
    /// Random changes of the images.
    pub augmentation: Augmentation,
    /// Label smoothing.
    pub label_smoothing: f64,
}

/// What a trained network achieves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Share of held-out images classified correctly.
    pub held_out_accuracy: f64,
    /// Loss at the end, averaged over the last steps; none where nothing was trained.
    pub loss: Option<f64>,
}

/// Computes a teacher's stage outputs on fixed images, and its logits on all training images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeaturesJob {
    /// The teacher's stages and subnet.
    pub teacher: TeachJob,
    /// Weights written by [`Trainer::teach`].
    pub weights: PathBuf,
    /// Number of images to distil on; the first half-open range of a seeded permutation.
    pub train_images: usize,
    /// Number of images to judge on, taken from the held-out ones.
    pub judge_images: usize,
}

/// Trains one elastic stage alone, to give the teacher's stage output from its stage input, and
/// judges sub-stages of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DistilJob {
    /// Index of the choice stage.
    pub stage: usize,
    /// Index of the candidate.
    pub block: usize,
    /// Folder written by [`Trainer::features`].
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
    /// Folder written by [`Trainer::features`].
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

/// Trains the supernet of a space.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SupernetJob {
    /// The space's elastic stages.
    pub stages: Vec<ElasticStage>,
    /// Where its stages start from; those that nothing names start at random.
    pub start: Vec<Start>,
    /// Teacher logits, from the folder written by [`Trainer::features`].
    pub features: PathBuf,
    /// FP32 phase.
    pub fp32: Phase,
    /// INT8 phase.
    pub int8: Phase,
    /// Share of the teacher in the loss against teacher and labels; the rest is cross-entropy.
    pub teacher_share: f64,
    /// Whose logits the smaller subnets learn from.
    pub guide: Guide,
    /// Random changes of the images; only mirroring, as the teacher's logits are cached.
    pub augmentation: Augmentation,
}

/// Looks at subnets of a trained supernet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateJob {
    /// The space's elastic stages.
    pub stages: Vec<ElasticStage>,
    /// Weights written by [`Trainer::train`].
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
    pub classes: Vec<u8>,
}

impl Predictions {
    /// Classes from logits, `images × classes` row-major; of equal logits the first wins.
    pub fn from_logits(logits: &[f32], classes: usize) -> Self {
        let best = |row: &[f32]| {
            let larger =
                |best: usize, index: usize| if row[index] > row[best] { index } else { best };
            (0..row.len()).fold(0, larger) as u8
        };
        Self { classes: logits.chunks(classes).map(best).collect() }
    }

    /// Share of images whose class is their label.
    pub fn accuracy(&self, labels: &[u8]) -> f64 {
        share_equal(&self.classes, labels)
    }

    /// Share of images that both networks give the same class.
    pub fn identical(&self, other: &Self) -> f64 {
        share_equal(&self.classes, &other.classes)
    }
}

fn share_equal(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

/// A trained supernet whose subnets can be looked at one by one.
pub trait Evaluator {
    /// Recalibrates the batch normalization of a subnet on training images (running statistics of
    /// a supernet fit none of its subnets): all that is asked of the answer is computed with these
    /// statistics.
    fn recalibrate(
        &mut self,
        subnet: &Subnet,
    ) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError>;
}

/// A subnet with batch normalization statistics of its own.
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

/// Trains networks given as graphs. Knows no block: every network is interpreted.
///
/// Each method writes its result below `output` and keeps what it needs to continue after a kill
/// in `scratch`; with the same context, job and number of threads the result is the same bit for
/// bit, interrupted or not.
pub trait Trainer: Send + Sync {
    /// Name and version, for reports and keys of artifacts.
    fn fingerprint(&self) -> String;

    /// Trains a teacher and writes its weights to the file `output`.
    fn teach(
        &self,
        context: &TrainContext,
        job: &TeachJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<TrainReport, TrainError>;

    /// Computes the teacher's features into the folder `output`; the answer is the teacher's
    /// accuracy on the test images.
    fn features(
        &self,
        context: &TrainContext,
        job: &FeaturesJob,
        output: &Path,
        monitor: &dyn Monitor,
    ) -> Result<f64, TrainError>;

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

    /// Trains a supernet: writes the weights after the FP32 phase to `fp32_output` and those
    /// after the INT8 phase to `output`.
    fn train(
        &self,
        context: &TrainContext,
        job: &SupernetJob,
        fp32_output: &Path,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError>;

    /// Opens a trained supernet.
    fn evaluator(
        &self,
        context: &TrainContext,
        job: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError>;
}
