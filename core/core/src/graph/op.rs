//! The operators a graph is made of.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::KernelSize;

/// Element-wise non-linearity.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActivationKind {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x · [`HSigmoid`](ActivationKind::HSigmoid)(x), ONNX `HardSwish`
    HSwish,
    /// x · [`Sigmoid`](ActivationKind::Sigmoid)(x), also called SiLU
    Swish,
    /// min(max(x / 6 + 1/2, 0), 1), ONNX `HardSigmoid` with alpha 1/6
    HSigmoid,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

impl ActivationKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Relu, Self::Relu6, Self::HSwish, Self::Swish, Self::HSigmoid, Self::Sigmoid];

    /// The name used in text, TOML and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::HSwish => "h_swish",
            Self::Swish => "swish",
            Self::HSigmoid => "h_sigmoid",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// The function in `f32`, as a runtime computes it.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HSwish => x * Self::HSigmoid.apply(x),
            Self::Swish => x * Self::Sigmoid.apply(x),
            Self::HSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

impl fmt::Display for ActivationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Zero padding in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all four sides.
    pub fn all(pixels: usize) -> Self {
        Self { top: pixels, left: pixels, bottom: pixels, right: pixels }
    }

    /// Half of the window on all sides, which keeps the size where its sides are odd and the stride is 1.
    pub fn same(window: impl Into<KernelSize>) -> Self {
        let KernelSize { rows, columns } = window.into();
        let (rows, columns) = (rows / 2, columns / 2);
        Self { top: rows, left: columns, bottom: rows, right: columns }
    }

    /// Whether all four sides are equal.
    pub fn is_symmetric(&self) -> bool {
        *self == Self::all(self.top)
    }
}

/// Two-dimensional convolution (ONNX `Conv`).
/// Depth-wise where `groups` equals the number of input channels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conv2d {
    /// Output channels.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: KernelSize,
    /// Step in both directions.
    pub stride: usize,
    /// Distance, in both directions, of the pixels that neighbours in the kernel see: 1 where they are
    /// neighbours, too.
    #[serde(default = "neighbours", skip_serializing_if = "are_neighbours")]
    pub dilation: usize,
    /// Zero padding of the input.
    pub padding: Padding,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether a bias per output channel is added.
    pub bias: bool,
}

fn neighbours() -> usize {
    1
}

fn are_neighbours(dilation: &usize) -> bool {
    *dilation == 1
}

/// Window of a pooling operator (square, no padding counted in averages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pool {
    /// Side of the square window.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Padding on all sides.
    pub padding: usize,
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Convolution.
    Conv2d(Conv2d),
    /// Fully connected layer over the flattened input (ONNX `Gemm`).
    Linear {
        /// Output features.
        out_features: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization over channels, with learned scale and shift.
    BatchNorm {
        /// Added to the variance.
        eps: f64,
    },
    /// Element-wise non-linearity.
    Activation {
        /// Which one.
        kind: ActivationKind,
    },
    /// Element-wise sum of two values of one shape.
    Add,
    /// Element-wise product; the second input may be `c×1×1` and is then broadcast.
    Mul,
    /// The channels of two or more values of one height and width, one value after the other (ONNX
    /// `Concat` with axis 1).
    Concat,
    /// Average over a window; padding is not counted.
    AvgPool(Pool),
    /// Maximum over a window.
    MaxPool(Pool),
    /// Average over all positions, keeping `c×1×1`.
    GlobalAvgPool,
    /// Zeroes a share of the elements in training; the identity otherwise.
    Dropout {
        /// The share.
        rate: f64,
    },
}

/// Why an operator cannot be made from its name and attributes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpError {
    /// No operator has this name.
    #[error("unknown operator `{name}`; known are {}", OpKind::ALL.map(OpKind::name).join(", "))]
    UnknownOperator {
        /// The name that was given.
        name: String,
    },
    /// The operator needs an attribute that was not given.
    #[error("missing attribute `{attribute}`")]
    MissingAttribute {
        /// Name of the attribute.
        attribute: String,
    },
    /// The value of an attribute cannot be read.
    #[error("`{attribute}={found}` is not {allowed}")]
    Attribute {
        /// Name of the attribute.
        attribute: String,
        /// The value that was given.
        found: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },
}

/// Where the attributes of an operator are read from, such as a line of text.
pub trait OpAttributes {
    /// `out`, `stride`, `groups`, or `kernel` and `pad` of a pool.
    fn count(&self, attribute: &str) -> Result<usize, OpError>;
    /// `kernel` of a convolution.
    fn kernel(&self) -> Result<KernelSize, OpError>;
    /// `dilation`, which is 1 where nothing is said.
    fn dilation(&self) -> Result<usize, OpError>;
    /// `bias`.
    fn flag(&self, attribute: &str) -> Result<bool, OpError>;
    /// `eps` or `rate`.
    fn number(&self, attribute: &str) -> Result<f64, OpError>;
    /// Padding of a convolution.
    fn padding(&self) -> Result<Padding, OpError>;
}

