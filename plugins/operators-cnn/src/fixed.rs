//! Stem, head and classifier.

use spacewright_core::{
    graph::{ConvSpec, GraphBuilder, Op},
    operators::BlockRequest,
};

use crate::{Block, parts::Built};

pub(crate) const BLOCKS: &[Block] = &[
    Block {
        name: "conv",
        summary: "One convolution with batch normalization and activation: stems and heads",
        axes: &["kernel"],
        graph: conv,
    },
    Block {
        name: "feature-mix",
        summary: "Global average pool, then a 1x1 convolution with activation",
        axes: &[],
        graph: feature_mix,
    },
    Block {
        name: "logits",
        summary: "Global average pool where needed, dropout and a linear layer",
        axes: &[],
        graph: logits,
    },
];

fn conv(r: &BlockRequest) -> Built {
    let mut b = GraphBuilder::new(r.input);
    let spec = ConvSpec::new(r.out_channels, r.kernel()?).stride(r.stride);
    let x = b.conv_bn_act("conv", b.input(), spec, r.activation);
    Ok(b.finish(x))
}

fn feature_mix(r: &BlockRequest) -> Built {
    let mut b = GraphBuilder::new(r.input);
    let x = b.global_avg_pool("pool", b.input());
    let x = b.conv_bn_act("conv", x, ConvSpec::new(r.out_channels, 1), r.activation);
    Ok(b.finish(x))
}

fn logits(r: &BlockRequest) -> Built {
    let mut b = GraphBuilder::new(r.input);
    let mut x = b.input();
    if r.input.height * r.input.width > 1 {
        x = b.global_avg_pool("pool", x);
    }
    let x = b.node("dropout", Op::Dropout { rate: 0.2 }, &[x]);
    let x = b.linear("linear", x, r.out_channels);
    Ok(b.finish(x))
}
