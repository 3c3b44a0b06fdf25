//! Classes that a network with fixed statistics gives to images.

use spacewright_core::train::{Predictions, TrainError};

use crate::{
    batches,
    context::Context,
    interpret::{Norm, Run, Statistics},
    params,
    plan::Plan,
};

/// Images per forward pass without gradients: enough to keep the processor busy, few enough for
/// the largest feature maps to fit into memory. Results depend on it in their last bits.
pub const EVALUATION_BATCH: usize = 256;

/// The classes of the images at these positions, as inputs of `resolution` pixels.
pub fn classify(
    context: &Context,
    run: &Run<'_>,
    plan: &Plan,
    statistics: &Statistics,
    images: &[usize],
    resolution: usize,
) -> Result<Predictions, TrainError> {
    let mut classes = Vec::with_capacity(images.len());
    tch::no_grad(|| {
        for x in batches::judged(context, images, EVALUATION_BATCH, resolution) {
            let logits = run.logits(plan, &x?, &mut Norm::Fixed(statistics))?;
            let values = params::floats("reading logits", &logits)?;
            classes.extend(Predictions::from_logits(&values, logits.size()[1] as usize).classes);
        }
        Ok(Predictions { classes })
    })
}