impl Op {
    /// The operator of this name (that of its [`OpKind`]), with the attributes that it needs.
    pub fn read(name: &str, attributes: &impl OpAttributes) -> Result<Self, OpError> {
        let count = |attribute: &str| attributes.count(attribute);
        let pool = || {
            let (kernel, stride) = (count("kernel")?, count("stride")?);
            Ok::<_, OpError>(Pool { kernel, stride, padding: count("pad")? })
        };
        Ok(match OpKind::named(name)? {
            OpKind::Conv2d => Self::Conv2d(Conv2d {
                out_channels: count("out")?,
                kernel: attributes.kernel()?,
                stride: count("stride")?,
                dilation: attributes.dilation()?,
                padding: attributes.padding()?,
                groups: count("groups")?,
                bias: attributes.flag("bias")?,
            }),
            OpKind::Linear => {
                Self::Linear { out_features: count("out")?, bias: attributes.flag("bias")? }
            }
            OpKind::BatchNorm => Self::BatchNorm { eps: attributes.number("eps")? },
            OpKind::Relu => Self::Activation { kind: ActivationKind::Relu },
            OpKind::Relu6 => Self::Activation { kind: ActivationKind::Relu6 },
            OpKind::HSwish => Self::Activation { kind: ActivationKind::HSwish },
            OpKind::Swish => Self::Activation { kind: ActivationKind::Swish },
            OpKind::HSigmoid => Self::Activation { kind: ActivationKind::HSigmoid },
            OpKind::Sigmoid => Self::Activation { kind: ActivationKind::Sigmoid },
            OpKind::Add => Self::Add,
            OpKind::Mul => Self::Mul,
            OpKind::Concat => Self::Concat,
            OpKind::AvgPool => Self::AvgPool(pool()?),
            OpKind::MaxPool => Self::MaxPool(pool()?),
            OpKind::GlobalAvgPool => Self::GlobalAvgPool,
            OpKind::Dropout => Self::Dropout { rate: attributes.number("rate")? },
        })
    }
}

/// An operator's kind without its attributes, for rules and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum OpKind {
    Conv2d,
    Linear,
    BatchNorm,
    Relu,
    Relu6,
    HSwish,
    Swish,
    HSigmoid,
    Sigmoid,
    Add,
    Mul,
    AvgPool,
    MaxPool,
    GlobalAvgPool,
    Dropout,
    Concat,
}

impl Op {
    /// The kind of this operator.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Conv2d(_) => OpKind::Conv2d,
            Op::Linear { .. } => OpKind::Linear,
            Op::BatchNorm { .. } => OpKind::BatchNorm,
            Op::Activation { kind } => match kind {
                ActivationKind::Relu => OpKind::Relu,
                ActivationKind::Relu6 => OpKind::Relu6,
                ActivationKind::HSwish => OpKind::HSwish,
                ActivationKind::Swish => OpKind::Swish,
                ActivationKind::HSigmoid => OpKind::HSigmoid,
                ActivationKind::Sigmoid => OpKind::Sigmoid,
            },
            Op::Add => OpKind::Add,
            Op::Mul => OpKind::Mul,
            Op::Concat => OpKind::Concat,
            Op::AvgPool(_) => OpKind::AvgPool,
            Op::MaxPool(_) => OpKind::MaxPool,
            Op::GlobalAvgPool => OpKind::GlobalAvgPool,
            Op::Dropout { .. } => OpKind::Dropout,
        }
    }

    /// How many inputs the operator takes, at least and at most.
    pub fn arity(&self) -> RangeInclusive<usize> {
        match self {
            Op::Add | Op::Mul => 2..=2,
            Op::Concat => 2..=usize::MAX,
            _ => 1..=1,
        }
    }
}

impl OpKind {
    /// All kinds, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::Conv2d,
        Self::Linear,
        Self::BatchNorm,
        Self::Relu,
        Self::Relu6,
        Self::HSwish,
        Self::Swish,
        Self::HSigmoid,
        Self::Sigmoid,
        Self::Add,
        Self::Mul,
        Self::AvgPool,
        Self::MaxPool,
        Self::GlobalAvgPool,
        Self::Dropout,
        Self::Concat,
    ];

    /// The kind of this [name](Self::name).
    pub fn named(name: &str) -> Result<Self, OpError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| OpError::UnknownOperator { name: name.to_owned() })
    }

    /// The name in text, TOML and JSON.
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Conv2d => "conv2d",
            OpKind::Linear => "linear",
            OpKind::BatchNorm => "batch_norm",
            OpKind::Relu => "relu",
            OpKind::Relu6 => "relu6",
            OpKind::HSwish => "h_swish",
            OpKind::Swish => "swish",
            OpKind::HSigmoid => "h_sigmoid",
            OpKind::Sigmoid => "sigmoid",
            OpKind::Add => "add",
            OpKind::Mul => "mul",
            OpKind::AvgPool => "avg_pool",
            OpKind::MaxPool => "max_pool",
            OpKind::GlobalAvgPool => "global_avg_pool",
            OpKind::Dropout => "dropout",
            OpKind::Concat => "concat",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ConvSpec;

    /// Graphs that were written before there were dilations are read, and written as they were.
    #[test]
    fn only_dilations_above_one_are_written() {
        let of = |dilation| Op::from(ConvSpec::new(8, 3).dilation(dilation));
        for (dilation, written) in [(1, None), (2, Some(2))] {
            let json = serde_json::to_value(of(dilation)).unwrap();
            assert_eq!(json.get("dilation").and_then(|value| value.as_u64()), written);
            assert_eq!(serde_json::from_value::<Op>(json).unwrap(), of(dilation));
        }
    }

    #[test]
    fn names_are_those_of_json() {
        for (index, kind) in OpKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(OpKind::named(kind.name()), Ok(kind));
        }
    }
}
