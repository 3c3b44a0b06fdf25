//! The operators of the study.

use std::{collections::BTreeSet, fmt};

use serde::{Serialize, Serializer};
use spacewright_core::graph::{
    ActivationKind, ConvSpec, Graph, GraphBuilder, GraphError, Op, Pool, ValueId,
};

/// Channels per group of a [`Operator::GroupedConv`].
pub const GROUP: usize = 16;

/// An operator as a runtime computes it: a convolution comes with its batch normalization and
/// ReLU. All keep the shape of their input, so that they can be chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// Dense convolution and ReLU: `conv1x1`, `conv3x3`.
    Conv {
        /// Side of the square kernel.
        kernel: usize,
    },
    /// Convolution in groups of [`GROUP`] channels, and ReLU: `gconv3x3`.
    GroupedConv {
        /// Side of the square kernel.
        kernel: usize,
    },
    /// Depth-wise convolution and ReLU: `dwconv3x3`.
    DepthwiseConv {
        /// Side of the square kernel.
        kernel: usize,
    },
    /// Hard-swish alone: `h_swish`.
    HSwish,
    /// Swish alone: `swish`.
    Swish,
    /// Squeeze and excitation with a quarter of the channels and a hard-sigmoid gate: `se`.
    SqueezeExcite,
    /// Sum of two values: `add`.
    Add,
    /// Average over windows that overlap: `avg_pool3x3`.
    AvgPool {
        /// Side of the square window.
        kernel: usize,
    },
    /// Maximum over windows that overlap: `max_pool3x3`.
    MaxPool {
        /// Side of the square window.
        kernel: usize,
    },
}

impl Operator {
    /// What [`Plan::quick`](crate::Plan::quick) and [`Plan::full`](crate::Plan::full) profile.
    pub const STUDIED: [Self; 12] = [
        Self::Conv { kernel: 1 },
        Self::Conv { kernel: 3 },
        Self::GroupedConv { kernel: 3 },
        Self::DepthwiseConv { kernel: 3 },
        Self::DepthwiseConv { kernel: 5 },
        Self::DepthwiseConv { kernel: 7 },
        Self::HSwish,
        Self::Swish,
        Self::SqueezeExcite,
        Self::Add,
        Self::AvgPool { kernel: 3 },
        Self::MaxPool { kernel: 3 },
    ];

    /// Side of its kernel or window, if it has one.
    pub fn kernel(self) -> Option<usize> {
        match self {
            Self::Conv { kernel }
            | Self::GroupedConv { kernel }
            | Self::DepthwiseConv { kernel }
            | Self::AvgPool { kernel }
            | Self::MaxPool { kernel } => Some(kernel),
            Self::HSwish | Self::Swish | Self::SqueezeExcite | Self::Add => None,
        }
    }

    /// The operators that a graph consists of, whatever their strides and groups. ReLU belongs to
    /// the operator before it. What is computed from a global pool belongs to squeeze and
    /// excitation, or to a head, and does not count by itself.
    pub fn in_graph(graph: &Graph) -> Result<BTreeSet<Self>, GraphError> {
        let shapes = graph.shapes()?;
        let mut pooled = vec![false; shapes.len()];
        let mut found = BTreeSet::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let all = node.inputs.iter().all(|input| pooled[input.index()]);
            pooled[index + 1] = all || node.op == Op::GlobalAvgPool;
            if pooled[index + 1] {
                continue;
            }
            let gated = node.inputs.iter().any(|input| pooled[input.index()]);
            let channels = shapes[node.inputs[0].index()].channels;
            found.extend(match node.op {
                // What is not square, or lies apart, is not profiled.
                Op::Conv2d(ref conv) if !conv.kernel.is_square() || conv.dilation != 1 => None,
                Op::Conv2d(ref conv) => {
                    let kernel = conv.kernel.rows;
                    Some(match conv.groups {
                        1 => Self::Conv { kernel },
                        groups if groups == channels => Self::DepthwiseConv { kernel },
                        _ => Self::GroupedConv { kernel },
                    })
                }
                Op::Activation { kind: ActivationKind::HSwish } => Some(Self::HSwish),
                Op::Activation { kind: ActivationKind::Swish } => Some(Self::Swish),
                Op::Mul if gated => Some(Self::SqueezeExcite),
                Op::Add => Some(Self::Add),
                Op::AvgPool(pool) => Some(Self::AvgPool { kernel: pool.kernel }),
                Op::MaxPool(pool) => Some(Self::MaxPool { kernel: pool.kernel }),
                _ => None,
            });
        }
        Ok(found)
    }

    /// Appends the operator for `width` channels. It reads `x`, and a sum the value before it,
    /// too. Names of nodes begin with `name`.
    pub(crate) fn append(
        self,
        b: &mut GraphBuilder,
        name: &str,
        [before, x]: [ValueId; 2],
        width: usize,
    ) -> ValueId {
        let conv = |b: &mut GraphBuilder, spec| b.conv_bn_act(name, x, spec, ActivationKind::Relu);
        let pool = |kernel: usize| Pool { kernel, stride: 1, padding: kernel / 2 };
        match self {
            Self::Conv { kernel } => conv(b, ConvSpec::new(width, kernel)),
            Self::GroupedConv { kernel } => {
                conv(b, ConvSpec::new(width, kernel).groups(width / GROUP))
            }
            Self::DepthwiseConv { kernel } => conv(b, ConvSpec::depthwise(width, kernel)),
            Self::HSwish => b.act(name, x, ActivationKind::HSwish),
            Self::Swish => b.act(name, x, ActivationKind::Swish),
            Self::SqueezeExcite => squeeze_excite(b, name, x, width),
            Self::Add => b.add(name, x, before),
            Self::AvgPool { kernel } => b.node(name, Op::AvgPool(pool(kernel)), &[x]),
            Self::MaxPool { kernel } => b.node(name, Op::MaxPool(pool(kernel)), &[x]),
        }
    }
}

