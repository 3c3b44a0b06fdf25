//! Operations on whole images of a strength from 0 to 10, as AutoAugment has them; what a strength means is
//! that of TensorFlow's EfficientNet (`autoaugment.py`), but for moving, which is by a share of the image
//! instead of by 250 pixels at most, and shearing, which leaves the middle of the image where it is instead of
//! its corner.

use rand::Rng;

use super::{affine::moved, colour};
use crate::decode::Pixels;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    AutoContrast,
    Brightness,
    Color,
    Contrast,
    Equalize,
    Invert,
    Posterize,
    Rotate,
    Sharpness,
    ShearX,
    ShearY,
    Solarize,
    SolarizeAdd,
    TranslateX,
    TranslateY,
}

/// Largest move, as a share of the image.
const LARGEST_MOVE: f64 = 0.45;

impl Operation {
    /// Those that RandAugment draws from.
    pub const RANDOM: [Self; 15] = [
        Self::AutoContrast,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Equalize,
        Self::Invert,
        Self::Posterize,
        Self::Rotate,
        Self::Sharpness,
        Self::ShearX,
        Self::ShearY,
        Self::Solarize,
        Self::SolarizeAdd,
        Self::TranslateX,
        Self::TranslateY,
    ];

    /// Applies it; what has a direction is turned around at random.
    pub fn apply(self, image: Pixels, level: f64, rng: &mut impl Rng) -> Pixels {
        let share = level / 10.0;
        let directed = if rng.random() { share } else { -share };
        let enhanced = 0.1 + 1.8 * share;
        match self {
            Self::AutoContrast => colour::auto_contrast(image),
            Self::Equalize => colour::equalize(image),
            Self::Invert => colour::mapped(image, |value| 255 - value),
            Self::Brightness => colour::brightness(image, enhanced),
            Self::Color => colour::saturation(image, enhanced),
            Self::Contrast => colour::contrast(image, enhanced),
            Self::Sharpness => colour::sharpness(image, enhanced),
            // So many of the highest bits stay: a larger strength changes less.
            Self::Posterize => {
                let mask = !(0xff_u16 >> (4.0 * share) as u32) as u8;
                colour::mapped(image, |value| value & mask)
            }
            Self::Solarize => {
                let threshold = (256.0 * share) as u16;
                let turned =
                    |value: u8| if u16::from(value) < threshold { value } else { 255 - value };
                colour::mapped(image, turned)
            }
            Self::SolarizeAdd => {
                let more = (110.0 * share) as u8;
                colour::mapped(
                    image,
                    |value| if value < 128 { value.saturating_add(more) } else { value },
                )
            }
            Self::Rotate => {
                let (sin, cos) = (30.0 * directed).to_radians().sin_cos();
                moved(&image, |x, y| (cos * x - sin * y, sin * x + cos * y))
            }
            Self::ShearX => moved(&image, |x, y| (x + 0.3 * directed * y, y)),
            Self::ShearY => moved(&image, |x, y| (x, y + 0.3 * directed * x)),
            Self::TranslateX => {
                let far = (LARGEST_MOVE * directed * image.width as f64).round();
                moved(&image, |x, y| (x + far, y))
            }
            Self::TranslateY => {
                let far = (LARGEST_MOVE * directed * image.height as f64).round();
                moved(&image, |x, y| (x, y + far))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::random;

    use super::*;

    #[track_caller]
    fn check(operation: Operation, level: f64, values: &[u8], expected: &[u8]) {
        let image = Pixels { height: 1, width: values.len(), channels: 1, data: values.to_vec() };
        let mut rng = random::generator(0, &["test"]);
        assert_eq!(operation.apply(image, level, &mut rng).data, expected);
    }

    #[test]
    fn strengths_mean_what_tensorflow_means() {
        check(Operation::Posterize, 6.0, &[255, 100, 7], &[192, 64, 0]);
        check(Operation::Posterize, 2.0, &[255, 100], &[0, 0]);
        check(Operation::Solarize, 4.0, &[100, 101, 102, 200], &[100, 101, 153, 55]);
        check(Operation::Solarize, 10.0, &[0, 255], &[0, 255]);
        check(Operation::SolarizeAdd, 7.0, &[0, 100, 127, 128], &[77, 177, 204, 128]);
        check(Operation::Invert, 9.0, &[0, 1, 255], &[255, 254, 0]);
        check(Operation::Brightness, 5.0, &[0, 9, 255], &[0, 9, 255]);
        check(Operation::Brightness, 0.0, &[0, 100], &[0, 10]);
    }

    #[test]
    fn no_strength_moves_nothing() {
        let image = Pixels { height: 9, width: 9, channels: 3, data: (0..243).collect() };
        let mut rng = random::generator(0, &["test"]);
        for operation in [
            Operation::Rotate,
            Operation::ShearX,
            Operation::ShearY,
            Operation::TranslateX,
            Operation::TranslateY,
        ] {
            assert_eq!(operation.apply(image.clone(), 0.0, &mut rng), image);
            assert_ne!(operation.apply(image.clone(), 10.0, &mut rng), image);
        }
    }
}
