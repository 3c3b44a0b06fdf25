//! Kernels: what a runtime launches.
//!
//! A runtime computes a graph as a sequence of kernels: a convolution with its batch
//! normalization and activation is one of them. [`FusionRules`] say, as data, which operators a
//! target computes together, and a [`KernelReader`] lists the kernels of a graph.

mod extract;
mod nodes;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::graph::OpKind;

pub use extract::KernelReader;
pub use rules::{FusionError, FusionRules, Gate};

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
    /// Call of the runtime with an input of this shape: conversion, change of layout.
    Entry,
    /// Return from the runtime with an output of this shape.
    Exit,
    /// Channels of several feature maps as one; its input is all of them together.
    Concat,
}

impl Kind {
    /// All kinds, in the order of declaration.
    pub const ALL: [Self; 13] = [
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
        Self::Entry,
        Self::Exit,
        Self::Concat,
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
            Self::Entry => "entry",
            Self::Exit => "exit",
            Self::Concat => "concat",
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
            OpKind::Concat => Self::Concat,
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
            Self::Gap | Self::Se | Self::Concat => &[Self::Act, Self::Add],
            Self::Entry | Self::Exit => &[],
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
    /// Rows and columns of the window; 1 where there is none. That its pixels may lie apart (dilation) is taken to
    /// cost nothing.
    pub kernel: [u32; 2],
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
        Self { kind, kernel: [1; 2], stride: 1, height, width, cin: channels, cout: channels }
    }

    /// Pixels of the window.
    pub fn taps(&self) -> f64 {
        f64::from(self.kernel[0]) * f64::from(self.kernel[1])
    }

    /// What the kernel computes and moves.
    pub fn amounts(&self) -> Amounts {
        let out = |size: u32| f64::from(size.div_ceil(self.stride.max(1)));
        let pixels = out(self.height) * out(self.width);
        let taps = self.taps();
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
            match self.kernel {
                [rows, columns] if rows == columns => write!(f, "-k{rows}s{}", self.stride)?,
                [rows, columns] => write!(f, "-k{rows}x{columns}s{}", self.stride)?,
            }
        }
        write!(f, " {}x{} {}", self.height, self.width, self.cin)?;
        if self.cout != self.cin || matches!(self.kind, Kind::Conv | Kind::Fc | Kind::Se) {
            write!(f, "->{}", self.cout)?;
        }
        Ok(())
    }
}
