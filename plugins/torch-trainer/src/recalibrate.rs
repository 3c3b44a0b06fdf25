//! Recalibration of batch normalization: a subnet's own statistics from training images.
//!
//! Weights that are shared by subnets have no running statistics that fit any one of them
//! (BigNAS, arXiv 2003.11142), so that none are kept in training.

use spacewright_core::train::TrainError;
use tch::Tensor;

use crate::{
    interpret::{Norm, Run, Statistics},
    plan::Plan,
};

/// Means and variances of every batch normalization over these batches of inputs, weighted by
/// their numbers of images. Each batch is normalized by its own statistics, as in training.
pub fn recalibrate(
    run: &Run<'_>,
    plan: &Plan,
    batches: impl IntoIterator<Item = Result<Tensor, TrainError>>,
) -> Result<Statistics, TrainError> {
    let mut statistics = Statistics::default();
    tch::no_grad(|| {
        for x in batches {
            let _ = run.forward(plan, &x?, &mut Norm::Record(&mut statistics))?;
        }
        Ok(statistics)
    })
}
