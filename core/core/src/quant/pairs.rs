//! The pair rule of [`WeightRange::PairAware8`](super::WeightRange::PairAware8).
//!
//! Without VNNI, x86 kernels multiply unsigned activations with signed weights and add
//! neighbouring products in 16 bits, with saturation (`vpmaddubsw`). Neighbours are taken along
//! the reduction: kernel row, kernel column, input channel of the group.

use super::{TensorData, WeightRange};

/// A number that is split into its positive and its negative part.
pub trait SignSplit: Copy {
    /// What sums are made of.
    type Sum: Copy + PartialOrd + std::ops::Add<Output = Self::Sum> + Default;
    /// (max(x, 0), max(−x, 0))
    fn parts(self) -> (Self::Sum, Self::Sum);
}

impl SignSplit for f32 {
    type Sum = f32;
    fn parts(self) -> (f32, f32) {
        (self.max(0.0), (-self).max(0.0))
    }
}

impl SignSplit for i8 {
    type Sum = i32;
    fn parts(self) -> (i32, i32) {
        let x = i32::from(self);
        (x.max(0), (-x).max(0))
    }
}

/// Per output channel the largest sum of positive parts, or of negative parts, over neighbouring
/// pairs. `shape` is `out, in, k, k` or `out, in`.
pub fn pair_bounds<T: SignSplit>(data: &[T], shape: &[usize]) -> Vec<T::Sum> {
    let (inputs, area) = (shape[1], shape[2..].iter().product::<usize>());
    let larger = |a: T::Sum, b: T::Sum| if b > a { b } else { a };
    data.chunks(inputs * area)
        .map(|channel| {
            let at = |position: usize| {
                let (pixel, input) = (position / inputs, position % inputs);
                channel[input * area + pixel].parts()
            };
            let length = inputs * area;
            (0..length).step_by(2).fold(T::Sum::default(), |bound, first| {
                let (p0, n0) = at(first);
                let (p1, n1) = if first + 1 < length { at(first + 1) } else { Default::default() };
                larger(larger(bound, p0 + p1), n0 + n1)
            })
        })
        .collect()
}

/// Per output channel the smallest scale at which a weight tensor keeps the range's rule; zero
/// where the rule is clipping alone.
pub fn smallest_scales(weights: &TensorData, range: WeightRange) -> Vec<f32> {
    match range {
        WeightRange::Bits7 | WeightRange::Bits8 => vec![0.0; weights.shape[0]],
        WeightRange::PairAware8 => pair_bounds(&weights.data, &weights.shape)
            .into_iter()
            .map(|bound| bound / 127.0)
            .collect(),
    }
}

/// Per output channel the scale at which the largest weight becomes the range's largest integer,
/// and the range's rule is kept; never zero.
pub fn largest_scales(weights: &TensorData, range: WeightRange) -> Vec<f32> {
    let per_channel = weights.data.len() / weights.shape[0];
    let scale = |(channel, smallest): (&[f32], f32)| {
        let largest = channel.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
        (largest / range.max() as f32).max(smallest).max(f32::MIN_POSITIVE)
    };
    weights.data.chunks(per_channel).zip(smallest_scales(weights, range)).map(scale).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_run_over_input_channels_first() {
        // One output, two inputs, a 1×2 kernel: [in0: a b][in1: c d] pairs (a, c) and (b, d).
        assert_eq!(pair_bounds(&[1.0f32, -8.0, 3.0, -1.0], &[1, 2, 1, 2]), [9.0]);
    }

    #[test]
    fn an_odd_reduction_pairs_over_pixels() {
        assert_eq!(pair_bounds(&[5i8, 6, -7], &[1, 1, 1, 3]), [11]);
    }

    proptest! {
        #[test]
        fn integers_at_the_smallest_scale_keep_the_rule(
            data in prop::collection::vec(-1.0f32..1.0, 36)
        ) {
            let weights = TensorData { shape: vec![2, 2, 3, 3], data };
            let scales = smallest_scales(&weights, WeightRange::PairAware8);
            let integers: Vec<i8> = weights.data.iter().enumerate()
                .map(|(i, w)| (w / scales[i / 18]).round_ties_even().clamp(-127.0, 127.0) as i8)
                .collect();
            prop_assert!(pair_bounds(&integers, &weights.shape).into_iter().all(|b| b <= 128));
        }
    }
}
