//! The policy `v0` of TensorFlow's EfficientNet (github.com/tensorflow/tpu, `autoaugment.py`).

use rand::Rng;

use super::operation::Operation::{
    self, AutoContrast, Color, Equalize, Invert, Posterize, Rotate, ShearX, ShearY, Solarize,
    SolarizeAdd, TranslateY,
};
use crate::decode::Pixels;

/// An operation, how often it is done, its strength from 0 to 10.
type Step = (Operation, f64, f64);

const V0: [[Step; 2]; 25] = [
    [(Equalize, 0.8, 1.0), (ShearY, 0.8, 4.0)],
    [(Color, 0.4, 9.0), (Equalize, 0.6, 3.0)],
    [(Color, 0.4, 1.0), (Rotate, 0.6, 8.0)],
    [(Solarize, 0.8, 3.0), (Equalize, 0.4, 7.0)],
    [(Solarize, 0.4, 2.0), (Solarize, 0.6, 2.0)],
    [(Color, 0.2, 0.0), (Equalize, 0.8, 8.0)],
    [(Equalize, 0.4, 8.0), (SolarizeAdd, 0.8, 3.0)],
    [(ShearX, 0.2, 9.0), (Rotate, 0.6, 8.0)],
    [(Color, 0.6, 1.0), (Equalize, 1.0, 2.0)],
    [(Invert, 0.4, 9.0), (Rotate, 0.6, 0.0)],
    [(Equalize, 1.0, 9.0), (ShearY, 0.6, 3.0)],
    [(Color, 0.4, 7.0), (Equalize, 0.6, 0.0)],
    [(Posterize, 0.4, 6.0), (AutoContrast, 0.4, 7.0)],
    [(Solarize, 0.6, 8.0), (Color, 0.6, 9.0)],
    [(Solarize, 0.2, 4.0), (Rotate, 0.8, 9.0)],
    [(Rotate, 1.0, 7.0), (TranslateY, 0.8, 9.0)],
    [(ShearX, 0.0, 0.0), (Solarize, 0.8, 4.0)],
    [(ShearY, 0.8, 0.0), (Color, 0.6, 4.0)],
    [(Color, 1.0, 0.0), (Rotate, 0.6, 2.0)],
    [(Equalize, 0.8, 4.0), (Equalize, 0.0, 8.0)],
    [(Equalize, 1.0, 4.0), (AutoContrast, 0.6, 2.0)],
    [(ShearY, 0.4, 7.0), (SolarizeAdd, 0.6, 7.0)],
    [(Posterize, 0.8, 2.0), (Solarize, 0.6, 10.0)],
    [(Solarize, 0.6, 8.0), (Equalize, 0.6, 1.0)],
    [(Color, 0.8, 6.0), (Rotate, 0.4, 5.0)],
];

/// Does one of the pairs, each of its operations as often as it says.
pub fn auto_augment(mut image: Pixels, rng: &mut impl Rng) -> Pixels {
    for (operation, probability, level) in V0[rng.random_range(0..V0.len())] {
        if rng.random::<f64>() < probability {
            image = operation.apply(image, level, rng);
        }
    }
    image
}
