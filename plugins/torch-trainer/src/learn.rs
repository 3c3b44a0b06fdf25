//! Gradients of one network on one batch, some images at a time where memory is short.

use std::time::{Duration, Instant};

use spacewright_core::train::TrainError;
use tch::Tensor;

use crate::{
    interpret::{Norm, Run},
    losses,
    objective::Targets,
    plan::Plan,
    stopwatch::Part,
};

/// What the logits of a batch are compared with.
pub enum Compared {
    /// Labels, and a teacher's logits.
    Targets(Targets),
    /// The logits of a larger network for the same images: in-place distillation.
    Larger(Tensor),
}

impl Compared {
    fn loss(&self, logits: &Tensor, from: i64, count: i64) -> Tensor {
        match self {
            Self::Targets(targets) => targets.part(from, count).loss(logits),
            Self::Larger(larger) => {
                losses::adaptive_alpha_divergence(logits, &larger.narrow(0, from, count))
            }
        }
    }
}

/// What a network has learned from a batch.
pub struct Learned {
    /// Without gradients, `images × classes`.
    pub logits: Tensor,
    /// Of each part, its share in the mean over the images.
    losses: Vec<Tensor>,
    forward: Duration,
    backward: Duration,
}

impl Learned {
    /// The mean over the images; waits until it is known.
    pub fn loss(&self) -> f64 {
        self.losses.iter().map(|loss| loss.double_value(&[])).sum()
    }

    /// What the time went to.
    pub fn parts(&self) -> [(Part, Duration); 2] {
        [(Part::Forward, self.forward), (Part::Backward, self.backward)]
    }
}

/// Adds the gradients of a batch to those of the parameters. No more than `at_once` images are computed
/// together, but two or three at least; 0 is all of them. Gradients of parts add up to those of the whole, but for batch
/// normalization, which normalizes each part by itself.
pub fn learn(
    run: &Run<'_>,
    plan: &Plan,
    inputs: &Tensor,
    compared: &Compared,
    at_once: usize,
) -> Result<Learned, TrainError> {
    let images = inputs.size()[0];
    let (mut forward, mut backward) = (Duration::ZERO, Duration::ZERO);
    let (mut all, mut losses) = (Vec::new(), Vec::new());
    for (from, count) in parts(images, at_once) {
        let start = Instant::now();
        let logits = run.logits(plan, &inputs.narrow(0, from, count), &mut Norm::Batch)?;
        let loss = compared.loss(&logits, from, count) * (count as f64 / images as f64);
        forward += start.elapsed();
        let start = Instant::now();
        loss.backward();
        backward += start.elapsed();
        losses.push(loss.detach());
        all.push(logits.detach());
    }
    Ok(Learned { logits: Tensor::cat(&all, 0), losses, forward, backward })
}

/// First image and number of images of parts that are as large as each other can be. None has one image alone,
/// which a normalization of 1×1 pixels makes nothing of.
fn parts(images: i64, at_once: usize) -> impl Iterator<Item = (i64, i64)> {
    let most = if at_once == 0 { images } else { at_once as i64 };
    let count = ((images + most - 1) / most.max(1)).min((images / 2).max(1));
    let border = move |part: i64| part * images / count.max(1);
    (0..count).map(move |part| (border(part), border(part + 1) - border(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_size() {
        let parts = |images, at_once| parts(images, at_once).collect::<Vec<_>>();
        assert_eq!(parts(64, 0), [(0, 64)]);
        assert_eq!(parts(64, 100), [(0, 64)]);
        assert_eq!(parts(64, 32), [(0, 32), (32, 32)]);
        assert_eq!(parts(10, 4), [(0, 3), (3, 3), (6, 4)]);
        assert_eq!(parts(3, 2), [(0, 3)]);
        assert_eq!(parts(5, 1), [(0, 2), (2, 3)]);
        assert_eq!(parts(1, 1), [(0, 1)]);
    }
}
