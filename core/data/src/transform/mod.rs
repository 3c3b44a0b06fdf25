//! Transforms of decoded images: what a study says of them is data in `core`; here they are done.

mod affine;
mod colour;
mod crop;
mod operation;
mod policy;
mod resize;

use rand::Rng;
use spacewright_core::data::{
    Flip, Normalize, RandAugment, RandomErasing, Transform, TransformError, check_transforms,
};

use self::operation::Operation;
use crate::{decode::Pixels, error::ImageProblem};

/// Transforms that can be done, one after the other.
#[derive(Debug, Clone)]
pub struct Pipeline {
    transforms: Vec<Transform>,
    /// What each value of each channel becomes.
    values: Vec<[f32; 256]>,
    /// The colour that becomes zero: the mean colour, or black where values are not normalized.
    zero: Vec<u8>,
}

impl Pipeline {
    /// Checks transforms for images of so many channels; values that are not normalized are from 0 to 1.
    pub fn new(transforms: &[Transform], channels: usize) -> Result<Self, TransformError> {
        check_transforms(transforms)?;
        let mut values = vec![std::array::from_fn(|value| value as f32 / 255.0); channels];
        if let Some(Transform::Normalize(Normalize { mean, std })) = transforms.last() {
            if mean.len() != channels || std.len() != channels {
                let reason = format!(
                    "has {} means and {} deviations for {channels} channels",
                    mean.len(),
                    std.len()
                );
                let position = transforms.len() - 1;
                return Err(TransformError { position, name: "normalize", reason });
            }
            for (values, (mean, std)) in values.iter_mut().zip(mean.iter().zip(std)) {
                *values = std::array::from_fn(|value| ((value as f64 / 255.0 - mean) / std) as f32);
            }
        }
        let zero = values.iter().map(zero).collect();
        Ok(Self { transforms: transforms.to_vec(), values, zero })
    }

    /// The image, as grey or in colours, after all transforms but normalization: `side × side` pixels.
    /// Draws from `rng` depend on neither `side` nor what was drawn for other images.
    ///
    /// # Errors
    ///
    /// Which transform the image is too small or too large for, or that it has another size in the end.
    pub fn image(
        &self,
        image: Pixels,
        side: usize,
        rng: &mut impl Rng,
    ) -> Result<Pixels, ImageProblem> {
        let mut image = image.with_channels(self.values.len());
        for transform in &self.transforms {
            image = self.one(transform, image, side, rng)?;
        }
        let Pixels { height, width, .. } = image;
        if (height, width) != (side, side) {
            return Err(ImageProblem::AnotherSize { width, height, side });
        }
        Ok(image)
    }

    /// That an image of so many columns and rows becomes `side × side` pixels, without making it.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::image`].
    pub fn check_size(&self, size: [usize; 2], side: usize) -> Result<(), ImageProblem> {
        let mut size = size;
        for transform in &self.transforms {
            size = crop::size_after(transform, size, side)?;
        }
        let [width, height] = size;
        match size == [side; 2] {
            true => Ok(()),
            false => Err(ImageProblem::AnotherSize { width, height, side }),
        }
    }

    fn one(
        &self,
        transform: &Transform,
        image: Pixels,
        side: usize,
        rng: &mut impl Rng,
    ) -> Result<Pixels, ImageProblem> {
        match transform {
            Transform::Pad(pad) => crop::pad_to(&image, pad.to),
            Transform::RandomCrop(settings) => {
                let at = [rng.random(), rng.random()];
                crop::crop_at(&crop::padded(image, settings.padding, &self.zero), side, at)
            }
            Transform::CenterCrop(_) => crop::crop_at(&image, side, [0.5; 2]),
            Transform::RandomResizedCrop(settings) => {
                let drawn = crop::random_rectangle(&image, settings.scale, settings.ratio, rng);
                let area = drawn.unwrap_or_else(|| crop::middle(&image, settings.ratio));
                resize::resize(&image, area, [side, side], settings.interpolation)
            }
            Transform::Resize(settings) => {
                let size = [image.width, image.height];
                let size = crop::with_shorter_side(size, side as f64 / settings.crop_share)?;
                if size == [image.width, image.height] {
                    return Ok(image);
                }
                resize::resize(&image, crop::whole(&image), size, settings.interpolation)
            }
            Transform::Flip(Flip { probability }) => {
                Ok(if rng.random::<f64>() < *probability { crop::mirrored(image) } else { image })
            }
            Transform::AutoAugment(_) => Ok(policy::auto_augment(image, rng)),
            Transform::RandAugment(settings) => Ok(rand_augment(image, settings, rng)),
            Transform::ColorJitter(settings) => Ok(colour::jitter(image, settings, rng)),
            Transform::RandomErasing(settings) => Ok(self.erased(image, settings, rng)),
            Transform::Normalize(_) => Ok(image),
        }
    }

