//! Parts of images, and images with borders.

use rand::Rng;
use spacewright_core::data::{Pad, RandomCrop, Resize, Transform};

use crate::{
    decode::{LARGEST_PIXELS, Pixels},
    error::ImageProblem,
};

/// A rectangle: left, top, width, height, in pixels.
pub type Rectangle = [usize; 4];

/// The whole image.
pub fn whole(image: &Pixels) -> Rectangle {
    [0, 0, image.width, image.height]
}

/// The image in the middle of a black square.
pub fn pad_to(image: &Pixels, side: usize) -> Result<Pixels, ImageProblem> {
    let Pixels { height, width, channels, .. } = *image;
    if height > side || width > side {
        return Err(ImageProblem::LargerThanPad { width, height, to: side });
    }
    let place = [(side - width) / 2, (side - height) / 2];
    Ok(framed(image, [side, side], place, &vec![0; channels]))
}

/// The image with so many pixels of a colour on each side.
pub fn padded(image: Pixels, padding: usize, colour: &[u8]) -> Pixels {
    if padding == 0 {
        return image;
    }
    let size = [image.width + 2 * padding, image.height + 2 * padding];
    framed(&image, size, [padding, padding], colour)
}

fn framed(
    image: &Pixels,
    [width, height]: [usize; 2],
    [left, top]: [usize; 2],
    colour: &[u8],
) -> Pixels {
    let (line, channels) = (image.width * image.channels, image.channels);
    let mut data = colour.repeat(width * height);
    let rows = data.chunks_exact_mut(width * channels).skip(top);
    for (row, source) in rows.zip(image.data.chunks_exact(line)) {
        row[left * channels..left * channels + line].copy_from_slice(source);
    }
    Pixels { height, width, channels, data }
}

/// A square of the image; `at` says where of all places, from 0 (left, top) to below 1 (right, bottom).
pub fn crop_at(image: &Pixels, side: usize, at: [f64; 2]) -> Result<Pixels, ImageProblem> {
    let Pixels { height, width, channels, .. } = *image;
    if height < side || width < side {
        return Err(ImageProblem::SmallerThanCrop { width, height, side });
    }
    let place = |size: usize, at: f64| ((size - side + 1) as f64 * at) as usize;
    let (left, top) = (place(width, at[0]), place(height, at[1]));
    let mut data = Vec::with_capacity(side * side * channels);
    for row in image.data.chunks_exact(width * channels).skip(top).take(side) {
        data.extend_from_slice(&row[left * channels..(left + side) * channels]);
    }
    Ok(Pixels { height: side, width: side, channels, data })
}

/// Mirrored from left to right.
pub fn mirrored(mut image: Pixels) -> Pixels {
    for row in image.data.chunks_exact_mut(image.width * image.channels) {
        // All channels backwards, then each pixel's channels forwards again.
        row.reverse();
        row.chunks_exact_mut(image.channels).for_each(<[u8]>::reverse);
    }
    image
}

/// Width and height of an image, resized so that its shorter side has so many pixels.
///
/// # Errors
///
/// An image that is so narrow that it would have more pixels than are decoded.
pub fn with_shorter_side(size: [usize; 2], side: f64) -> Result<[usize; 2], ImageProblem> {
    let ratio = side / size[0].min(size[1]) as f64;
    let size = size.map(|size| (size as f64 * ratio).round().max(1.0));
    if size[0] * size[1] > LARGEST_PIXELS as f64 {
        let reason = format!("it would have {}x{} pixels: cut it first", size[0], size[1]);
        return Err(ImageProblem::Resizing { reason });
    }
    Ok(size.map(|size| size as usize))
}

/// Width and height of an image after a transform.
///
/// # Errors
///
/// What the transform refuses.
pub fn size_after(
    transform: &Transform,
    [width, height]: [usize; 2],
    side: usize,
) -> Result<[usize; 2], ImageProblem> {
    let cut = |width: usize, height: usize| match width < side || height < side {
        true => Err(ImageProblem::SmallerThanCrop { width, height, side }),
        false => Ok([side; 2]),
    };
    match transform {
        Transform::Pad(Pad { to }) if width > *to || height > *to => {
            Err(ImageProblem::LargerThanPad { width, height, to: *to })
        }
        Transform::Pad(Pad { to }) => Ok([*to; 2]),
        Transform::RandomCrop(RandomCrop { padding }) => {
            cut(width + 2 * padding, height + 2 * padding)
        }
        Transform::CenterCrop(_) => cut(width, height),
        Transform::RandomResizedCrop(_) => Ok([side; 2]),
        Transform::Resize(Resize { crop_share, .. }) => {
            with_shorter_side([width, height], side as f64 / crop_share)
        }
        Transform::Flip(_)
        | Transform::AutoAugment(_)
        | Transform::RandAugment(_)
        | Transform::ColorJitter(_)
        | Transform::RandomErasing(_)
        | Transform::Normalize(_) => Ok([width, height]),
    }
}