fn squeeze_excite(b: &mut GraphBuilder, name: &str, x: ValueId, width: usize) -> ValueId {
    let part = |part: &str| format!("{name}.{part}");
    let reduced = (width / 4).max(1);
    let gate = b.global_avg_pool(&part("squeeze"), x);
    let gate = b.conv(&part("reduce"), gate, ConvSpec::new(reduced, 1).bias());
    let gate = b.act(&part("reduce.act"), gate, ActivationKind::Relu);
    let gate = b.conv(&part("expand"), gate, ConvSpec::new(width, 1).bias());
    let gate = b.act(&part("gate"), gate, ActivationKind::HSigmoid);
    b.mul(&part("scale"), x, gate)
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Conv { .. } => "conv",
            Self::GroupedConv { .. } => "gconv",
            Self::DepthwiseConv { .. } => "dwconv",
            Self::HSwish => "h_swish",
            Self::Swish => "swish",
            Self::SqueezeExcite => "se",
            Self::Add => "add",
            Self::AvgPool { .. } => "avg_pool",
            Self::MaxPool { .. } => "max_pool",
        };
        match self.kernel() {
            Some(kernel) => write!(f, "{name}{kernel}x{kernel}"),
            None => f.write_str(name),
        }
    }
}

impl Serialize for Operator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::graph::Shape;

    use super::*;

    fn names_in(b: GraphBuilder, output: ValueId) -> String {
        let found = Operator::in_graph(&b.finish(output)).unwrap();
        found.iter().map(Operator::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn operators_of_blocks_are_found() {
        let mut b = GraphBuilder::new(Shape::square(16, 14));
        let x = b.input();
        let y = b.conv_bn_act("expand", x, ConvSpec::new(64, 1), ActivationKind::HSwish);
        let y = b.conv_bn_act("dw", y, ConvSpec::depthwise(64, 5), ActivationKind::HSwish);
        let y = squeeze_excite(&mut b, "se", y, 64);
        let y = b.conv_bn("project", y, ConvSpec::new(16, 1));
        let y = b.add("sum", y, x);
        assert_eq!(names_in(b, y), "conv1x1 dwconv5x5 h_swish se add");

        let mut b = GraphBuilder::new(Shape::square(16, 14));
        let y = b.conv_bn_act("dw", b.input(), ConvSpec::depthwise(16, 7), ActivationKind::Relu);
        let y = b.conv_bn_act("pw", y, ConvSpec::new(24, 1), ActivationKind::Relu6);
        assert_eq!(names_in(b, y), "conv1x1 dwconv7x7");
    }

    #[test]
    fn grouped_convolutions_and_pools_are_found_with_their_kernels() {
        let graph: Graph = "input 32x8x8\n\
            c = conv2d(input) out=32 kernel=5 stride=2 pad=2,2,2,2 groups=2 bias=false\n\
            a = avg_pool(c) kernel=2 stride=2 pad=0\n\
            m = max_pool(a) kernel=3 stride=1 pad=1\n\
            s = swish(m)\n\
            p = global_avg_pool(s)\n\
            h = h_swish(p)\n\
            output h"
            .parse()
            .unwrap();
        let names: Vec<String> =
            Operator::in_graph(&graph).unwrap().iter().map(Operator::to_string).collect();
        assert_eq!(names, ["gconv5x5", "swish", "avg_pool2x2", "max_pool3x3"]);
    }
}
