//! MobileNet blocks: V1 to V4 (arXiv 1704.04861, 1801.04381, 1905.02244, 2404.10518), with the
//! variants of SpaceEvo: projecting shortcuts and stacked 3×3 depth-wise convolutions.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, GraphBuilder, ValueId},
    operators::{BlockRequest, OperatorError},
};

use crate::{
    Block,
    parts::{Built, ChannelGate, Shortcut, add_shortcut, expanded, squeeze_excite, width},
};

pub(crate) const BLOCKS: &[Block] = &[
    Block {
        name: "mobilenet-v1",
        summary: "Depth-wise and 1x1 convolution",
        axes: &["kernel"],
        graph: v1,
    },
    Block {
        name: "mobilenet-v1-dual",
        summary: "Two depth-wise separable convolutions with a shortcut",
        axes: &["kernel"],
        graph: v1_dual,
    },
    Block {
        name: "mobilenet-v2",
        summary: "Inverted bottleneck; identity shortcut only",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(r, Depthwise::Single, ChannelGate::None, Shortcut::IdentityOnly)
        },
    },
    Block {
        name: "mobilenet-v2-res",
        summary: "Inverted bottleneck; projecting shortcut where shapes differ",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(r, Depthwise::Single, ChannelGate::None, Shortcut::Projecting)
        },
    },
    Block {
        name: "mobilenet-v3",
        summary: "Inverted bottleneck with squeeze and excitation; identity shortcut only",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(
                r,
                Depthwise::Single,
                ChannelGate::SqueezeExcite,
                Shortcut::IdentityOnly,
            )
        },
    },
    Block {
        name: "mobilenet-v3-res",
        summary: "Inverted bottleneck with squeeze and excitation; projecting shortcut",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(
                r,
                Depthwise::Single,
                ChannelGate::SqueezeExcite,
                Shortcut::Projecting,
            )
        },
    },
    Block {
        name: "mobilenet-v2-k3-res",
        summary: "As mobilenet-v2-res, its kernel made of stacked 3x3 depth-wise convolutions",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(r, Depthwise::Stacked, ChannelGate::None, Shortcut::Projecting)
        },
    },
    Block {
        name: "mobilenet-v3-k3-res",
        summary: "As mobilenet-v3-res, its kernel made of stacked 3x3 depth-wise convolutions",
        axes: &["kernel", "expand"],
        graph: |r| {
            inverted_bottleneck(
                r,
                Depthwise::Stacked,
                ChannelGate::SqueezeExcite,
                Shortcut::Projecting,
            )
        },
    },
    Block {
        name: "mobilenet-v4-res",
        summary: "Inverted bottleneck, where `start` is 1 with another depth-wise convolution before it; \
                  projecting shortcut",
        axes: &["kernel", "expand", "start"],
        graph: v4,
    },
];

fn v1(r: &BlockRequest) -> Built {
    let mut b = GraphBuilder::new(r.input);
    let x = b.input();
    let y = Separable::of(r, ["dw", "pw"])?.append(&mut b, x);
    Ok(b.finish(y))
}

fn v1_dual(r: &BlockRequest) -> Built {
    let mut b = GraphBuilder::new(r.input);
    let x = b.input();
    let first = Separable::of(r, ["dw1", "pw1"])?;
    let second = Separable { names: ["dw2", "pw2"], channels: r.out_channels, stride: 1, ..first };
    let y = first.append(&mut b, x);
    let y = second.append(&mut b, y);
    let y = add_shortcut(&mut b, r, y, Shortcut::Projecting);
    Ok(b.finish(y))
}

