//! Quantization: schemes, placement of quantizers, parameters and integer networks.

mod fold;
mod integer;
mod kernels;
mod pairs;
mod params;
mod placement;
mod quantizer;
mod scheme;

pub use fold::{FloatNetwork, FoldError, IntegerNetwork, IntegerWeights, fold_float, fold_integer};
pub use integer::{IntegerError, OperatorCheck, QuantizedValue, check};
pub use pairs::{largest_scales, pair_bounds, smallest_scales};
pub use params::{FloatWeights, QParams, QuantParams, TensorData, TrainedNetwork};
pub use placement::{ActivationRange, PlacedGraph, PlacementError, ValueQuant, place};
pub use quantizer::{Quantizer, QuantizerError, SMALLEST_SCALE, TensorStats, activation_params};
pub use scheme::{Scheme, WeightRange};

#[cfg(test)]
mod tests {
    use super::{Scheme, WeightRange};
    use crate::graph::{ActivationKind, OpKind};

    pub(super) fn scheme() -> Scheme {
        let follows = |first| [(first, OpKind::Relu), (first, OpKind::Relu6)];
        Scheme {
            name: "test".into(),
            dense_weights: WeightRange::Bits7,
            depthwise_weights: WeightRange::Bits8,
            fused: [follows(OpKind::Conv2d), follows(OpKind::Linear), follows(OpKind::Add)]
                .concat(),
            decomposed: vec![ActivationKind::Swish],
        }
    }
}
