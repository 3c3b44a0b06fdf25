//! Fused inverted bottlenecks: a dense k×k convolution that expands, then a 1×1 convolution
//! (EfficientNetV2, arXiv 2104.00298).

use spacewright_core::{
    graph::{ConvSpec, GraphBuilder},
    operators::BlockRequest,
};

use crate::{
    Block,
    parts::{Built, ChannelGate, Shortcut, add_shortcut, expanded, squeeze_excite, width},
};

pub(crate) const BLOCKS: &[Block] = &[
    Block {
        name: "fused-mbconv-res",
        summary: "Fused inverted bottleneck; projecting shortcut where shapes differ",
        axes: &["kernel", "expand"],
        graph: |r| fused(r, ChannelGate::None),
    },
    Block {
        name: "fused-mbconv-se-res",
        summary: "Fused inverted bottleneck with squeeze and excitation; projecting shortcut",
        axes: &["kernel", "expand"],
        graph: |r| fused(r, ChannelGate::SqueezeExcite),
    },
];

fn fused(r: &BlockRequest, gate: ChannelGate) -> Built {
    let hidden = expanded(r, r.input.channels)?;
    let mut b = GraphBuilder::new(r.input);
    let spec = ConvSpec::new(hidden, r.kernel()?).stride(r.stride);
    let mut y = b.conv_bn_act("conv", b.input(), spec, r.activation);
    if gate == ChannelGate::SqueezeExcite {
        y = squeeze_excite(&mut b, y, hidden, width((r.input.channels / 4) as f64));
    }
    let y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, 1));
    let y = add_shortcut(&mut b, r, y, Shortcut::Projecting);
    Ok(b.finish(y))
}