/// Tries before the middle of the image is taken.
const TRIES: usize = 10;

/// A rectangle of whole pixels within the image: a share of its area from `scale`, with width to height
/// from `ratio`, evenly on a logarithmic scale. `None` where none was found to fit.
pub fn random_rectangle(
    image: &Pixels,
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut impl Rng,
) -> Option<Rectangle> {
    let (width, height) = (image.width as f64, image.height as f64);
    let between = |[low, high]: [f64; 2], share: f64| low + (high - low) * share;
    let mut found = None;
    // Always as many draws, so that what follows does not depend on the image's size.
    for _ in 0..TRIES {
        let [of_scale, of_ratio, left, top]: [f64; 4] = rng.random();
        let area = width * height * between(scale, of_scale);
        let shape = between(ratio.map(f64::ln), of_ratio).exp();
        let (w, h) = ((area * shape).sqrt().round(), (area / shape).sqrt().round());
        if found.is_none() && (1.0..=width).contains(&w) && (1.0..=height).contains(&h) {
            let place = |most: f64, share: f64| ((most + 1.0) * share).floor();
            found = Some([place(width - w, left), place(height - h, top), w, h]);
        }
    }
    found.map(|rectangle: [f64; 4]| rectangle.map(|pixels| pixels as usize))
}

/// The largest rectangle in the middle whose ratio of width to height is within `ratio`.
pub fn middle(image: &Pixels, ratio: [f64; 2]) -> Rectangle {
    let (width, height) = (image.width as f64, image.height as f64);
    let shape = (width / height).clamp(ratio[0], ratio[1]);
    let w = width.min((height * shape).round()).max(1.0);
    let h = height.min((width / shape).round()).max(1.0);
    [(width - w) / 2.0, (height - h) / 2.0, w, h].map(|pixels| pixels as usize)
}

#[cfg(test)]
mod tests {
    use spacewright_core::random;

    use super::*;

    fn image(width: usize, height: usize) -> Pixels {
        let data = (0..width * height).flat_map(|at| [at as u8, 100, 200]).collect();
        Pixels { height, width, channels: 3, data }
    }

    fn reds(image: &Pixels) -> Vec<u8> {
        image.data.chunks_exact(3).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn squares_are_cut_from_anywhere() {
        let image = image(4, 3);
        let cut = |at: [f64; 2]| reds(&crop_at(&image, 2, at).unwrap());
        assert_eq!(cut([0.0, 0.0]), [0, 1, 4, 5]);
        assert_eq!(cut([0.999, 0.999]), [6, 7, 10, 11]);
        assert_eq!(cut([0.5, 0.5]), [5, 6, 9, 10]);
        let refused = ImageProblem::SmallerThanCrop { width: 4, height: 3, side: 4 };
        assert_eq!(crop_at(&image, 4, [0.0; 2]), Err(refused));
    }

    #[test]
    fn borders_have_a_colour() {
        let padded = padded(image(2, 1), 1, &[7, 8, 9]);
        assert_eq!((padded.width, padded.height), (4, 3));
        assert_eq!(padded.data[12..24], [7, 8, 9, 0, 100, 200, 1, 100, 200, 7, 8, 9]);
        let square = pad_to(&image(2, 1), 4).unwrap();
        assert_eq!(square.data[15..21], [0, 100, 200, 1, 100, 200]);
        assert!(pad_to(&image(5, 1), 4).is_err());
    }

    #[test]
    fn a_mirror_keeps_colours() {
        let mirrored = mirrored(image(3, 2));
        assert_eq!(reds(&mirrored), [2, 1, 0, 5, 4, 3]);
        assert_eq!(mirrored.data[..3], [2, 100, 200]);
    }

    #[test]
    fn rectangles_lie_within_the_image() {
        let mut rng = random::generator(0, &["test"]);
        for (width, height) in [(40, 30), (1, 200), (200, 1), (1, 1), (7, 5)] {
            let image = image(width, height);
            for _ in 0..500 {
                let ratio = [0.75, 4.0 / 3.0];
                let drawn = random_rectangle(&image, [0.08, 1.0], ratio, &mut rng);
                let [left, top, w, h] = drawn.unwrap_or_else(|| middle(&image, ratio));
                assert!(w >= 1 && h >= 1);
                assert!(left + w <= width && top + h <= height);
            }
        }
    }
}
