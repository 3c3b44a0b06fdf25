//! Inception v1, or GoogLeNet (arXiv 1409.4842, table 1), 224 pixels, without its auxiliary
//! classifiers and the normalization of responses.

use super::{ConvSpec, Layers, Network, Shape};

/// Channels of an inception module: 1x1, 3x3 with its reduction, 5x5 with its own, after the pool.
type Module = (usize, [usize; 2], [usize; 2], usize);

pub fn inception_v1() -> Network {
    let mut stem = Layers::new(Shape::square(3, 224));
    stem.conv_relu(ConvSpec::new(64, 7).stride(2));
    stem.max_pool(3, 2, 1);
    stem.conv_relu(ConvSpec::new(64, 1));
    stem.conv_relu(ConvSpec::new(192, 3));
    stem.max_pool(3, 2, 1);
    let mut parts = vec![stem.finish()];
    let mut channels = 192;
    let stages: [(usize, &[Module]); 3] = [
        (28, &[(64, [96, 128], [16, 32], 32), (128, [128, 192], [32, 96], 64)]),
        (
            14,
            &[
                (192, [96, 208], [16, 48], 64),
                (160, [112, 224], [24, 64], 64),
                (128, [128, 256], [24, 64], 64),
                (112, [144, 288], [32, 64], 64),
                (256, [160, 320], [32, 128], 128),
            ],
        ),
        (7, &[(256, [160, 320], [32, 128], 128), (384, [192, 384], [48, 128], 128)]),
    ];
    for (size, modules) in stages {
        if size < 28 {
            let mut pool = Layers::new(Shape::square(channels, 2 * size));
            pool.max_pool(3, 2, 1);
            parts.push(pool.finish());
        }
        for module in modules {
            let input = Shape::square(channels, size);
            let branch = |convolutions: &[(usize, usize)], pools: bool| {
                let mut branch = Layers::new(input);
                if pools {
                    branch.max_pool(3, 1, 1);
                }
                for (out, kernel) in convolutions {
                    branch.conv_relu(ConvSpec::new(*out, *kernel));
                }
                branch.finish()
            };
            let (one, three, five, pool) = *module;
            parts.push(branch(&[(one, 1)], false));
            parts.push(branch(&[(three[0], 1), (three[1], 3)], false));
            parts.push(branch(&[(five[0], 1), (five[1], 5)], false));
            parts.push(branch(&[(pool, 1)], true));
            channels = one + three[1] + five[1] + pool;
        }
    }
    parts.push(Layers::new(Shape::square(channels, 7)).classify());
    Network(parts)
}
