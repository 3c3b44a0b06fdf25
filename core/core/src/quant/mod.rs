//! Quantization: schemes, placement of quantizers, parameters and integer networks.

mod fixed_point;
mod fold;
mod integer;
mod kernels;
mod pairs;
mod params;
mod placement;
mod quantizer;
mod raw;
mod scheme;

pub use fold::{FloatNetwork, FoldError, IntegerNetwork, IntegerWeights, fold_float, fold_integer};
pub use integer::{IntegerError, OperatorCheck, QuantizedValue, check};
pub use pairs::{largest_scales, pair_bounds, smallest_scales};
pub use params::{FloatWeights, QParams, QuantParams, TensorData, TrainedNetwork};
pub use placement::{ActivationRange, PlacedGraph, PlacementError, ValueQuant, place};
pub use quantizer::{Quantizer, QuantizerError, SMALLEST_SCALE, TensorStats, activation_params};
pub use scheme::{Rounding, Scheme, SchemeError, WeightRange};

#[cfg(test)]
pub(crate) mod tests {
    use super::{Scheme, WeightRange};

    pub(crate) fn scheme() -> Scheme {
        Scheme::common("test", WeightRange::Bits7)
    }
}
