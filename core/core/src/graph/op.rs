//! The operators a graph is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Element-wise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

    /// `kernel / 2` on all sides, which keeps the size of a stride-1 convolution.
    pub fn same(kernel: usize) -> Self {
        Self::all(kernel / 2)
    }

    /// Whether all four sides are equal.
    pub fn is_symmetric(&self) -> bool {
        *self == Self::all(self.top)
    }
}

/// Two-dimensional convolution (ONNX `Conv`, square kernel, dilation 1).
/// Depth-wise where `groups` equals the number of input channels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conv2d {
    /// Output channels.
    pub out_channels: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Zero padding of the input.
    pub padding: Padding,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether a bias per output channel is added.
    pub bias: bool,
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

/// Where the attributes of an operator are read from, such as a line of text.
pub trait OpAttributes {
    /// `out`, `kernel`, `stride`, `groups`, or `pad` of a pool.
    fn count(&self, attribute: &str) -> Result<usize, String>;
    /// `bias`.
    fn flag(&self, attribute: &str) -> Result<bool, String>;
    /// `eps` or `rate`.
    fn number(&self, attribute: &str) -> Result<f64, String>;
    /// Padding of a convolution.
    fn padding(&self) -> Result<Padding, String>;
}

impl Op {
    /// The operator of this name (that of its [`OpKind`]), with the attributes that it needs.
    pub fn read(name: &str, attributes: &impl OpAttributes) -> Result<Self, String> {
        if let Some(kind) = ActivationKind::ALL.into_iter().find(|kind| kind.name() == name) {
            return Ok(Self::Activation { kind });
        }
        let count = |attribute: &str| attributes.count(attribute);
        let pool = || {
            let (kernel, stride) = (count("kernel")?, count("stride")?);
            Ok::<_, String>(Pool { kernel, stride, padding: count("pad")? })
        };
        Ok(match name {
            "conv2d" => Self::Conv2d(Conv2d {
                out_channels: count("out")?,
                kernel: count("kernel")?,
                stride: count("stride")?,
                padding: attributes.padding()?,
                groups: count("groups")?,
                bias: attributes.flag("bias")?,
            }),
            "linear" => {
                Self::Linear { out_features: count("out")?, bias: attributes.flag("bias")? }
            }
            "batch_norm" => Self::BatchNorm { eps: attributes.number("eps")? },
            "add" => Self::Add,
            "mul" => Self::Mul,
            "avg_pool" => Self::AvgPool(pool()?),
            "max_pool" => Self::MaxPool(pool()?),
            "global_avg_pool" => Self::GlobalAvgPool,
            "dropout" => Self::Dropout { rate: attributes.number("rate")? },
            _ => return Err(format!("unknown operator `{name}`")),
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
            Op::AvgPool(_) => OpKind::AvgPool,
            Op::MaxPool(_) => OpKind::MaxPool,
            Op::GlobalAvgPool => OpKind::GlobalAvgPool,
            Op::Dropout { .. } => OpKind::Dropout,
        }
    }

    /// How many inputs the operator takes.
    pub fn arity(&self) -> usize {
        match self {
            Op::Add | Op::Mul => 2,
            _ => 1,
        }
    }
}

impl OpKind {
    /// The name used in text.
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
        }
    }
}
