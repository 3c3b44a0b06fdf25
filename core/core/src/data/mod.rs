//! Labelled images in memory, and how they become network inputs.

mod transform;

use rand::Rng;
use serde::{Deserialize, Serialize};

pub use transform::{
    AutoAugment, CenterCrop, ColorJitter, Flip, Interpolation, Normalize, Pad, RandAugment,
    RandomCrop, RandomErasing, RandomResizedCrop, Resize, Transform, TransformError,
    check_transforms,
};

/// Labelled images of one size, 8 bits per channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageSet {
    /// Channels of each image.
    pub channels: usize,
    /// Rows of each image.
    pub height: usize,
    /// Columns of each image.
    pub width: usize,
    /// `count × channels × height × width`.
    pub pixels: Vec<u8>,
    /// One class per image.
    pub labels: Vec<u32>,
}

/// Training and test images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataSet {
    /// For training, calibration and held-out judging.
    pub train: ImageSet,
    /// No choice depends on them: networks are verified on them at the end of a study.
    pub test: ImageSet,
}

/// Random changes of training images, for data augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Mirrors every second image from left to right.
    #[serde(default)]
    pub flip: bool,
    /// Moves images by up to so many pixels in each direction.
    #[serde(default)]
    pub shift: usize,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images at these positions.
    pub fn select(&self, indices: &[usize]) -> Self {
        let size = self.channels * self.height * self.width;
        let mut pixels = Vec::with_capacity(indices.len() * size);
        for &index in indices {
            pixels.extend_from_slice(&self.pixels[index * size..(index + 1) * size]);
        }
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self { pixels, labels, ..*self }
    }

    /// The first `count` images, or all.
    pub fn first(&self, count: usize) -> Self {
        self.select(&(0..count.min(self.len())).collect::<Vec<_>>())
    }

    /// The classes of the images at these positions.
    pub fn labels_of(&self, indices: &[usize]) -> Vec<i64> {
        indices.iter().map(|&index| i64::from(self.labels[index])).collect()
    }

    /// Images as network inputs: `indices.len() × channels × resolution × resolution` in 0…1.
    ///
    /// An image that is smaller than `canvas` is centred on a black square of that side; the
    /// canvas is then resized to `resolution` by bilinear interpolation (pixel centres aligned).
    pub fn inputs(&self, indices: &[usize], canvas: usize, resolution: usize) -> Vec<f32> {
        self.augmented(indices, canvas, resolution, |_| Placement::default())
    }

    /// [`inputs`](Self::inputs) with random changes drawn from `rng`; also tells which images
    /// were mirrored.
    pub fn augmented_inputs(
        &self,
        indices: &[usize],
        canvas: usize,
        resolution: usize,
        augmentation: Augmentation,
        rng: &mut impl Rng,
    ) -> (Vec<f32>, Vec<bool>) {
        let shift = augmentation.shift as i32;
        let placements: Vec<Placement> = indices
            .iter()
            .map(|_| Placement {
                flip: augmentation.flip && rng.random(),
                down: rng.random_range(-shift..=shift) as isize,
                right: rng.random_range(-shift..=shift) as isize,
            })
            .collect();
        let inputs = self.augmented(indices, canvas, resolution, |position| placements[position]);
        (inputs, placements.iter().map(|placement| placement.flip).collect())
    }

    fn augmented(
        &self,
        indices: &[usize],
        canvas: usize,
        resolution: usize,
        placement: impl Fn(usize) -> Placement,
    ) -> Vec<f32> {
        let area = self.height * self.width;
        let mut inputs = vec![0.0; indices.len() * self.channels * resolution * resolution];
        let mut square = vec![0.0f32; canvas * canvas];
        let outputs = inputs.chunks_mut(resolution * resolution);
        let planes = indices.iter().enumerate().flat_map(|(position, &index)| {
            (0..self.channels).map(move |channel| (position, index * self.channels + channel))
        });
        for (output, (position, plane)) in outputs.zip(planes) {
            let source = &self.pixels[plane * area..(plane + 1) * area];
            self.place(source, &mut square, canvas, placement(position));
            if canvas == resolution {
                output.copy_from_slice(&square);
            } else {
                resize(&square, canvas, output, resolution);
            }
        }
        inputs
    }

    fn place(&self, source: &[u8], square: &mut [f32], canvas: usize, placement: Placement) {
        square.fill(0.0);
        let centre = |size: usize| (canvas as isize - size as isize) / 2;
        let (top, left) =
            (centre(self.height) + placement.down, centre(self.width) + placement.right);
        for (row, pixels) in source.chunks(self.width).enumerate() {
            let y = row as isize + top;
            if !(0..canvas as isize).contains(&y) {
                continue;
            }
            for (column, &pixel) in pixels.iter().enumerate() {
                let column = if placement.flip { self.width - 1 - column } else { column };
                let x = column as isize + left;
                if (0..canvas as isize).contains(&x) {
                    square[y as usize * canvas + x as usize] = f32::from(pixel) / 255.0;
                }
            }
        }
    }
}

/// How one image is placed on its canvas: mirrored, and moved by so many pixels.
#[derive(Clone, Copy, Default)]
struct Placement {
    flip: bool,
    down: isize,
    right: isize,
}

/// Bilinear interpolation of a square of side `size` to one of side `resolution`.
fn resize(source: &[f32], size: usize, output: &mut [f32], resolution: usize) {
    let ratio = size as f32 / resolution as f32;
    let position = |index: usize| {
        let centre = ((index as f32 + 0.5) * ratio - 0.5).clamp(0.0, (size - 1) as f32);
        let low = centre as usize;
        (low, (low + 1).min(size - 1), centre - low as f32)
    };
    for (row, line) in output.chunks_mut(resolution).enumerate() {
        let (y0, y1, fy) = position(row);
        for (column, value) in line.iter_mut().enumerate() {
            let (x0, x1, fx) = position(column);
            let mix = |y: usize| source[y * size + x0] * (1.0 - fx) + source[y * size + x1] * fx;
            *value = mix(y0) * (1.0 - fy) + mix(y1) * fy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> ImageSet {
        let pixels = vec![255, 0, 0, 0, 0, 51, 0, 0];
        ImageSet { channels: 1, height: 2, width: 2, pixels, labels: vec![3, 7] }
    }

    #[test]
    fn pixels_become_shares() {
        assert_eq!(two().inputs(&[1], 2, 2), [0.0, 0.2, 0.0, 0.0]);
    }

    #[test]
    fn small_images_are_centred() {
        let inputs = two().inputs(&[0], 4, 4);
        assert_eq!(inputs[5], 1.0);
        assert_eq!(inputs.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn resizing_keeps_a_constant_image() {
        let set =
            ImageSet { channels: 1, height: 4, width: 4, pixels: vec![255; 16], labels: vec![0] };
        assert!(set.inputs(&[0], 4, 3).iter().all(|&x| (x - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_mirrored_image_is_told() {
        let mut rng = rand_pcg::Pcg64Mcg::new(1);
        let augmentation = Augmentation { flip: true, shift: 0 };
        let (inputs, flips) = two().augmented_inputs(&[0; 16], 2, 2, augmentation, &mut rng);
        for (image, flipped) in inputs.chunks(4).zip(flips) {
            assert_eq!(image[usize::from(flipped)], 1.0);
        }
    }
}
