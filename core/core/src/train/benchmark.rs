//! How fast supernets are trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{quant::PlacedGraph, space::ElasticStage};

/// Measures how fast a supernet is trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchmarkJob {
    /// The space's elastic stages.
    pub stages: Vec<ElasticStage>,
    /// Images of each of the [`SUBNETS_PER_STEP`](super::SUBNETS_PER_STEP) subnets of a step.
    pub batch: usize,
    /// Images of a subnet that are computed together; 0: all of its batch.
    pub micro_batch: usize,
    /// Steps that are measured, without and with quantizers.
    pub steps: usize,
    /// Where the subnets of all steps go as JSON, a [`BenchmarkPlan`], so that another program can train
    /// the same.
    pub plan: Option<PathBuf>,
}

/// The subnets of the steps of a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkPlan {
    /// Images of each subnet.
    pub batch: usize,
    /// Classes of the images.
    pub classes: usize,
    /// The subnets, with their quantizers.
    pub graphs: Vec<PlacedGraph>,
    /// Of each step the positions of its subnets.
    pub steps: Vec<Vec<usize>>,
}

/// How fast a supernet is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkReport {
    /// Without quantizers.
    pub fp32: TrainingSpeed,
    /// With quantizers.
    pub int8: TrainingSpeed,
}

/// How fast training is, and what the time goes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingSpeed {
    /// An image counts once for each subnet that sees it.
    pub images_per_second: f64,
    /// The same while sizes of layers come for the first time, where that matters: on GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_second_of_new_sizes: Option<f64>,
    /// Seconds of a step.
    pub seconds_per_step: f64,
    /// Shares of the time.
    pub phases: TrainingPhases,
}

/// Shares of the time of a training; together they are 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainingPhases {
    /// Waiting for images.
    pub data: f64,
    /// Computing outputs and losses.
    pub forward: f64,
    /// Computing gradients.
    pub backward: f64,
    /// Changing parameters.
    pub optimizer: f64,
    /// All else: drawing subnets, putting their graphs together.
    pub overhead: f64,
}