    /// A network's input, of an image with as many channels: `channels × height × width` into `out`.
    pub fn normalized(&self, image: &Pixels, out: &mut [f32]) {
        let channels = image.channels;
        let planes = out.chunks_exact_mut(image.height * image.width);
        for (channel, (plane, values)) in planes.zip(&self.values).enumerate() {
            for (value, pixel) in plane.iter_mut().zip(image.data.chunks_exact(channels)) {
                *value = values[usize::from(pixel[channel])];
            }
        }
    }

    fn erased(&self, mut image: Pixels, settings: &RandomErasing, rng: &mut impl Rng) -> Pixels {
        let drawn = crop::random_rectangle(&image, settings.scale, settings.ratio, rng);
        let is_erased = rng.random::<f64>() < settings.probability;
        let (true, Some([left, top, width, height])) = (is_erased, drawn) else { return image };
        for row in image.data.chunks_exact_mut(image.width * image.channels).skip(top).take(height)
        {
            for pixel in row.chunks_exact_mut(image.channels).skip(left).take(width) {
                pixel.copy_from_slice(&self.zero);
            }
        }
        image
    }
}

/// The value that becomes the smallest number.
fn zero(values: &[f32; 256]) -> u8 {
    let size = |value: &u8| values[usize::from(*value)].abs();
    (0..=255).min_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(0)
}

