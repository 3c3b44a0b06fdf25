//! What trees ask of a kernel.

use serde::{Deserialize, Serialize};

use spacewright_core::kernel::{Amounts, Kernel};

/// How many features there are.
pub const FEATURES: usize = 10;

/// A number that trees split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Position of the kind in [`Kind::ALL`](spacewright_core::kernel::Kind::ALL).
    Kind,
    /// Side of the window.
    Kernel,
    /// Step of the window.
    Stride,
    /// Rows × columns of the input.
    Pixels,
    /// Input channels.
    Cin,
    /// Output channels.
    Cout,
    /// Multiply-adds.
    Macs,
    /// Elements of the weights.
    Weights,
    /// Elements of the input.
    Input,
    /// Elements of the output.
    Output,
}

impl Feature {
    /// All features, in the order in which trees number them.
    pub const ALL: [Self; FEATURES] = [
        Self::Kind,
        Self::Kernel,
        Self::Stride,
        Self::Pixels,
        Self::Cin,
        Self::Cout,
        Self::Macs,
        Self::Weights,
        Self::Input,
        Self::Output,
    ];
}

/// The features of a kernel. Products above 2²⁴ are rounded, alike in fitting and in predicting.
pub fn features(kernel: &Kernel, amounts: &Amounts) -> [f32; FEATURES] {
    [
        kernel.kind as usize as f32,
        // The side of a square window of as many pixels.
        kernel.taps().sqrt() as f32,
        kernel.stride as f32,
        kernel.height as f32 * kernel.width as f32,
        kernel.cin as f32,
        kernel.cout as f32,
        amounts.macs as f32,
        amounts.weights as f32,
        amounts.input as f32,
        amounts.output as f32,
    ]
}

/// The bin of a value: how many of the ascending `edges` it reaches. Hardware tends to change its
/// ways *from* a round number on, which is often the middle between two others.
pub fn bin(edges: &[f32], value: f32) -> u8 {
    edges.partition_point(|edge| *edge <= value) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use spacewright_core::kernel::Kind;

    #[test]
    fn features_stand_in_their_order() {
        let kernel = Kernel {
            kind: Kind::Dwconv,
            kernel: [5; 2],
            stride: 2,
            height: 4,
            width: 6,
            cin: 8,
            cout: 8,
        };
        let expected = [1.0, 5.0, 2.0, 24.0, 8.0, 8.0, 1200.0, 200.0, 192.0, 48.0];
        assert_eq!(features(&kernel, &kernel.amounts()), expected);
        for (index, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, index);
        }
    }

    #[test]
    fn a_value_on_an_edge_has_reached_it() {
        let edges = [1.5, 3.0];
        assert_eq!([1.0, 1.5, 2.0, 3.0, 4.0].map(|value| bin(&edges, value)), [0, 1, 1, 2, 2]);
    }
}
