//! SqueezeNet 1.0 (arXiv 1602.07360, table 1), 224 pixels.

use spacewright_core::graph::{Graph, Padding};

use super::{CLASSES, ConvSpec, Layers, Network, Shape};

pub fn squeezenet() -> Network {
    let mut stem = Layers::new(Shape::square(3, 224));
    stem.conv_relu(ConvSpec::new(96, 7).stride(2).padding(Padding::all(2)));
    stem.max_pool(3, 2, 0);
    let mut parts = vec![stem.finish()];
    let mut channels = 96;
    // Squeezed and expanded channels; the size after the pool that comes first, where one does.
    for (squeeze, expand, size, pools) in [
        (16, 64, 55, false),
        (16, 64, 55, false),
        (32, 128, 55, false),
        (32, 128, 27, true),
        (48, 192, 27, false),
        (48, 192, 27, false),
        (64, 256, 27, false),
        (64, 256, 13, true),
    ] {
        let mut narrow =
            Layers::new(Shape::square(channels, if pools { 2 * size + 1 } else { size }));
        if pools {
            narrow.max_pool(3, 2, 0);
        }
        narrow.conv_relu(ConvSpec::new(squeeze, 1));
        parts.push(narrow.finish());
        parts.extend([1, 3].map(|kernel| expanded(Shape::square(squeeze, size), expand, kernel)));
        channels = 2 * expand;
    }
    let mut head = Layers::new(Shape::square(channels, 13));
    head.conv_relu(ConvSpec::new(CLASSES, 1));
    head.global_avg_pool();
    parts.push(head.finish());
    Network(parts)
}

fn expanded(input: Shape, out: usize, kernel: usize) -> Graph {
    let mut branch = Layers::new(input);
    branch.conv_relu(ConvSpec::new(out, kernel));
    branch.finish()
}
