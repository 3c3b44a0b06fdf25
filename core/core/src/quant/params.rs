//! Scales, zero points and tensors as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PlacedGraph;
use crate::graph::Graph;

/// Affine quantization of an activation: real = (integer − zero_point) · scale, integers 0…255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QParams {
    /// Step size.
    pub scale: f32,
    /// The integer of real zero.
    pub zero_point: u8,
}

impl QParams {
    /// The integer nearest to `x`; ties to even, as ONNX `QuantizeLinear`.
    pub fn quantize(&self, x: f32) -> u8 {
        ((x / self.scale).round_ties_even() + f32::from(self.zero_point)).clamp(0.0, 255.0) as u8
    }

    /// The real value of an integer.
    pub fn dequantize(&self, q: u8) -> f32 {
        (i32::from(q) - i32::from(self.zero_point)) as f32 * self.scale
    }
}

/// A dense tensor of floats.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TensorData {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f32>,
}

/// Weights and statistics by name: `<node>.weight`, `.bias`, `.gamma`, `.beta`, and for batch
/// normalizations also `<node>.mean` and `<node>.var`.
pub type FloatWeights = BTreeMap<String, TensorData>;

/// All quantization parameters of a placed graph.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QuantParams {
    /// Per quantized value, by its name (`input`, else the node that makes it).
    pub activations: BTreeMap<String, QParams>,
    /// Per convolution and linear layer, by node name: one scale per output channel, of the
    /// weights *before* batch normalization is folded in.
    pub weight_scales: BTreeMap<String, Vec<f32>>,
}

/// A network as trained: what is deployed after folding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedNetwork {
    /// The graph without quantizers, from which operations and parameters are counted.
    pub graph: Graph,
    /// The same graph with its quantizers, as the network was trained; its composite activations
    /// are decomposed.
    pub placed: PlacedGraph,
    /// Weights and batch-normalization statistics.
    pub weights: FloatWeights,
    /// Scales and zero points; `None` for a network in floating point.
    pub quant: Option<QuantParams>,
}
