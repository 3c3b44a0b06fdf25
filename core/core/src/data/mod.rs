//! Labelled images, and how they become network inputs.

mod transform;

use std::{fs::File, sync::Arc};

use serde::{Deserialize, Serialize};

pub use transform::{
    AutoAugment, CenterCrop, ColorJitter, Flip, Interpolation, LEAST_STD, Normalize, Pad,
    RandAugment, RandomCrop, RandomErasing, RandomResizedCrop, Resize, Transform, TransformError,
    check_judging, check_training, check_transforms,
};

use crate::{random, train::AnyError};

/// An image, and the seed of what is random about its transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Position of the image.
    pub image: usize,
    /// Equal seeds give equal inputs.
    pub seed: u64,
}

impl Draw {
    /// An image whose transforms are not random.
    pub fn fixed(image: usize) -> Self {
        Self { image, seed: 0 }
    }

    /// The augmented view number `view` of an image, of those that belong to one purpose.
    pub fn of_view(image: usize, view: usize, study: u64, purpose: &str) -> Self {
        let names = ["view", purpose, &view.to_string(), &image.to_string()];
        Self { image, seed: random::seed(study, &names) }
    }
}

/// Labelled images that are read when they are asked for, from any number of threads.
pub trait Images: Send + Sync {
    /// Channels of a network's input: 1 for grey, 3 for red, green and blue.
    fn channels(&self) -> usize;

    /// The class of each image.
    fn labels(&self) -> &[u32];

    /// Images as network inputs, `draws.len() × channels × side × side`.
    ///
    /// # Errors
    ///
    /// An image that cannot be read, or that a transform does not take.
    fn inputs(
        &self,
        draws: &[Draw],
        transforms: &[Transform],
        side: usize,
    ) -> Result<Vec<f32>, AnyError>;

    /// The same images for another process.
    ///
    /// # Errors
    ///
    /// Images that only this process has.
    fn share(&self) -> Result<SharedImages, AnyError> {
        Err("these images cannot be read by another process".into())
    }
}

/// Images in a form that another process on this machine can read.
#[derive(Debug)]
pub struct SharedImages {
    /// What there is, as the crate that reads images writes it.
    pub description: Vec<u8>,
    /// The open files that the description is about, by position: what was unpacked has no name.
    pub files: Vec<Arc<File>>,
}

/// How an image becomes the input of a model; models carry it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// 1: the image in grey; 3: red, green and blue.
    pub channels: usize,
    /// Side of the square input, in pixels.
    pub side: usize,
    /// What is done to the image, then to its values from 0 to 1.
    pub transforms: Vec<Transform>,
}

impl Preprocessing {
    /// The name of a model's metadata that hold it.
    pub const KEY: &'static str = "spacewright.preprocessing";
}

/// The name of a model's metadata that hold the names of the classes, a line each.
pub const LABELS_KEY: &str = "spacewright.labels";

/// The name of a class in one line.
pub fn label_line(label: &str) -> String {
    label.replace(char::is_control, " ")
}

/// The names of classes, a line each.
pub fn label_lines(labels: &[String]) -> String {
    labels.iter().map(|label| label_line(label)).collect::<Vec<String>>().join("\n")
}

/// The images of a study: which are for what, and how they become network inputs.
#[derive(Clone)]
pub struct StudyImages {
    /// All of them.
    pub all: Arc<dyn Images>,
    /// Positions of those that are trained on.
    pub train: Arc<[usize]>,
    /// Positions of those that networks are chosen by: the validation set, in random order.
    pub held_out: Arc<[usize]>,
    /// Positions of those that networks are judged on at the end of a study, by no choice, in random
    /// order.
    pub test: Arc<[usize]>,
    /// How images are judged (evaluation transforms); nothing of it is random.
    pub judging: Arc<[Transform]>,
    /// How they are trained on (augmentation), by steps that say nothing else of it.
    pub training: Arc<[Transform]>,
}

impl StudyImages {
    /// The classes of the images at these positions.
    pub fn labels(&self, images: &[usize]) -> Vec<u32> {
        let labels = self.all.labels();
        images.iter().map(|&image| labels[image]).collect()
    }

    /// The transforms for a training that names its own, or none to take those of the study; values are
    /// normalized as they are for judging.
    pub fn training_with(&self, own: &[Transform]) -> Arc<[Transform]> {
        let transforms = if own.is_empty() { &self.training } else { own };
        let normalize = self.judging.last().filter(|last| matches!(last, Transform::Normalize(_)));
        transforms.iter().chain(normalize).cloned().collect()
    }

    /// How models of this side, in pixels, get their images.
    pub fn preprocessing(&self, side: usize) -> Preprocessing {
        Preprocessing { channels: self.all.channels(), side, transforms: self.judging.to_vec() }
    }

    /// Images as they are judged, `images.len() × channels × side × side`.
    ///
    /// # Errors
    ///
    /// See [`Images::inputs`].
    pub fn judged(&self, images: &[usize], side: usize) -> Result<Vec<f32>, AnyError> {
        let draws: Vec<Draw> = images.iter().copied().map(Draw::fixed).collect();
        self.all.inputs(&draws, &self.judging, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bright;

    impl Images for Bright {
        fn channels(&self) -> usize {
            1
        }

        fn labels(&self) -> &[u32] {
            &[7, 8, 9]
        }

        fn inputs(&self, draws: &[Draw], _: &[Transform], _: usize) -> Result<Vec<f32>, AnyError> {
            Ok(draws.iter().map(|draw| draw.image as f32).collect())
        }
    }

    fn images(judging: Vec<Transform>) -> StudyImages {
        StudyImages {
            all: Arc::new(Bright),
            train: [0].into(),
            held_out: [1].into(),
            test: [2].into(),
            judging: judging.into(),
            training: [Transform::Flip(Flip::default())].into(),
        }
    }

    #[test]
    fn training_is_normalized_as_judging_is() {
        let normalize = Transform::Normalize(Normalize { mean: vec![0.5], std: vec![0.2] });
        let images = images(vec![Transform::CenterCrop(CenterCrop {}), normalize.clone()]);
        let flip = Transform::Flip(Flip::default());
        assert_eq!(*images.training_with(&[]), [flip, normalize.clone()]);
        let own = Transform::Pad(Pad { to: 32 });
        assert_eq!(*images.training_with(std::slice::from_ref(&own)), [own, normalize]);
    }

    #[test]
    fn labels_are_those_of_the_positions() {
        let images = images(Vec::new());
        assert_eq!(images.labels(&images.test), [9]);
        assert_eq!(images.judged(&[2, 0], 1).unwrap(), [2.0, 0.0]);
    }

    #[test]
    fn each_view_of_an_image_has_a_seed_of_its_own() {
        let seeds: std::collections::HashSet<u64> = (0..10)
            .flat_map(|image| (0..10).map(move |view| Draw::of_view(image, view, 1, "fp32").seed))
            .collect();
        assert_eq!(seeds.len(), 100);
        assert_ne!(Draw::of_view(1, 2, 1, "fp32"), Draw::of_view(1, 2, 1, "int8"));
    }
}
