//! Images as tensors.

use rand::{Rng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    data::{Augmentation, ImageSet},
    random,
    train::TrainContext,
};
use tch::Tensor;

/// Positions of the training images that may be trained on, in order.
pub fn trainable(context: &TrainContext) -> Vec<usize> {
    let held_out: std::collections::HashSet<usize> = context.held_out.iter().copied().collect();
    (0..context.data.train.len()).filter(|index| !held_out.contains(index)).collect()
}

/// A fixed sample of the trainable images, for calibration and distillation.
pub fn fixed_sample(context: &TrainContext, purpose: &str, count: usize) -> Vec<usize> {
    let mut indices = trainable(context);
    indices.shuffle(&mut random::generator(context.seed, &["sample", purpose]));
    indices.truncate(count);
    indices
}

/// Images without random changes: `n × c × resolution × resolution`.
pub fn inputs(set: &ImageSet, indices: &[usize], canvas: usize, resolution: usize) -> Tensor {
    tensor(&set.inputs(indices, canvas, resolution), set.channels, resolution)
}

fn tensor(values: &[f32], channels: usize, resolution: usize) -> Tensor {
    let side = resolution as i64;
    Tensor::from_slice(values).view([-1, channels as i64, side, side])
}

/// Walks through the trainable images in a new random order each epoch; which images a step gets
/// depends on the seed and the step's number alone.
pub struct Sampler {
    indices: Vec<usize>,
    seed: u64,
    purpose: String,
    epoch: Option<usize>,
    order: Vec<usize>,
}

impl Sampler {
    /// A sampler over these images.
    pub fn new(indices: Vec<usize>, seed: u64, purpose: &str) -> Self {
        Self { indices, seed, purpose: purpose.to_owned(), epoch: None, order: Vec::new() }
    }

    /// The images of step `step` at `batch` images a step.
    pub fn batch(&mut self, step: usize, batch: usize) -> Vec<usize> {
        (step * batch..(step + 1) * batch).map(|position| self.at(position)).collect()
    }

    fn at(&mut self, position: usize) -> usize {
        let epoch = position / self.indices.len();
        if self.epoch != Some(epoch) {
            self.order.clone_from(&self.indices);
            let purpose = ["order", self.purpose.as_str(), &epoch.to_string()];
            self.order.shuffle(&mut random::generator(self.seed, &purpose));
            self.epoch = Some(epoch);
        }
        self.order[position % self.indices.len()]
    }
}

/// A training batch: the images at one or more resolutions, from the same random changes.
pub struct Batch {
    /// Positions in the training images.
    pub indices: Vec<usize>,
    /// Which images were mirrored.
    pub flipped: Vec<bool>,
    /// Labels.
    pub labels: Tensor,
    images: ImageSet,
    canvas: usize,
    augmentation: Augmentation,
    rng: Pcg64Mcg,
}

impl Batch {
    /// Draws the random changes of a batch.
    pub fn draw(
        context: &TrainContext,
        indices: Vec<usize>,
        augmentation: Augmentation,
        rng: &mut impl Rng,
    ) -> Self {
        let images = context.data.train.select(&indices);
        let labels = Tensor::from_slice(&context.data.train.labels_of(&indices));
        // A generator of its own: every resolution gets the same changes.
        let (rng, canvas) = (Pcg64Mcg::new(rng.random::<u128>() | 1), context.canvas);
        let mut batch =
            Self { indices, flipped: Vec::new(), labels, images, canvas, augmentation, rng };
        batch.flipped = batch.augmented(1).1;
        batch
    }

    /// The batch as inputs of this resolution.
    pub fn inputs(&self, resolution: usize) -> Tensor {
        tensor(&self.augmented(resolution).0, self.images.channels, resolution)
    }

    fn augmented(&self, resolution: usize) -> (Vec<f32>, Vec<bool>) {
        let all: Vec<usize> = (0..self.indices.len()).collect();
        let mut rng = self.rng.clone();
        self.images.augmented_inputs(&all, self.canvas, resolution, self.augmentation, &mut rng)
    }
}
