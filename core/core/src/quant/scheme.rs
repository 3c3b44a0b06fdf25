//! What quantization a target's hardware and runtime allow.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::QParams;
use crate::graph::{ActivationKind, OpKind};

/// Integers that a weight tensor may hold; always symmetric with one scale per output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRange {
    /// −63…63: exact also where products are added in pairs in 16 bits.
    Bits7,
    /// −127…127.
    Bits8,
    /// −127…127, where additionally the positive and the negative parts of neighbouring pairs, in
    /// the order (row, column, input channel) of the reduction, sum to at most 128: exact in 16
    /// bits with activations up to 255, as 255 · 128 < 2¹⁵.
    PairAware8,
}

impl WeightRange {
    /// The largest integer.
    pub fn max(self) -> i32 {
        match self {
            Self::Bits7 => 63,
            Self::Bits8 | Self::PairAware8 => 127,
        }
    }
}

/// How a runtime turns sums of products into 8-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Scaled in `f32`, then to the nearest integer, ties to even: ONNX Runtime.
    #[default]
    Float,
    /// TFLite files on XNNPACK, which scales in `f32` too, but what is concatenated by factors of
    /// 8 bits after the point; hard-swish and activations that are operators of their own run in
    /// [`FixedPoint`](Self::FixedPoint), and hard-sigmoid is a convolution.
    Xnnpack,
    /// In integers of 32 bits with multipliers in fixed point (gemmlowp): TFLite's reference
    /// kernels.
    FixedPoint,
}

impl Rounding {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A target's quantization scheme, as data: activations are 8-bit unsigned with one scale and
/// zero point per tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Name, part of the key of tables and models.
    pub name: String,
    /// Weights of dense and grouped convolutions and of linear layers.
    pub dense_weights: WeightRange,
    /// Weights of depth-wise convolutions that make as many channels as they read; a multiplier makes them grouped ones.
    pub depthwise_weights: WeightRange,
    /// Pairs of operators that the runtime fuses: no quantizer on the value between them, if the
    /// second is the only reader of the first.
    pub fused: Vec<(OpKind, OpKind)>,
    /// Activations that are computed from smaller operators, each quantized: Swish as Sigmoid
    /// and Mul.
    pub decomposed: Vec<ActivationKind>,
    /// Operators whose result keeps the scale and zero point of their input, besides the maximum
    /// of windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unscaled: Vec<OpKind>,
    /// Operators whose result has these parameters, which are not trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<(OpKind, QParams)>,
    /// How its runtime rounds.
    #[serde(default, skip_serializing_if = "Rounding::is_default")]
    pub rounding: Rounding,
}

impl Scheme {
    /// Quantizers where common runtimes fuse: a ReLU or ReLU6 disappears into the convolution,
    /// linear layer or sum before it, and Swish is computed as Sigmoid and Mul. Depth-wise
    /// convolutions have 8-bit weights.
    pub fn common(name: impl Into<String>, dense_weights: WeightRange) -> Self {
        let clamped = |first| [(first, OpKind::Relu), (first, OpKind::Relu6)];
        Self {
            name: name.into(),
            dense_weights,
            depthwise_weights: WeightRange::Bits8,
            fused: [OpKind::Conv2d, OpKind::Linear, OpKind::Add].map(clamped).concat(),
            decomposed: vec![ActivationKind::Swish],
            unscaled: Vec::new(),
            fixed: Vec::new(),
            rounding: Rounding::Float,
        }
    }

    /// Checks that networks can be computed by the scheme.
    pub fn check(&self) -> Result<(), SchemeError> {
        let is_scale = |scale: f32| scale.is_finite() && scale > 0.0;
        let unusable = self.fixed.iter().find(|(_, params)| !is_scale(params.scale));
        if let Some(&(operator, QParams { scale, .. })) = unusable {
            return Err(SchemeError::FixedScale { operator, scale });
        }
        let with_several_inputs =
            |operator: &&OpKind| matches!(operator, OpKind::Add | OpKind::Mul | OpKind::Concat);
        if let Some(&operator) = self.unscaled.iter().find(with_several_inputs) {
            return Err(SchemeError::SeveralInputs { operator });
        }
        let with_weights = |operator: &&OpKind| {
            matches!(operator, OpKind::Conv2d | OpKind::Linear | OpKind::BatchNorm)
        };
        if let Some(&operator) = self.unscaled.iter().find(with_weights) {
            return Err(SchemeError::UnscaledWeights { operator });
        }
        let is_fused =
            |operator: &&OpKind| self.fused.iter().any(|(_, second)| second == *operator);
        if let Some(&operator) = self.unscaled.iter().find(is_fused) {
            return Err(SchemeError::UnscaledFused { operator });
        }
        // The integers of a fused operator are clamped to the range of what follows, and only
        // these two functions do nothing else.
        let is_clamp = |operator| matches!(operator, OpKind::Relu | OpKind::Relu6);
        match self.fused.iter().find(|(_, second)| !is_clamp(*second)) {
            Some(&(first, second)) => Err(SchemeError::Fused { first, second }),
            None => Ok(()),
        }
    }
}

/// Why networks cannot be computed by a [`Scheme`].
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum SchemeError {
    /// In the field `fixed`.
    #[error("{}: the fixed scale {scale} is not a positive number", operator.name())]
    FixedScale {
        /// The operator whose result has that scale.
        operator: OpKind,
        /// The scale.
        scale: f32,
    },
    /// In the field `unscaled`: an operator that cannot keep the scale of its input.
    #[error("{} has several inputs, whose scales differ", operator.name())]
    SeveralInputs {
        /// The operator.
        operator: OpKind,
    },
    /// In the field `unscaled`: an operator whose weights change the scale.
    #[error("{} has weights, which give its result another scale than its input has", operator.name())]
    UnscaledWeights {
        /// The operator.
        operator: OpKind,
    },
    /// In the field `unscaled`: an operator before which, fused, there is no scale that it could keep.
    #[error("{} is fused with what it follows, so that its input has no scale to keep", operator.name())]
    UnscaledFused {
        /// The operator.
        operator: OpKind,
    },
    /// In the field `fused`: a pair that does more than clamp the first one's result.
    #[error(
        "{} with {}: only relu and relu6 can follow in a fused operator",
        first.name(),
        second.name()
    )]
    Fused {
        /// The operator that comes first.
        first: OpKind,
        /// The operator that follows it.
        second: OpKind,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_no_network_can_be_computed_by_are_refused() {
        let common = || Scheme::common("common", WeightRange::Bits8);
        assert_eq!(common().check(), Ok(()));
        for scale in [0.0, -1.0, f32::INFINITY] {
            let fixed = vec![(OpKind::Sigmoid, QParams { scale, zero_point: 0 })];
            let refused = Err(SchemeError::FixedScale { operator: OpKind::Sigmoid, scale });
            assert_eq!(Scheme { fixed, ..common() }.check(), refused);
        }
        let fixed = vec![(OpKind::Sigmoid, QParams { scale: f32::NAN, zero_point: 0 })];
        assert!(Scheme { fixed, ..common() }.check().is_err());
        for (operator, refused) in [
            (OpKind::AvgPool, Ok(())),
            (OpKind::Add, Err(SchemeError::SeveralInputs { operator: OpKind::Add })),
            (OpKind::Conv2d, Err(SchemeError::UnscaledWeights { operator: OpKind::Conv2d })),
            (OpKind::Relu, Err(SchemeError::UnscaledFused { operator: OpKind::Relu })),
        ] {
            assert_eq!(Scheme { unscaled: vec![operator], ..common() }.check(), refused);
        }
    }
}
