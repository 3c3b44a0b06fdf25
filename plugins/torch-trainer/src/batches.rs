//! Images as tensors: which ones a step gets, and how.

use std::{collections::BTreeMap, sync::Arc};

use rand::seq::SliceRandom;
use spacewright_core::{
    data::{Draw, Transform},
    random,
    train::TrainError,
};
use tch::{Device, Tensor};

use crate::{
    context::Context,
    loader::{Ahead, BATCHES_AHEAD, Pending},
};

/// A fixed sample of the images that are trained on, for calibration and distillation.
pub fn fixed_sample(context: &Context, purpose: &str, count: usize) -> Vec<usize> {
    let mut images = context.images.train.to_vec();
    images.shuffle(&mut random::generator(context.seed, &["sample", purpose]));
    images.truncate(count);
    images
}

/// Images as they are judged, `batch` at a time, each `n × c × side × side`; the next ones are loaded
/// meanwhile.
pub fn judged<'a>(
    context: &'a Context,
    images: &'a [usize],
    batch: usize,
    side: usize,
) -> impl Iterator<Item = Result<Tensor, TrainError>> + 'a {
    let parts: Vec<&[usize]> = images.chunks(batch).collect();
    let mut ahead = Ahead::new(parts.len(), BATCHES_AHEAD);
    (0..parts.len()).map(move |index| {
        let load = |index: usize| {
            let draws: Vec<Draw> = parts[index].iter().copied().map(Draw::fixed).collect();
            let set = &context.images;
            Ok::<_, TrainError>(Pending::new(&set.all, &draws, &set.judging, side, context.device))
        };
        ahead.take(index, load)?.wait()
    })
}

/// Walks through images in a new random order each epoch; which ones a step gets depends on the seed and
/// the step's number alone.
pub struct Sampler {
    indices: Vec<usize>,
    seed: u64,
    purpose: String,
    epoch: Option<usize>,
    order: Vec<usize>,
}

/// An image in one of the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Its position.
    pub image: usize,
    /// The epoch, from 0.
    pub epoch: usize,
}

impl Sampler {
    /// A sampler over these images.
    pub fn new(indices: Vec<usize>, seed: u64, purpose: &str) -> Self {
        Self { indices, seed, purpose: purpose.to_owned(), epoch: None, order: Vec::new() }
    }

    /// The images of step `step` at `batch` images a step.
    pub fn batch(&mut self, step: usize, batch: usize) -> Vec<Sampled> {
        (step * batch..(step + 1) * batch).map(|position| self.at(position)).collect()
    }

    fn at(&mut self, position: usize) -> Sampled {
        let epoch = position / self.indices.len();
        if self.epoch != Some(epoch) {
            self.order.clone_from(&self.indices);
            let purpose = ["order", self.purpose.as_str(), &epoch.to_string()];
            self.order.shuffle(&mut random::generator(self.seed, &purpose));
            self.epoch = Some(epoch);
        }
        Sampled { image: self.order[position % self.indices.len()], epoch }
    }
}

/// How training sees its images.
#[derive(Clone)]
pub struct Views {
    /// Transforms, with normalization.
    pub transforms: Arc<[Transform]>,
    /// How many views of each image there are; 0: a new one each epoch.
    pub kept: usize,
    /// What the views are for: another purpose has others.
    pub purpose: String,
}

/// What views are for that several trainings have in common.
const KEPT: &str = "kept";

impl Views {
    /// The views of a training for one purpose, with `kept` views of each image that all trainings share,
    /// or with views of its own.
    pub fn new(context: &Context, own: &[Transform], kept: usize, purpose: &str) -> Self {
        let purpose = if kept > 0 { KEPT } else { purpose };
        let transforms = context.images.training_with(own);
        Self { transforms, kept, purpose: purpose.to_owned() }
    }

    /// Which view an epoch has.
    pub fn of_epoch(&self, epoch: usize) -> usize {
        if self.kept > 0 { epoch % self.kept } else { epoch }
    }

    /// An image in a view.
    pub fn draw(&self, context: &Context, image: usize, view: usize) -> Draw {
        Draw::of_view(image, view, context.seed, &self.purpose)
    }
}

/// A training batch that is being loaded.
pub struct PendingBatch {
    device: Device,
    sampled: Vec<Sampled>,
    labels: Vec<i64>,
    inputs: BTreeMap<usize, Pending>,
}

impl PendingBatch {
    /// Starts to load what this process computes of a batch, at these sides, in pixels: the same view at each.
    pub fn new(
        context: &Context,
        views: &Views,
        sampled: Vec<Sampled>,
        sides: impl IntoIterator<Item = usize>,
    ) -> Self {
        let sampled = context.share(sampled);
        let draws: Vec<Draw> = sampled
            .iter()
            .map(|at| views.draw(context, at.image, views.of_epoch(at.epoch)))
            .collect();
        let images = &context.images.all;
        let load = |side: usize| {
            let pending = Pending::new(images, &draws, &views.transforms, side, context.device);
            (side, pending)
        };
        let sides: std::collections::BTreeSet<usize> = sides.into_iter().collect();
        let labels = images.labels();
        Self {
            device: context.device,
            labels: sampled.iter().map(|at| i64::from(labels[at.image])).collect(),
            inputs: sides.into_iter().map(load).collect(),
            sampled,
        }
    }

    /// Waits for it.
    pub fn wait(self) -> Result<Batch, TrainError> {
        let mut inputs = BTreeMap::new();
        for (side, pending) in self.inputs {
            inputs.insert(side, pending.wait()?);
        }
        let labels = Tensor::from_slice(&self.labels).to_device(self.device);
        Ok(Batch { sampled: self.sampled, labels, inputs })
    }
}

/// A training batch: the images at one or more resolutions, from the same random changes.
pub struct Batch {
    /// Which images.
    pub sampled: Vec<Sampled>,
    /// Their classes.
    pub labels: Tensor,
    inputs: BTreeMap<usize, Tensor>,
}

impl Batch {
    /// The batch as inputs of this side, in pixels; one of those that it was loaded at.
    pub fn inputs(&self, side: usize) -> Result<&Tensor, TrainError> {
        let missing = || TrainError::MissingValue { name: format!("images of {side} pixels") };
        self.inputs.get(&side).ok_or_else(missing)
    }
}
