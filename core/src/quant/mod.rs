//! Quantization: schemes, placement of quantizers, parameters and integer networks.

mod params;
mod scheme;

pub use params::{FloatWeights, QParams, QuantParams, TensorData, TrainedNetwork};
pub use scheme::{Scheme, WeightRange};
