//! Why training fails.

use std::{
    borrow::Cow,
    error::Error,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    graph::GraphError,
    operators::OperatorError,
    quant::{PlacementError, QuantizerError},
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
    /// Channels that follow others would move in what reads them all.
    #[error(
        "node `{node}`: what is concatenated cannot be elastic in width, but for the last of it \
         ({first:?} and {second:?} channels before)"
    )]
    ElasticConcat {
        /// The concatenation.
        node: String,
        /// Channels of all its inputs but the last in one configuration.
        first: Vec<usize>,
        /// The same in another configuration.
        second: Vec<usize>,
    },
    /// An image cannot be read, or not be made a network's input.
    #[error(transparent)]
    Image(AnyError),
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
    /// The trainer cannot compute where it should.
    #[error("cannot compute on `{device}`: {reason}")]
    Device {
        /// As [`Device`](super::Device) is written.
        device: String,
        /// Such as `there is no NVIDIA driver`.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The process that trains is of no use any more.
    #[error("{source}")]
    Worker {
        /// What happened to it.
        source: AnyError,
        /// What to do about it.
        hint: Cow<'static, str>,
    },
    /// What a trainer in another process says.
    #[error("{0}")]
    Said(String),
}

impl TrainError {
    /// A file that cannot be read or written, or does not hold what it should.
    pub fn file(path: &Path, source: impl Into<AnyError>) -> Self {
        Self::File { path: path.to_owned(), source: source.into() }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Device { hint, .. } => Some(hint),
            Self::Worker { hint, .. } => Some(hint),
            Self::Diverged { .. } => {
                Some("lower the `learning_rate` of this training, or give it a longer `warmup`")
            }
            _ => None,
        }
    }
}
