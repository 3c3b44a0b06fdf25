//! TFLite's reference kernels: requantization in integers, after gemmlowp.
//!
//! A real factor is a 32-bit integer and a power of two; a product is rounded once to the upper
//! 32 bits and once by the shift, so that a result can differ from the nearest integer. Each
//! function gives integers less the output's zero point, before they are limited, as
//! `reference_integer_ops` computes them.

use super::{IntegerWeights, QParams, kernels::Centred};
use crate::graph::ActivationKind;

/// A positive factor as multiplier · 2^(shift − 31), the multiplier in [2³⁰, 2³¹).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Multiplier {
    multiplier: i32,
    shift: i32,
}

impl Multiplier {
    /// `QuantizeMultiplier`.
    fn of(factor: f64) -> Self {
        if factor <= 0.0 {
            return Self { multiplier: 0, shift: 0 };
        }
        let mut shift = factor.log2().floor() as i32 + 1;
        // The logarithm is rounded: put the mantissa back into [1/2, 1).
        while factor / f64::from(shift).exp2() >= 1.0 {
            shift += 1;
        }
        while factor / f64::from(shift).exp2() < 0.5 {
            shift -= 1;
        }
        let mut mantissa = (factor / f64::from(shift).exp2() * f64::from(2.0f32.powi(31))).round();
        if mantissa >= 2f64.powi(31) {
            (mantissa, shift) = (mantissa / 2.0, shift + 1);
        }
        if shift < -31 {
            return Self { multiplier: 0, shift: 0 };
        }
        Self { multiplier: mantissa as i32, shift }
    }

    /// `MultiplyByQuantizedMultiplier`.
    fn apply(self, x: i32) -> i32 {
        let left = x.wrapping_shl(self.shift.max(0) as u32);
        rounding_shift(doubling_high(left, self.multiplier), -self.shift.min(0))
    }
}

