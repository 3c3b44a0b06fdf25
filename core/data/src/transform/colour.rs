//! Values of pixels, changed without moving them. Sums of images and what they are blended with are as in
//! Pillow's `ImageEnhance` and `ImageOps`.

use rand::{Rng, seq::SliceRandom};
use spacewright_core::data::ColorJitter;

use crate::decode::{Pixels, luma};

/// `other + (image − other) · factor`, kept within 0…255.
fn blended(mut image: Pixels, factor: f64, other: impl Fn(usize, &[u8]) -> [u8; 3]) -> Pixels {
    let channels = image.channels;
    for (at, pixel) in image.data.chunks_exact_mut(channels).enumerate() {
        let other = other(at, pixel);
        for (value, other) in pixel.iter_mut().zip(other) {
            let other = f64::from(other);
            *value = (other + (f64::from(*value) - other) * factor).round().clamp(0.0, 255.0) as u8;
        }
    }
    image
}

fn grey(pixel: &[u8]) -> u8 {
    if pixel.len() == 1 { pixel[0] } else { luma(pixel) }
}

/// 0 is black, 1 the image itself.
pub fn brightness(image: Pixels, factor: f64) -> Pixels {
    blended(image, factor, |_, _| [0; 3])
}

/// 0 is the mean of the image's grey, 1 the image itself.
pub fn contrast(image: Pixels, factor: f64) -> Pixels {
    let sum: u64 =
        image.data.chunks_exact(image.channels).map(|pixel| u64::from(grey(pixel))).sum();
    let mean = (sum as f64 / (image.height * image.width) as f64).round() as u8;
    blended(image, factor, |_, _| [mean; 3])
}

/// 0 is grey, 1 the image itself.
pub fn saturation(image: Pixels, factor: f64) -> Pixels {
    blended(image, factor, |_, pixel| [grey(pixel); 3])
}

/// 0 is smoothed over neighbours, 1 the image itself; pixels at the border stay.
pub fn sharpness(image: Pixels, factor: f64) -> Pixels {
    let Pixels { height, width, channels, .. } = image;
    let source = image.data.clone();
    let line = width * channels;
    blended(image, factor, |at, pixel| {
        let (x, y) = (at % width, at / width);
        let inside = (1..width.max(1) - 1).contains(&x) && (1..height.max(1) - 1).contains(&y);
        let mut smooth = [0; 3];
        for (channel, smooth) in smooth.iter_mut().take(channels).enumerate() {
            *smooth = pixel[channel];
            if inside {
                let middle = at * channels + channel;
                let rows = [middle - line, middle, middle + line];
                let sum: u32 = rows
                    .iter()
                    .flat_map(|row| [row - channels, *row, row + channels])
                    .map(|from| u32::from(source[from]))
                    .sum();
                // The middle counts five times.
                *smooth = ((sum + 4 * u32::from(pixel[channel]) + 6) / 13) as u8;
            }
        }
        smooth
    })
}

/// The same of every value.
pub fn mapped(mut image: Pixels, map: impl Fn(u8) -> u8) -> Pixels {
    image.data.iter_mut().for_each(|value| *value = map(*value));
    image
}

/// How often each value stands in a channel.
fn histogram(image: &Pixels, channel: usize) -> [usize; 256] {
    let mut counts = [0; 256];
    for pixel in image.data.chunks_exact(image.channels) {
        counts[usize::from(pixel[channel])] += 1;
    }
    counts
}

fn map_channels(mut image: Pixels, table: impl Fn([usize; 256]) -> Option<[u8; 256]>) -> Pixels {
    for channel in 0..image.channels {
        let Some(table) = table(histogram(&image, channel)) else { continue };
        for value in image.data.iter_mut().skip(channel).step_by(image.channels) {
            *value = table[usize::from(*value)];
        }
    }
    image
}

/// Each channel from 0 to 255.
pub fn auto_contrast(image: Pixels) -> Pixels {
    map_channels(image, |counts| {
        let low = counts.iter().position(|count| *count > 0)?;
        let high = counts.iter().rposition(|count| *count > 0)?;
        let range = (high - low).max(1);
        let stretched = |value: usize| value.saturating_sub(low) * 255 / range;
        (high > low).then(|| std::array::from_fn(|value| stretched(value).min(255) as u8))
    })
}

