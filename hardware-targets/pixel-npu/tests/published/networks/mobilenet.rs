//! MobileNet v1 (arXiv 1704.04861, table 1) and v2 (arXiv 1801.04381, table 2), 224 pixels.

use super::{ConvSpec, Layers, Network, Shape};

pub fn mobilenet_v1() -> Network {
    let mut net = Layers::new(Shape::square(3, 224));
    net.conv_bn_relu(ConvSpec::new(32, 3).stride(2));
    let mut channels = 32;
    for (out, stride, repeats) in [
        (64, 1, 1),
        (128, 2, 1),
        (128, 1, 1),
        (256, 2, 1),
        (256, 1, 1),
        (512, 2, 1),
        (512, 1, 5),
        (1024, 2, 1),
        (1024, 1, 1),
    ] {
        for _ in 0..repeats {
            net.conv_bn_relu(ConvSpec::depthwise(channels, 3).stride(stride));
            net.conv_bn_relu(ConvSpec::new(out, 1));
            channels = out;
        }
    }
    Network(vec![net.classify()])
}

pub fn mobilenet_v2() -> Network {
    let mut net = Layers::new(Shape::square(3, 224));
    net.conv_bn_relu(ConvSpec::new(32, 3).stride(2));
    let mut channels = 32;
    for (expand, out, repeats, first_stride) in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ] {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            inverted_residual(&mut net, channels, expand, out, 3, stride);
            channels = out;
        }
    }
    net.conv_bn_relu(ConvSpec::new(1280, 1));
    Network(vec![net.classify()])
}

/// Widens, filters each channel, narrows.
pub fn inverted_residual(
    net: &mut Layers,
    channels: usize,
    expand: usize,
    out: usize,
    kernel: usize,
    stride: usize,
) {
    let (input, wide) = (net.value, channels * expand);
    if expand > 1 {
        net.conv_bn_relu(ConvSpec::new(wide, 1));
    }
    net.conv_bn_relu(ConvSpec::depthwise(wide, kernel).stride(stride));
    net.conv_bn(ConvSpec::new(out, 1));
    if stride == 1 && channels == out {
        net.add(input);
    }
}
