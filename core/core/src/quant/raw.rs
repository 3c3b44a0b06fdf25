//! What an operator of an integer network gives before its result is rounded and limited.

use super::{IntegerWeights, QParams, QuantizedValue, fixed_point, kernels};
use crate::graph::ActivationKind;

/// The result of an operator before zero point and limits: where each element lies, and its
/// integer where rounding is in fixed point.
pub(super) struct Raw {
    pub(super) positions: Vec<f32>,
    pub(super) integers: Option<Vec<i32>>,
}

impl Raw {
    pub(super) fn of_sums(
        sums: &[i32],
        w: &IntegerWeights,
        x: QParams,
        y: QParams,
        fixed: bool,
    ) -> Self {
        Self {
            positions: kernels::requantize(sums, w, x, y),
            integers: fixed.then(|| fixed_point::requantize(sums, w, x, y)),
        }
    }

    /// The parts one after the other.
    pub(super) fn joined(parts: impl Iterator<Item = Self>) -> Self {
        let parts = parts.map(|part| (part.positions, part.integers));
        let (positions, integers): (Vec<Vec<f32>>, Vec<Option<Vec<i32>>>) = parts.unzip();
        let integers: Option<Vec<Vec<i32>>> = integers.into_iter().collect();
        Self { positions: positions.concat(), integers: integers.map(|parts| parts.concat()) }
    }

    /// Limits the result of a fused function; `false` where it is none that only limits.
    pub(super) fn clamp(&mut self, kind: ActivationKind, y: QParams) -> bool {
        let known = kernels::clamp(kind, y, &mut self.positions);
        known && self.integers.as_mut().is_none_or(|q| fixed_point::clamp(kind, y, q))
    }

    pub(super) fn finish(self, y: QParams) -> QuantizedValue {
        let mut value = QuantizedValue::round(self.positions, y);
        if let Some(integers) = self.integers {
            let zero = i32::from(y.zero_point);
            let limited = |q: i32| q.saturating_add(zero).clamp(0, 255) as u8;
            value.integers = integers.into_iter().map(limited).collect();
        }
        value
    }
}