/// Each channel's values used about equally often.
pub fn equalize(image: Pixels) -> Pixels {
    map_channels(image, |counts| {
        let last = counts.iter().rfind(|count| **count > 0)?;
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut seen = step / 2;
        Some(std::array::from_fn(|value| {
            let level = seen / step;
            seen += counts[value];
            level.min(255) as u8
        }))
    })
}

/// Turns the hue by a share of the whole circle, by way of hue, saturation and value.
pub fn hue(mut image: Pixels, turn: f64) -> Pixels {
    if image.channels == 3 {
        for pixel in image.data.chunks_exact_mut(3) {
            pixel.copy_from_slice(&turned([pixel[0], pixel[1], pixel[2]].map(f64::from), turn));
        }
    }
    image
}

fn turned([red, green, blue]: [f64; 3], turn: f64) -> [u8; 3] {
    let value = red.max(green).max(blue);
    let chroma = value - red.min(green).min(blue);
    // In sixths of the circle.
    let hue = if chroma == 0.0 {
        0.0
    } else if value == red {
        (green - blue) / chroma
    } else if value == green {
        (blue - red) / chroma + 2.0
    } else {
        (red - green) / chroma + 4.0
    };
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue + 6.0 * turn).rem_euclid(6.0);
        (value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)).round() as u8
    })
}

/// Brightness, contrast, saturation and hue in random order.
pub fn jitter(mut image: Pixels, settings: &ColorJitter, rng: &mut impl Rng) -> Pixels {
    let factors: [f64; 4] = rng.random();
    let mut order = [0, 1, 2, 3];
    order.shuffle(rng);
    let ColorJitter {
        brightness: of_brightness,
        contrast: of_contrast,
        saturation: of_saturation,
        hue: of_hue,
    } = *settings;
    let around = |strength: f64, draw: f64| 1.0 + strength * (2.0 * draw - 1.0);
    for index in order {
        let draw = factors[index];
        image = match index {
            0 if of_brightness > 0.0 => brightness(image, around(of_brightness, draw)),
            1 if of_contrast > 0.0 => contrast(image, around(of_contrast, draw)),
            2 if of_saturation > 0.0 => saturation(image, around(of_saturation, draw)),
            3 if of_hue > 0.0 => hue(image, of_hue * (2.0 * draw - 1.0)),
            _ => image,
        };
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey_image(data: &[u8]) -> Pixels {
        Pixels { height: 1, width: data.len(), channels: 1, data: data.to_vec() }
    }

    fn pixel(colour: [u8; 3]) -> Pixels {
        Pixels { height: 1, width: 1, channels: 3, data: colour.to_vec() }
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let image =
            Pixels { height: 4, width: 4, channels: 3, data: (0..48).map(|x| x * 5).collect() };
        for change in [brightness, contrast, saturation, sharpness] {
            assert_eq!(change(image.clone(), 1.0), image);
        }
        assert_eq!(hue(image.clone(), 0.0), image);
        assert_eq!(hue(image.clone(), 1.0), image);
    }

    #[test]
    fn factors_blend() {
        assert_eq!(brightness(grey_image(&[10, 200]), 1.5).data, [15, 255]);
        assert_eq!(contrast(grey_image(&[0, 100]), 0.0).data, [50, 50]);
        assert_eq!(saturation(pixel([100, 150, 200]), 0.0).data, [141; 3]);
        let mut spot = Pixels { height: 3, width: 3, channels: 1, data: vec![0; 9] };
        spot.data[4] = 130;
        assert_eq!(sharpness(spot, 0.0).data[4], 50);
    }

    #[test]
    fn histograms_are_stretched_and_levelled() {
        assert_eq!(auto_contrast(grey_image(&[50, 100, 150])).data, [0, 127, 255]);
        assert_eq!(auto_contrast(grey_image(&[7, 7])).data, [7, 7]);
        let levelled = equalize(grey_image(&[[10; 255], [20; 255], [30; 255]].concat()));
        assert_eq!([levelled.data[0], levelled.data[300], levelled.data[600]], [0, 128, 255]);
    }

    #[test]
    fn a_third_of_the_circle_turns_red_to_green() {
        assert_eq!(hue(pixel([200, 10, 10]), 1.0 / 3.0).data, [10, 200, 10]);
        assert_eq!(hue(pixel([200, 10, 10]), -1.0 / 3.0).data, [10, 10, 200]);
        assert_eq!(hue(pixel([80, 80, 80]), 0.3).data, [80; 3]);
    }
}
