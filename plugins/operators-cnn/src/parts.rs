//! What several blocks share.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Pool, ValueId},
    operators::{BlockRequest, OperatorError},
};

/// Rounds a channel count to the nearest multiple of eight, never below eight and never more
/// than a tenth below `value` (MobileNetV2's reference code).
pub(crate) fn width(value: f64) -> usize {
    let rounded = ((value + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * value { rounded + 8 } else { rounded }
}

pub(crate) fn expanded(request: &BlockRequest, base: usize) -> Result<usize, OperatorError> {
    Ok(width(request.axis("expand")? * base as f64))
}

/// Squeeze and excitation (arXiv 1709.01507) with a hard-sigmoid gate.
pub(crate) fn squeeze_excite(
    b: &mut GraphBuilder,
    x: ValueId,
    channels: usize,
    reduced: usize,
) -> ValueId {
    let gate = b.global_avg_pool("se.squeeze", x);
    let gate = b.conv("se.reduce", gate, ConvSpec::new(reduced, 1).bias());
    let gate = b.act("se.reduce.act", gate, ActivationKind::Relu);
    let gate = b.conv("se.expand", gate, ConvSpec::new(channels, 1).bias());
    let gate = b.act("se.gate", gate, ActivationKind::HSigmoid);
    b.mul("se.scale", x, gate)
}

/// What weighs the channels of an image, each by what the whole image shows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ChannelGate {
    /// Nothing: all of them count alike.
    None,
    /// Squeeze and excitation.
    SqueezeExcite,
}

/// What is added to the main path.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shortcut {
    /// Identity where shapes allow it, else nothing.
    IdentityOnly,
    /// Identity where shapes allow it, else a projecting 1×1 convolution.
    Projecting,
}

/// Whether a block's output has the shape of its input.
pub(crate) fn keeps_shape(request: &BlockRequest) -> bool {
    request.stride == 1 && request.input.channels == request.out_channels
}

/// Maximum pooling in place of a block's stride, where it has one. Its windows overlap, as in ResNet's stem (arXiv
/// 1512.03385, table 1): odd ones, padded by half of themselves, give `size / stride` rounded up for every size, as
/// convolutions do.
pub(crate) fn max_pool(
    b: &mut GraphBuilder,
    name: &str,
    x: ValueId,
    request: &BlockRequest,
) -> ValueId {
    let (stride, padding) = (request.stride, request.stride / 2);
    let pool = Pool { kernel: 2 * padding + 1, stride, padding };
    if stride > 1 { b.node(name, Op::MaxPool(pool), &[x]) } else { x }
}

/// Ends a block: adds the shortcut to `y`.
pub(crate) fn add_shortcut(
    b: &mut GraphBuilder,
    request: &BlockRequest,
    y: ValueId,
    shortcut: Shortcut,
) -> ValueId {
    let x = b.input();
    if keeps_shape(request) {
        b.add("sum", y, x)
    } else if shortcut == Shortcut::Projecting {
        let spec = ConvSpec::new(request.out_channels, 1).stride(request.stride);
        let x = b.conv_bn("shortcut", x, spec);
        b.add("sum", y, x)
    } else {
        y
    }
}

pub(crate) type Built = Result<Graph, OperatorError>;

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn widths_are_multiples_of_eight_and_lose_at_most_a_tenth() {
        for (value, rounded) in
            [(1.0, 8), (11.0, 16), (12.0, 16), (20.0, 24), (36.0, 40), (96.0, 96)]
        {
            assert_eq!(width(value), rounded, "{value}");
        }
    }
}
