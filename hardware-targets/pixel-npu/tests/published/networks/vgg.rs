//! VGG-16 and VGG-19 (arXiv 1409.1556, table 1, columns D and E), 224 pixels.

use super::{CLASSES, ConvSpec, Layers, Network, Shape};

pub fn vgg16() -> Network {
    vgg([2, 2, 3, 3, 3])
}

pub fn vgg19() -> Network {
    vgg([2, 2, 4, 4, 4])
}

fn vgg(depths: [usize; 5]) -> Network {
    let mut net = Layers::new(Shape::square(3, 224));
    for (depth, channels) in depths.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..depth {
            net.conv_relu(ConvSpec::new(channels, 3));
        }
        net.max_pool(2, 2, 0);
    }
    for features in [4096, 4096] {
        net.linear(features);
        net.relu();
    }
    net.linear(CLASSES);
    Network(vec![net.finish()])
}
