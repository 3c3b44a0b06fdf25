//! Training a network alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Guidance, Phase};
use crate::{
    data::Transform,
    space::{ElasticStage, Subnet},
};

/// The weights that a network trained alone starts from: a weighted mean of a supernet's and of random ones, as
/// "shrink and perturb" has it (Ash and Adams, arXiv 1910.08475).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubnetStart {
    /// A supernet over the network's stages, as [`Trainer::train`](super::Trainer::train) writes it without quantizers.
    pub supernet: PathBuf,
    /// Its share in each weight, from 0 to 1; the rest is the weight's random initial value.
    pub share: f64,
}

/// Trains one network alone: a subnet of a space, with weights that it shares with no other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubnetJob {
    /// The space's elastic stages.
    pub stages: Vec<ElasticStage>,
    /// Which of its subnets.
    pub subnet: Subnet,
    /// The weights that it starts from. `None`: random ones.
    pub start: Option<SubnetStart>,
    /// `None`: it learns from labels alone.
    pub guidance: Option<Guidance>,
    /// FP32 phase.
    pub fp32: Phase,
    /// INT8 phase.
    pub int8: Phase,
    /// Transforms of the images, without normalization; none: those of the study.
    pub augment: Vec<Transform>,
    /// Share of the label that is spread over all classes.
    pub label_smoothing: f64,
    /// How many threads it may use; the result depends on it in its last bits.
    pub threads: usize,
}