/// A depth-wise separable convolution: a depth-wise one, then one of 1×1.
struct Separable {
    /// Names of both.
    names: [&'static str; 2],
    channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
}

impl Separable {
    /// That which a whole block is asked for as.
    fn of(r: &BlockRequest, names: [&'static str; 2]) -> Result<Self, OperatorError> {
        Ok(Self {
            names,
            channels: r.input.channels,
            out_channels: r.out_channels,
            kernel: r.kernel()?,
            stride: r.stride,
        })
    }

    fn append(&self, b: &mut GraphBuilder, x: ValueId) -> ValueId {
        let [depthwise, pointwise] = self.names;
        let spec = ConvSpec::depthwise(self.channels, self.kernel).stride(self.stride);
        let y = b.conv_bn_act(depthwise, x, spec, ActivationKind::Relu);
        b.conv_bn_act(pointwise, y, ConvSpec::new(self.out_channels, 1), ActivationKind::Relu)
    }
}

#[derive(PartialEq)]
enum Depthwise {
    Single,
    /// (k − 1) / 2 convolutions of 3×3, one batch normalization and activation after the last.
    Stacked,
}

fn inverted_bottleneck(
    r: &BlockRequest,
    depthwise: Depthwise,
    gate: ChannelGate,
    shortcut: Shortcut,
) -> Built {
    let kernel = r.kernel()?;
    let hidden = expanded(r, r.input.channels)?;
    let mut b = GraphBuilder::new(r.input);
    let mut y = b.input();
    if hidden != r.input.channels {
        y = b.conv_bn_act("expand", y, ConvSpec::new(hidden, 1), r.activation);
    }
    if depthwise == Depthwise::Single {
        let spec = ConvSpec::depthwise(hidden, kernel).stride(r.stride);
        y = b.conv_bn_act("dw", y, spec, r.activation);
    } else {
        y = stacked_depthwise(&mut b, r, y, hidden, kernel)?;
    }
    if gate == ChannelGate::SqueezeExcite {
        y = squeeze_excite(&mut b, y, hidden, width(hidden as f64 / 4.0));
    }
    let y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, 1));
    let y = add_shortcut(&mut b, r, y, shortcut);
    Ok(b.finish(y))
}

/// The universal inverted bottleneck in two of its four forms, "IB" and "ExtraDW": the first depth-wise
/// convolution has neither stride nor activation.
fn v4(r: &BlockRequest) -> Built {
    let (kernel, hidden) = (r.kernel()?, expanded(r, r.input.channels)?);
    let mut b = GraphBuilder::new(r.input);
    let mut y = b.input();
    match r.axis("start")? {
        0.0 => {}
        1.0 => y = b.conv_bn("start", y, ConvSpec::depthwise(r.input.channels, kernel)),
        value => {
            return Err(OperatorError::BadChoice {
                block: r.block.clone(),
                axis: "start".into(),
                value,
                allowed: "0 or 1".into(),
            });
        }
    }
    y = b.conv_bn_act("expand", y, ConvSpec::new(hidden, 1), r.activation);
    let middle = ConvSpec::depthwise(hidden, kernel).stride(r.stride);
    y = b.conv_bn_act("dw", y, middle, r.activation);
    y = b.conv_bn("project", y, ConvSpec::new(r.out_channels, 1));
    let y = add_shortcut(&mut b, r, y, Shortcut::Projecting);
    Ok(b.finish(y))
}

fn stacked_depthwise(
    b: &mut GraphBuilder,
    r: &BlockRequest,
    mut y: ValueId,
    hidden: usize,
    kernel: usize,
) -> Result<ValueId, OperatorError> {
    if kernel < 3 {
        return Err(OperatorError::BadChoice {
            block: r.block.clone(),
            axis: "kernel".into(),
            value: kernel as f64,
            allowed: "an odd number from 3".into(),
        });
    }
    for index in 0..(kernel - 1) / 2 {
        let stride = if index == 0 { r.stride } else { 1 };
        y = b.conv(&format!("dw{index}"), y, ConvSpec::depthwise(hidden, 3).stride(stride));
    }
    let y = b.batch_norm("dw.bn", y);
    Ok(b.act("dw.act", y, r.activation))
}
