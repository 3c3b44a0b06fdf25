//! EfficientNet-EdgeTPU (Gupta, Tan: EfficientNet-EdgeTPU, creating accelerator-optimized neural
//! networks with AutoML, Google AI blog, August 2019), with the blocks of its published
//! implementation: three stages whose blocks widen with a dense convolution of stride 1 and take
//! their stride in the narrowing one, then three of inverted residuals. No squeeze and excitation.

use super::{ConvSpec, Layers, Network, Shape, mobilenet::inverted_residual};

pub fn efficientnet_edgetpu_s() -> Network {
    scaled(224, 1.0)
}

pub fn efficientnet_edgetpu_m() -> Network {
    scaled(240, 1.1)
}

/// Image size and the factor of depth.
fn scaled(size: usize, depth: f64) -> Network {
    let mut net = Layers::new(Shape::square(3, size));
    net.conv_bn_relu(ConvSpec::new(32, 3).stride(2));
    let mut input = 24;
    for (fused, repeats, kernel, first_stride, expand, out, shortcuts) in [
        (true, 1, 3, 1, 4, 24, false),
        (true, 2, 3, 2, 8, 32, true),
        (true, 4, 3, 2, 8, 48, true),
        (false, 5, 5, 2, 8, 96, true),
        (false, 4, 5, 1, 8, 144, true),
        (false, 2, 5, 2, 8, 192, true),
    ] {
        for repeat in 0..(f64::from(repeats) * depth).ceil() as usize {
            let stride = if repeat == 0 { first_stride } else { 1 };
            if fused {
                let shortcut = shortcuts && stride == 1 && input == out;
                fused_block(&mut net, input * expand, out, kernel, stride, shortcut);
            } else {
                inverted_residual(&mut net, input, expand, out, kernel, stride);
            }
            input = out;
        }
    }
    net.conv_bn_relu(ConvSpec::new(1280, 1));
    Network(vec![net.classify()])
}

fn fused_block(
    net: &mut Layers,
    wide: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    shortcut: bool,
) {
    let input = net.value;
    net.conv_bn_relu(ConvSpec::new(wide, kernel));
    net.conv_bn(ConvSpec::new(out, 1).stride(stride));
    if shortcut {
        net.add(input);
    }
}
