//! Antialiased resizing.

use std::{cell::RefCell, fmt};

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedCroppedImage, TypedImage, TypedImageRef},
    pixels::{U8, U8x3},
};
use spacewright_core::data::Interpolation;

use super::crop::Rectangle;
use crate::{decode::Pixels, error::ImageProblem};

thread_local! {
    /// Keeps its buffers from one image to the next.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// A rectangle of an image resized to a width and a height; pixels outside do not count.
///
/// # Errors
///
/// A rectangle that does not lie within the image.
pub fn resize(
    image: &Pixels,
    rectangle: Rectangle,
    size: [usize; 2],
    interpolation: Interpolation,
) -> Result<Pixels, ImageProblem> {
    // For the two kinds of pixels that there are: code for all others takes long to compile.
    let data = match image.channels {
        1 => typed::<U8>(image, rectangle, size, interpolation),
        _ => typed::<U8x3>(image, rectangle, size, interpolation),
    };
    let [width, height] = size;
    Ok(Pixels { width, height, channels: image.channels, data: data? })
}

fn typed<P: PixelTrait>(
    image: &Pixels,
    rectangle: Rectangle,
    [width, height]: [usize; 2],
    interpolation: Interpolation,
) -> Result<Vec<u8>, ImageProblem> {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    let source =
        TypedImageRef::<P>::from_buffer(image.width as u32, image.height as u32, &image.data)
            .map_err(refused)?;
    let [left, top, cut_width, cut_height] = rectangle.map(|pixels| pixels as u32);
    let cut =
        TypedCroppedImage::from_ref(&source, left, top, cut_width, cut_height).map_err(refused)?;
    let mut data = vec![0; width * height * image.channels];
    let mut resized =
        TypedImage::<P>::from_buffer(width as u32, height as u32, &mut data).map_err(refused)?;
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize_typed(&cut, &mut resized, &options))
        .map_err(refused)?;
    drop(resized);
    Ok(data)
}

fn refused(reason: impl fmt::Display) -> ImageProblem {
    ImageProblem::Resizing { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pixels_below_one_count() {
        // Columns of black and white become grey, at any of many reductions.
        let data = (0..64 * 64).map(|at| if at % 2 == 0 { 0 } else { 255 }).collect();
        let image = Pixels { height: 64, width: 64, channels: 1, data };
        for side in [7, 16, 32] {
            for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
                let small = resize(&image, [0, 0, 64, 64], [side, side], interpolation).unwrap();
                assert!(
                    small.data.iter().all(|grey| (100..156).contains(grey)),
                    "{:?}",
                    small.data
                );
            }
        }
    }

    #[test]
    fn a_rectangle_outside_is_refused() {
        let image = Pixels { height: 2, width: 2, channels: 1, data: vec![0; 4] };
        let refused = resize(&image, [1, 0, 2, 2], [2, 2], Interpolation::Bilinear);
        assert!(matches!(refused, Err(ImageProblem::Resizing { .. })));
    }

    #[test]
    fn a_rectangle_is_cut_first() {
        let data = (0..8 * 4).flat_map(|at| [if at % 8 < 4 { 10 } else { 200 }, 5, 6]).collect();
        let image = Pixels { height: 4, width: 8, channels: 3, data };
        let right = resize(&image, [4, 0, 4, 4], [2, 3], Interpolation::Bicubic).unwrap();
        assert_eq!((right.width, right.height), (2, 3));
        assert!(right.data.chunks(3).all(|pixel| pixel == [200, 5, 6]), "{:?}", right.data);
    }
}
