//! Training of any network with quantizers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Phase;
use crate::{data::Transform, graph::Graph};

/// Trains a network of any graph with quantizers, weights and scales together, to give the logits that it gives
/// without them (learned step sizes, arXiv 1902.08153; the network itself as the teacher, arXiv 1912.09356). Labels
/// do not count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LearnScalesJob {
    /// The whole network, from images of its side to logits.
    pub graph: Graph,
    /// A file with all weights, and the statistics of batch normalizations as `<node>.mean` and `<node>.var`.
    pub weights: PathBuf,
    /// How it is trained.
    pub phase: Phase,
    /// Training images from which the scales start.
    pub calibration_images: usize,
    /// Transforms of the images, without normalization; none: those of the study.
    pub augment: Vec<Transform>,
}
