//! Kernels: what a runtime launches, and what is counted of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use spacewright_core::graph::OpKind;

/// What a kernel computes. Batch normalization and, in most runtimes, ReLU belong to the kernel
/// before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Dense or grouped convolution.
    Conv,
    /// Depth-wise convolution.
    Dwconv,
    /// Sum of two feature maps.
    Add,
    /// Squeeze and excitation as a whole: pooling, two small layers, the gate and the product.
    Se,
    /// Function of single elements that nothing absorbs.
    Act,
    /// Global average pooling.
    Gap,
    /// Fully connected layer.
    Fc,
    /// Product of two feature maps, or of a map and one factor per channel.
    Mul,
    /// Maximum over windows.
    MaxPool,
    /// Average over windows.
    AvgPool,
}

impl Kind {
    /// All kinds, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Conv,
        Self::Dwconv,
        Self::Add,
        Self::Se,
        Self::Act,
        Self::Gap,
        Self::Fc,
        Self::Mul,
        Self::MaxPool,
        Self::AvgPool,
    ];

    /// The name used in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Dwconv => "dwconv",
            Self::Add => "add",
            Self::Se => "se",
            Self::Act => "act",
            Self::Gap => "gap",
            Self::Fc => "fc",
            Self::Mul => "mul",
            Self::MaxPool => "max_pool",
            Self::AvgPool => "avg_pool",
        }
    }

    /// The kernel of an operator that stands alone. [`OpKind::Conv2d`] counts as dense.
    pub fn of(op: OpKind) -> Self {
        match op {
            OpKind::Conv2d => Self::Conv,
            OpKind::Linear => Self::Fc,
            OpKind::Add => Self::Add,
            OpKind::Mul => Self::Mul,
            OpKind::MaxPool => Self::MaxPool,
            OpKind::AvgPool => Self::AvgPool,
            OpKind::GlobalAvgPool => Self::Gap,
            OpKind::BatchNorm
            | OpKind::Relu
            | OpKind::Relu6
            | OpKind::HSwish
            | OpKind::Swish
            | OpKind::HSigmoid
            | OpKind::Sigmoid
            | OpKind::Dropout => Self::Act,
        }
    }

    /// Kinds whose times are likely to be similar, nearest first: they stand in for one that no
    /// measurement shows.
    pub fn relatives(self) -> &'static [Self] {
        match self {
            Self::Fc => &[Self::Conv],
            Self::Conv => &[Self::Fc],
            Self::Dwconv => &[Self::AvgPool, Self::MaxPool, Self::Conv],
            Self::MaxPool => &[Self::AvgPool, Self::Dwconv],
            Self::AvgPool => &[Self::MaxPool, Self::Dwconv],
            Self::Add => &[Self::Mul, Self::Act],
            Self::Mul => &[Self::Add, Self::Act],
            Self::Act => &[Self::Mul, Self::Add],
            Self::Gap | Self::Se => &[Self::Act, Self::Add],
        }
    }

    fn has_window(self) -> bool {
        matches!(self, Self::Conv | Self::Dwconv | Self::MaxPool | Self::AvgPool)
    }
}

/// One kernel. Sizes are those of its *input*; its output has ⌈size / stride⌉ rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kernel {
    /// What is computed.
    pub kind: Kind,
    /// Side of the square window; 1 where there is none.
    pub kernel: u32,
    /// Step in both directions; 1 where there is no window.
    pub stride: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Input channels; those of one group where a convolution has groups of several channels.
    pub cin: u32,
    /// Output channels; the reduced width of [`Kind::Se`].
    pub cout: u32,
}

/// Amounts of work and of data, as `f64` so that no product overflows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amounts {
    /// Positions of the output: rows × columns.
    pub pixels: f64,
    /// Multiply-adds for one image.
    pub macs: f64,
    /// Elements of the weights.
    pub weights: f64,
    /// Elements of the input.
    pub input: f64,
    /// Elements of the output.
    pub output: f64,
}

impl Kernel {
    /// A kernel without a window, on maps of one shape.
    pub fn pointwise(kind: Kind, height: u32, width: u32, channels: u32) -> Self {
        Self { kind, kernel: 1, stride: 1, height, width, cin: channels, cout: channels }
    }

    /// What the kernel computes and moves.
    pub fn amounts(&self) -> Amounts {
        let out = |size: u32| f64::from(size.div_ceil(self.stride.max(1)));
        let pixels = out(self.height) * out(self.width);
        let taps = f64::from(self.kernel) * f64::from(self.kernel);
        let (cin, cout) = (f64::from(self.cin), f64::from(self.cout));
        let input = f64::from(self.height) * f64::from(self.width) * cin;
        let (macs, weights) = match self.kind {
            Kind::Conv | Kind::Fc => (pixels * cin * cout * taps, cin * cout * taps),
            Kind::Dwconv => (pixels * cout * taps, cout * taps),
            Kind::Se => (2.0 * cin * cout, 2.0 * cin * cout),
            _ => (0.0, 0.0),
        };
        let output = if self.kind == Kind::Se { input } else { pixels * cout };
        Amounts { pixels, macs, weights, input, output }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.kind.has_window() {
            write!(f, "-k{}s{}", self.kernel, self.stride)?;
        }
        write!(f, " {}x{} {}", self.height, self.width, self.cin)?;
        if self.cout != self.cin || matches!(self.kind, Kind::Conv | Kind::Fc | Kind::Se) {
            write!(f, "->{}", self.cout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONV: Kernel =
        Kernel { kind: Kind::Conv, kernel: 3, stride: 2, height: 57, width: 57, cin: 24, cout: 48 };

    #[test]
    fn kernels_have_names() {
        let se = Kernel { cout: 24, ..Kernel::pointwise(Kind::Se, 14, 14, 96) };
        for (kernel, name) in [
            (CONV, "conv-k3s2 57x57 24->48"),
            (Kernel { kind: Kind::Dwconv, cout: 24, ..CONV }, "dwconv-k3s2 57x57 24"),
            (Kernel::pointwise(Kind::Add, 14, 14, 96), "add 14x14 96"),
            (se, "se 14x14 96->24"),
        ] {
            assert_eq!(kernel.to_string(), name);
        }
    }

    #[test]
    fn work_and_data_are_counted() {
        let of = |kind| {
            let a = Kernel { kind, ..CONV }.amounts();
            [a.pixels, a.macs, a.weights, a.input, a.output]
        };
        let input = 57.0 * 57.0 * 24.0;
        let pixels = 29.0 * 29.0;
        let weights = 24.0 * 48.0 * 9.0;
        assert_eq!(of(Kind::Conv), [pixels, pixels * weights, weights, input, pixels * 48.0]);
        let weights = 48.0 * 9.0;
        assert_eq!(of(Kind::Dwconv), [pixels, pixels * weights, weights, input, pixels * 48.0]);
        assert_eq!(of(Kind::Add), [pixels, 0.0, 0.0, input, pixels * 48.0]);
        assert_eq!(of(Kind::Se)[1..], [2304.0, 2304.0, input, input]);
    }

    #[test]
    fn names_are_those_of_json() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