/// The upper half of twice the product, rounded: `SaturatingRoundingDoublingHighMul`.
fn doubling_high(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

/// Division by a power of two to the nearest, ties away from zero: `RoundingDivideByPOT`. TFLite
/// has no negative exponents; here they multiply, as far as 32 bits go.
fn rounding_shift(x: i32, exponent: i32) -> i32 {
    if exponent < 0 {
        let product = i64::from(x) << (-exponent).min(31);
        return product.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    }
    let mask = ((1i64 << exponent) - 1) as i32;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from((x & mask) > threshold)
}

fn scale(params: QParams) -> f64 {
    f64::from(params.scale)
}

/// Sums of a convolution or linear layer, bias included, channel by channel.
pub(super) fn requantize(sums: &[i32], w: &IntegerWeights, x: QParams, y: QParams) -> Vec<i32> {
    let area = sums.len() / w.scales.len();
    let channels = sums.chunks(area).zip(&w.scales);
    channels
        .flat_map(|(sums, &weight)| {
            let factor = Multiplier::of(scale(x) * f64::from(weight) / scale(y));
            sums.iter().map(move |&sum| factor.apply(sum))
        })
        .collect()
}

/// Both inputs on a common scale with 20 more bits, then their sum.
pub(super) fn add(a: &Centred, b: &Centred, y: QParams) -> Vec<i32> {
    const MORE: u32 = 20;
    let twice = 2.0 * scale(a.params).max(scale(b.params));
    let [left, right] = [a, b].map(|x| Multiplier::of(scale(x.params) / twice));
    let result = Multiplier::of(twice / (f64::from(1 << MORE) * scale(y)));
    let sum = |(&a, &b): (&i32, &i32)| result.apply(left.apply(a << MORE) + right.apply(b << MORE));
    a.data.iter().zip(&b.data).map(sum).collect()
}

pub(super) fn mul(a: &Centred, b: &Centred, y: QParams) -> Vec<i32> {
    let factor = Multiplier::of(f64::from(a.params.scale * b.params.scale / y.scale));
    let per_factor = a.data.len() / b.data.len();
    let product = |(index, &a): (usize, &i32)| factor.apply(a * b.data[index / per_factor]);
    a.data.iter().enumerate().map(product).collect()
}

/// The number of elements is part of the factor, with as many bits as fit.
pub(super) fn global_average(x: &Centred, y: QParams) -> Vec<i32> {
    let area = x.shape.height * x.shape.width;
    let Multiplier { multiplier, shift } = Multiplier::of(scale(x.params) / scale(y));
    let more = (area as u64).ilog2() as i32;
    let more = more.min(32).min(31 + shift);
    let multiplier = ((i64::from(multiplier) << more) / area as i64) as i32;
    let factor = Multiplier { multiplier, shift: shift - more };
    x.data.chunks(area).map(|plane| factor.apply(plane.iter().sum())).collect()
}

/// Of the integers themselves, ties away from their zero, which is 128 here.
pub(super) fn average(window: &[i32], x: QParams) -> i32 {
    let offset = i32::from(x.zero_point) - 128;
    let count = window.len() as i32;
    let sum = window.iter().map(|x| x + offset).sum::<i32>();
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    (sum + half) / count - offset
}

/// A value on another scale, such as under a ReLU that is an operator of its own.
pub(super) fn rescale(x: &Centred, y: QParams) -> Vec<i32> {
    let factor = Multiplier::of(f64::from(x.params.scale / y.scale));
    x.data.iter().map(|&x| factor.apply(x)).collect()
}

/// `QUANTIZE` from one scale to another.
pub(super) fn quantize(x: &Centred, y: QParams) -> Vec<i32> {
    let factor = Multiplier::of(scale(x.params) / scale(y));
    x.data.iter().map(|&x| factor.apply(x)).collect()
}

/// The same in XNNPACK, whose factor has 8 bits after the point and one rounding, ties up; it leaves factors
/// that are too small or too large for that to TFLite.
pub(super) fn quantize_xnnpack(x: &Centred, y: QParams) -> Vec<i32> {
    const BITS: u32 = 8;
    let factor = x.params.scale / y.scale;
    if !(1.0 / 256.0..=128.0).contains(&factor) {
        return quantize(x, y);
    }
    let factor = (factor * (1 << BITS) as f32).round_ties_even() as i32;
    x.data.iter().map(|&x| (x * factor + (1 << (BITS - 1))) >> BITS).collect()
}

/// x · (x + 3) limited to 0…6, / 6, in 16 bits.
pub(super) fn hard_swish(x: &Centred, y: QParams) -> Vec<i32> {
    const MORE: i32 = 7;
    let fine = x.params.scale / (1 << MORE) as f32;
    let result = Multiplier::of(f64::from(fine / y.scale));
    let gate = Multiplier::of(f64::from(fine / (3.0 / 32768.0)));
    let (factor, gate_factor) = (upper_half(result.multiplier), upper_half(gate.multiplier));
    let one = |&x: &i32| {
        let fine = (x << MORE) as i16;
        let value = doubling_high_16(fine, factor);
        let mut open = fine;
        if gate.shift > 0 {
            open = saturating_shift(open, gate.shift - 1);
        }
        open = doubling_high_16(open, gate_factor);
        if gate.shift > 0 {
            open = saturating_shift(open, 1);
        }
        if gate.shift < 0 {
            open = rounding_shift(i32::from(open), -gate.shift) as i16;
        }
        let open = ((i32::from(open) + (1 << 15)) >> 1) as i16;
        let product = (i32::from(open) * i32::from(value) / (1 << 15)) as i16;
        rounding_shift(i32::from(product), -result.shift)
    };
    x.data.iter().map(one).collect()
}

/// A 32-bit multiplier in 16 bits.
fn upper_half(multiplier: i32) -> i16 {
    ((i64::from(multiplier) + (1 << 15)) >> 16).min(i64::from(i16::MAX)) as i16
}

fn doubling_high_16(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    ((product + nudge) / (1 << 15)) as i16
}

fn saturating_shift(x: i16, amount: i32) -> i16 {
    let shifted = i64::from(x) << amount.min(31);
    shifted.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// Limits integers less their zero point as a fused ReLU or ReLU6 does; `false` for any other
/// function.
pub(super) fn clamp(kind: ActivationKind, y: QParams, integers: &mut [i32]) -> bool {
    let max = match kind {
        ActivationKind::Relu => i32::MAX,
        ActivationKind::Relu6 => (6.0 / y.scale).round() as i32,
        _ => return false,
    };
    integers.iter_mut().for_each(|q| *q = (*q).clamp(0, max));
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::Shape;

    fn centred(data: Vec<i32>, scale: f32) -> Centred {
        let shape = Shape::new(1, 1, data.len());
        Centred { shape, params: QParams { scale, zero_point: 0 }, data }
    }

    #[test]
    fn a_result_on_a_far_finer_scale_saturates() {
        let y = QParams { scale: 1e-4, zero_point: 0 };
        assert!(hard_swish(&centred(vec![255], 1.0), y)[0] > 255);
    }

    #[test]
    fn a_mean_is_rounded_twice() {
        // 102 / 42 · 2.2546 = 5.48, by way of 43.8 and 44 / 8.
        let x = Centred { shape: Shape::new(1, 6, 7), ..centred(vec![102], 0.013532011) };
        let x = Centred { data: [vec![102], vec![0; 41]].concat(), ..x };
        let y = QParams { scale: 0.006001881, zero_point: 0 };
        assert_eq!(global_average(&x, y), [6]);
    }

    #[test]
    fn multipliers_have_31_bits() {
        assert_eq!(Multiplier::of(1.0), Multiplier { multiplier: 1 << 30, shift: 1 });
        assert_eq!(Multiplier::of(0.75), Multiplier { multiplier: 3 << 29, shift: 0 });
        assert_eq!(Multiplier::of(0.0), Multiplier { multiplier: 0, shift: 0 });
    }

    #[test]
    fn ties_are_rounded_twice() {
        let half = Multiplier::of(0.5);
        // One rounding: the product already is the result, ties go up.
        assert_eq!([-3, -1, 1, 3].map(|x| half.apply(x)), [-1, 0, 1, 2]);
        // Two roundings: 1.25 becomes 2.5, then 3 instead of 2.
        assert_eq!(rounding_shift(5, 1), 3);
        assert_eq!(rounding_shift(-5, 1), -3);
    }

    #[test]
    fn scales_differ_by_eight_bits_in_xnnpack() {
        // 230 / 256 stands for 0.9, and 227.3 for 227.7.
        let (y, x) = (QParams { scale: 1.0, zero_point: 0 }, centred(vec![253, 3, -3], 0.9));
        assert_eq!(quantize_xnnpack(&x, y), [227, 3, -3]);
        assert_eq!(quantize(&x, y), [228, 3, -3]);
        let x = Centred { params: QParams { scale: 0.5, zero_point: 0 }, ..x };
        assert_eq!(quantize_xnnpack(&x, y), [127, 2, -1]);
        assert_eq!(quantize(&x, y), [127, 2, -1]);
        let x = Centred { params: QParams { scale: 0.003, zero_point: 0 }, ..x };
        assert_eq!(quantize_xnnpack(&x, y), [1, 0, 0]);
    }

    #[test]
    fn averages_are_rounded_away_from_their_own_zero() {
        let x = |zero_point| QParams { scale: 1.0, zero_point };
        // As signed integers 1 and 2, then -1 and -2.
        assert_eq!(average(&[1, 2], x(128)), 2);
        assert_eq!(average(&[-1, -2], x(128)), -2);
        assert_eq!(average(&[129, 130], x(0)), 130);
    }

    proptest! {
        #[test]
        fn a_product_is_within_a_step(x in -1_000_000i32..1_000_000, factor in 1e-6f64..1.9) {
            let exact = f64::from(x) * factor;
            let found = f64::from(Multiplier::of(factor).apply(x));
            prop_assert!((found - exact).abs() <= 1.0 + exact.abs() * 1e-9, "{found} {exact}");
        }

        #[test]
        fn sums_follow_the_real_numbers(
            a in -255i32..255, b in -255i32..255, s in 0.001f32..1.0, t in 0.001f32..1.0,
        ) {
            let y = QParams { scale: s.max(t) * 2.0, zero_point: 0 };
            let found = add(&centred(vec![a], s), &centred(vec![b], t), y)[0];
            let exact = (a as f32 * s + b as f32 * t) / y.scale;
            prop_assert!((found as f32 - exact).abs() <= 0.501, "{found} {exact}");
        }

        #[test]
        fn hard_swish_follows_the_real_function(q in -255i32..255, s in 0.005f32..0.1) {
            let y = QParams { scale: s * 0.9, zero_point: 0 };
            let found = hard_swish(&centred(vec![q], s), y)[0];
            let exact = ActivationKind::HSwish.apply(q as f32 * s) / y.scale;
            prop_assert!((found as f32 - exact).abs() <= 1.1, "{found} {exact}");
        }
    }
}
