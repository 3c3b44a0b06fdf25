//! ResNet-50 (arXiv 1512.03385, table 1), with the stride in the first convolution of a block.

use super::{ConvSpec, Layers, Network, Shape};

pub fn resnet50(size: usize) -> Network {
    let mut net = Layers::new(Shape::square(3, size));
    net.conv_bn_relu(ConvSpec::new(64, 7).stride(2));
    net.max_pool(3, 2, 1);
    for (narrow, repeats, first_stride) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            bottleneck(&mut net, narrow, stride, repeat == 0);
        }
    }
    Network(vec![net.classify()])
}

fn bottleneck(net: &mut Layers, narrow: usize, stride: usize, projects: bool) {
    let wide = 4 * narrow;
    let input = net.value;
    let mut shortcut = input;
    if projects {
        net.conv_bn(ConvSpec::new(wide, 1).stride(stride));
        shortcut = std::mem::replace(&mut net.value, input);
    }
    net.conv_bn_relu(ConvSpec::new(narrow, 1).stride(stride));
    net.conv_bn_relu(ConvSpec::new(narrow, 3));
    net.conv_bn(ConvSpec::new(wide, 1));
    net.add(shortcut);
    net.relu();
}
