//! Quantizers: from tensor statistics to scales and zero points.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ActivationRange, QParams, WeightRange};
use crate::call::{ContractError, Reason};

/// Statistics of an activation over a calibration set, or of one channel's weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TensorStats {
    /// Smallest element.
    pub min: f32,
    /// Largest element.
    pub max: f32,
    /// Mean of absolute values.
    pub mean_abs: f32,
}

/// Why a quantizer gave no parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("quantizer `{quantizer}`: {reason}")]
pub struct QuantizerError {
    /// Name of the quantizer.
    pub quantizer: String,
    /// What went wrong.
    pub reason: Reason,
}

impl QuantizerError {
    /// An error of the quantizer of this name, from a sentence.
    pub fn new(quantizer: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { quantizer: quantizer.into(), reason: reason.into() }
    }
}

impl ContractError for QuantizerError {
    fn reason_mut(&mut self) -> Option<&mut Reason> {
        Some(&mut self.reason)
    }
}

/// Chooses scales and zero points within what a target's scheme allows.
pub trait Quantizer: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// Whether its answers are only where training starts.
    fn learnable(&self) -> bool;

    /// Scale and offset of activations: real values from `offset` on are represented, in 255
    /// steps of `scale`. One answer per item.
    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError>;

    /// Scale of each output channel of a weight tensor.
    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError>;
}

/// The integer parameters of a real scale and offset, within a range: zero is exact
/// (z = clamp(round(−offset / scale), 0, 255)), and z = 0 where the value is never negative.
pub fn activation_params(scale: f32, offset: f32, range: ActivationRange) -> QParams {
    let scale = scale.abs().max(SMALLEST_SCALE).min(range.max_scale().unwrap_or(f32::INFINITY));
    let zero_point = if range.non_negative {
        0
    } else {
        (-offset / scale).round_ties_even().clamp(0.0, 255.0) as u8
    };
    QParams { scale, zero_point }
}

/// Floor of every scale, far below any that is learned.
pub const SMALLEST_SCALE: f32 = 1e-7;