/// Operations drawn from all of them, each done as often as is asked for; each strength is normally
/// distributed and clipped to 0…10.
fn rand_augment(mut image: Pixels, settings: &RandAugment, rng: &mut impl Rng) -> Pixels {
    let RandAugment { operations, magnitude, magnitude_std, probability } = *settings;
    for _ in 0..operations {
        let operation = Operation::RANDOM[rng.random_range(0..Operation::RANDOM.len())];
        // Where it is always done, nothing is drawn: results from before this could be chosen stay valid.
        if probability < 1.0 && rng.random::<f64>() >= probability {
            continue;
        }
        let level = magnitude + magnitude_std * normal(rng);
        image = operation.apply(image, level.clamp(0.0, 10.0), rng);
    }
    image
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        data::{AutoAugment, CenterCrop, ColorJitter, Pad, RandomCrop, RandomResizedCrop, Resize},
        random,
    };

    use super::*;

    fn image(height: usize, width: usize) -> Pixels {
        let data = (0..height * width * 3).map(|at| (at * 7 % 256) as u8).collect();
        Pixels { height, width, channels: 3, data }
    }

    fn done(
        transforms: &[Transform],
        image: Pixels,
        side: usize,
        seed: u64,
    ) -> Result<Pixels, ImageProblem> {
        let mut rng = random::generator(seed, &["test"]);
        Pipeline::new(transforms, 3).unwrap().image(image, side, &mut rng)
    }

    #[test]
    fn all_transforms_end_at_the_networks_input() {
        let transforms = [
            Transform::RandomResizedCrop(RandomResizedCrop::default()),
            Transform::Flip(Flip::default()),
            Transform::AutoAugment(AutoAugment {}),
            Transform::RandAugment(RandAugment::default()),
            Transform::ColorJitter(ColorJitter {
                brightness: 0.4,
                contrast: 0.4,
                saturation: 0.4,
                hue: 0.1,
            }),
            Transform::RandomErasing(RandomErasing {
                probability: 1.0,
                ..RandomErasing::default()
            }),
        ];
        let mut seen = std::collections::HashSet::new();
        for seed in 0..50 {
            let first = done(&transforms, image(40, 53), 24, seed).unwrap();
            assert_eq!((first.height, first.width, first.data.len()), (24, 24, 24 * 24 * 3));
            assert_eq!(done(&transforms, image(40, 53), 24, seed), Ok(first.clone()));
            seen.insert(first.data);
        }
        assert_eq!(seen.len(), 50);
    }

    #[test]
    fn operations_are_done_as_often_as_is_asked_for() {
        let changed = |probability: f64, seed: u64| {
            let settings = RandAugment { probability, ..RandAugment::default() };
            rand_augment(image(12, 9), &settings, &mut random::generator(seed, &["test"]))
        };
        let always = |seed: u64| {
            let mut rng = random::generator(seed, &["test"]);
            (0..2).fold(image(12, 9), |image, _| {
                let operation = Operation::RANDOM[rng.random_range(0..Operation::RANDOM.len())];
                let level = 9.0 + 0.5 * normal(&mut rng);
                operation.apply(image, level.clamp(0.0, 10.0), &mut rng)
            })
        };
        for seed in 0..50 {
            assert_eq!(changed(1.0, seed), always(seed));
            assert_eq!(changed(0.0, seed), image(12, 9));
        }
        // One of two is done in three quarters of all draws, and some change nothing.
        let half = (0..400).filter(|seed| changed(0.5, *seed) != image(12, 9)).count();
        assert!((200..=330).contains(&half), "{half}");
    }

    #[test]
    fn what_is_drawn_does_not_depend_on_the_side() {
        let transforms = [
            Transform::RandomResizedCrop(RandomResizedCrop::default()),
            Transform::Flip(Flip::default()),
        ];
        let pipeline = Pipeline::new(&transforms, 3).unwrap();
        let next = |side: usize| {
            let mut rng = random::generator(3, &["test"]);
            pipeline.image(image(64, 64), side, &mut rng).unwrap();
            rng.random::<u64>()
        };
        assert_eq!(next(8), next(32));
    }

    #[test]
    fn judging_is_resizing_and_cutting_the_middle() {
        let judging = [Transform::Resize(Resize::default()), Transform::CenterCrop(CenterCrop {})];
        for size in [(50, 70), (70, 50), (9, 300), (20, 20)] {
            let judged = done(&judging, image(size.0, size.1), 28, 0).unwrap();
            assert_eq!((judged.height, judged.width), (28, 28));
            assert_eq!(done(&judging, image(size.0, size.1), 28, 1), Ok(judged));
        }
    }

    #[test]
    fn an_image_of_another_size_is_refused() {
        let refused = |transforms: &[Transform], size: usize| {
            done(transforms, image(size, size + 1), 32, 0).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&[], 32),
            "has 33x32 pixels after all transforms, the network takes 32x32: add `resize` and \
             `center-crop`, or `pad`"
        );
        assert_eq!(
            refused(&[Transform::Pad(Pad { to: 32 })], 32),
            "has 33x32 pixels, more than `pad` to 32"
        );
        let crop = [Transform::RandomCrop(RandomCrop { padding: 2 })];
        assert_eq!(
            refused(&crop, 20),
            "has 25x24 pixels, fewer than a crop of 32x32: resize or pad it first"
        );
        assert!(done(&crop, image(30, 31), 32, 0).is_ok());
    }

    #[test]
    fn borders_become_zero() {
        let normalize = Normalize { mean: vec![0.0, 0.2, 1.0], std: vec![0.5, 1.0, 0.25] };
        let crop = Transform::RandomCrop(RandomCrop { padding: 5 });
        let input = |transforms: &[Transform]| {
            let pipeline = Pipeline::new(transforms, 3).unwrap();
            let image = Pixels { height: 1, width: 1, channels: 3, data: vec![90; 3] };
            let mut rng = random::generator(1, &["border"]);
            let image = pipeline.image(image, 11, &mut rng).unwrap();
            let mut input = vec![0.0; 3 * 11 * 11];
            pipeline.normalized(&image, &mut input);
            input.into_iter().filter(|value| *value != 0.0).count()
        };
        assert_eq!(input(&[crop.clone(), Transform::Normalize(normalize)]), 3);
        assert_eq!(input(&[crop]), 3);
    }

    #[test]
    fn values_are_normalized_by_channel() {
        let normalize = Normalize { mean: vec![0.5, 0.0, 1.0], std: vec![0.5, 1.0, 0.25] };
        let pipeline = Pipeline::new(&[Transform::Normalize(normalize)], 3).unwrap();
        let image =
            Pixels { height: 1, width: 2, channels: 3, data: vec![255, 255, 255, 0, 51, 0] };
        let mut input = [0.0; 6];
        pipeline.normalized(&image, &mut input);
        assert_eq!(input, [1.0, -1.0, 1.0, 0.2, 0.0, -4.0]);
        let mut input = [0.0; 6];
        Pipeline::new(&[], 3).unwrap().normalized(&image, &mut input);
        assert_eq!(input, [1.0, 0.0, 1.0, 0.2, 1.0, 0.0]);
    }

    #[test]
    fn erasing_leaves_the_mean_colour() {
        let transforms = [
            Transform::RandomErasing(RandomErasing {
                probability: 1.0,
                scale: [1.0; 2],
                ratio: [1.0; 2],
            }),
            Transform::Normalize(Normalize { mean: vec![0.4, 0.6, 0.2], std: vec![0.3; 3] }),
        ];
        let erased = done(&transforms, image(5, 5), 5, 0).unwrap();
        assert!(erased.data.chunks(3).all(|pixel| pixel == [102, 153, 51]), "{:?}", erased.data);
    }

    #[test]
    fn what_cannot_be_done_is_refused_at_once() {
        let refused =
            |transforms: &[Transform]| Pipeline::new(transforms, 3).unwrap_err().to_string();
        let normalize =
            |mean: Vec<f64>, std: Vec<f64>| Transform::Normalize(Normalize { mean, std });
        assert_eq!(
            refused(&[normalize(vec![], vec![])]),
            "transform 0, normalize: has 0 means and 0 deviations for 3 channels"
        );
        assert_eq!(
            refused(&[normalize(vec![0.0; 3], vec![1.0; 3]), Transform::Flip(Flip::default())]),
            "transform 0, normalize: must be the last one"
        );
        assert_eq!(
            refused(&[Transform::Flip(Flip { probability: 1.5 })]),
            "transform 0, flip: `probability` = 1.5 is not from 0 to 1"
        );
        let crop = RandomResizedCrop { scale: [0.5, 0.2], ..RandomResizedCrop::default() };
        assert_eq!(
            refused(&[Transform::RandomResizedCrop(crop)]),
            "transform 0, random-resized-crop: `scale` = [0.5, 0.2] is no range above 0 and up to 1"
        );
    }
}
