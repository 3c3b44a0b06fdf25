//! ResNet's blocks (arXiv 1512.03385, figure 5): bottlenecks, with and without squeeze and
//! excitation, and the basic block, with a stride or with pooling in its place. The hidden width is a multiple of
//! the *output* width.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, ValueId},
    operators::BlockRequest,
};

use crate::{
    Block,
    parts::{
        Built, ChannelGate, Shortcut, add_shortcut, expanded, keeps_shape, max_pool,
        squeeze_excite, width,
    },
};

pub(crate) const BLOCKS: &[Block] = &[
    Block {
        name: "resnet",
        summary: "Bottleneck with a dense k x k convolution; activation after the sum",
        axes: &["kernel", "expand"],
        graph: |r| bottleneck(r, ChannelGate::None),
    },
    Block {
        name: "resnet-se",
        summary: "Bottleneck with squeeze and excitation; activation after the sum",
        axes: &["kernel", "expand"],
        graph: |r| bottleneck(r, ChannelGate::SqueezeExcite),
    },
    Block {
        name: "resnet-basic",
        summary: "Two dense k x k convolutions; activation after the sum",
        axes: &["kernel", "expand"],
        graph: basic,
    },
    Block {
        name: "resnet-pool",
        summary: "Two dense k x k convolutions, maximum pooling in place of a stride; activation after the sum",
        axes: &["kernel", "expand"],
        graph: pooled,
    },
];

fn bottleneck(r: &BlockRequest, gate: ChannelGate) -> Built {
    let hidden = expanded(r, r.out_channels)?;
    let relu = ActivationKind::Relu;
    let mut b = GraphBuilder::new(r.input);
    let x = b.input();
    let y = b.conv_bn_act("reduce", x, ConvSpec::new(hidden, 1), relu);
    let spec = ConvSpec::new(hidden, r.kernel()?).stride(r.stride);
    let mut y = b.conv_bn_act("conv", y, spec, relu);
    if gate == ChannelGate::SqueezeExcite {
        y = squeeze_excite(&mut b, y, hidden, width((r.input.channels / 4) as f64));
    }
    let y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, 1));
    Ok(summed(b, r, y))
}

fn basic(r: &BlockRequest) -> Built {
    let (hidden, kernel) = (expanded(r, r.out_channels)?, r.kernel()?);
    let mut b = GraphBuilder::new(r.input);
    let x = b.input();
    let spec = ConvSpec::new(hidden, kernel).stride(r.stride);
    let y = b.conv_bn_act("conv", x, spec, ActivationKind::Relu);
    let y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, kernel));
    Ok(summed(b, r, y))
}

/// The basic block with maximum pooling behind its first convolution and before its shortcut, where it has a
/// stride: no value of the input is skipped, as by a 1x1 convolution with a stride (arXiv 1812.01187, section 4.2).
fn pooled(r: &BlockRequest) -> Built {
    let (hidden, kernel) = (expanded(r, r.out_channels)?, r.kernel()?);
    let mut b = GraphBuilder::new(r.input);
    let x = b.input();
    let y = b.conv_bn_act("conv", x, ConvSpec::new(hidden, kernel), ActivationKind::Relu);
    let y = max_pool(&mut b, "pool", y, r);
    let y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, kernel));
    let shortcut = if keeps_shape(r) {
        x
    } else {
        let x = max_pool(&mut b, "shortcut.pool", x, r);
        b.conv_bn("shortcut", x, ConvSpec::new(r.out_channels, 1))
    };
    let y = b.add("sum", y, shortcut);
    let y = b.act("act", y, ActivationKind::Relu);
    Ok(b.finish(y))
}

fn summed(mut b: GraphBuilder, r: &BlockRequest, y: ValueId) -> Graph {
    let y = add_shortcut(&mut b, r, y, Shortcut::Projecting);
    let y = b.act("act", y, ActivationKind::Relu);
    b.finish(y)
}
