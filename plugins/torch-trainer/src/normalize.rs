//! Batch normalization together with the rectifier and the quantizer that follow it (`cpp/normalize.cpp`):
//! one operator after the other takes twice the memory traffic.

use std::ffi::{c_double, c_int};

use spacewright_core::{
    graph::ActivationKind,
    quant::{ActivationRange, QParams},
    train::TrainError,
};
use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::{
    fake_quant::{constant, gradient_factor},
    kernels::take,
};

#[allow(unsafe_code, reason = "declares the kernels of cpp/normalize.cpp")]
unsafe extern "C" {
    fn spacewright_normalize(
        x: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        gamma: *const C_tensor,
        beta: *const C_tensor,
        scale: *const C_tensor,
        offset: *const C_tensor,
        eps: c_double,
        least: c_double,
        most: c_double,
        non_negative: c_int,
        max_scale: c_double,
        factor: c_double,
    ) -> *mut C_tensor;
}

/// Limits of the values that are let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectifier {
    least: f64,
    most: f64,
}

impl Rectifier {
    /// Lets everything through.
    pub const NONE: Self = Self { least: f64::NEG_INFINITY, most: f64::INFINITY };

    /// The one that an activation is, if it is one.
    pub fn of(kind: ActivationKind) -> Option<Self> {
        match kind {
            ActivationKind::Relu => Some(Self { least: 0.0, ..Self::NONE }),
            ActivationKind::Relu6 => Some(Self { least: 0.0, most: 6.0 }),
            _ => None,
        }
    }
}

/// How a value is rounded to 8-bit unsigned integers and back.
#[derive(Debug)]
pub struct Rounding {
    scale: Tensor,
    offset: Tensor,
    range: ActivationRange,
}

impl Rounding {
    /// With a scale and an offset of one element each, which are trained.
    pub fn learned(scale: &Tensor, offset: &Tensor, range: ActivationRange) -> Self {
        Self { scale: scale.shallow_clone(), offset: offset.shallow_clone(), range }
    }

    /// With parameters that are not trained.
    pub fn fixed(params: QParams, device: Device) -> Self {
        let offset = -f32::from(params.zero_point) * params.scale;
        let [scale, offset] = [params.scale, offset].map(|number| constant(number, device));
        Self { scale, offset, range: ActivationRange::default() }
    }
}

/// What is done with a value of four dimensions, `batch × channels × height × width`.
#[derive(Debug)]
pub struct Normalization<'a> {
    /// Factor of each channel.
    pub gamma: &'a Tensor,
    /// Offset of each channel.
    pub beta: &'a Tensor,
    /// Added to variances.
    pub eps: f64,
    /// What follows.
    pub rectifier: Rectifier,
    /// What follows that.
    pub rounding: Option<Rounding>,
}

impl Normalization<'_> {
    /// By the mean and variance of the batch.
    pub fn by_batch(&self, x: &Tensor) -> Result<Tensor, TrainError> {
        self.compute(x, None)
    }

    /// By a mean and a variance of each channel; without gradients.
    pub fn by(&self, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<Tensor, TrainError> {
        self.compute(x, Some([mean, variance]))
    }

    #[allow(unsafe_code, reason = "calls a kernel with live tensors")]
    fn compute(&self, x: &Tensor, statistics: Option<[&Tensor; 2]>) -> Result<Tensor, TrainError> {
        let [mean, variance] =
            statistics.map_or([std::ptr::null(); 2], |given| given.map(Tensor::as_ptr));
        let (scale, offset, range) = match &self.rounding {
            Some(Rounding { scale, offset, range }) => (scale.as_ptr(), offset.as_ptr(), *range),
            None => (std::ptr::null(), std::ptr::null(), ActivationRange::default()),
        };
        let Self { gamma, beta, eps, rectifier, .. } = *self;
        // SAFETY: all tensors outlive the call, which does not keep the pointers; null stands for none.
        take("batch normalization", unsafe {
            spacewright_normalize(
                x.as_ptr(),
                mean,
                variance,
                gamma.as_ptr(),
                beta.as_ptr(),
                scale,
                offset,
                eps,
                rectifier.least,
                rectifier.most,
                c_int::from(range.non_negative),
                range.max_scale().map_or(0.0, f64::from),
                gradient_factor(x),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::{
        fake_quant,
        testing::{self, randn},
    };

    struct Case {
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        scale: Tensor,
        offset: Tensor,
        upstream: Tensor,
    }

    fn case(shape: [i64; 4]) -> Case {
        let leaf = |tensor: Tensor| tensor.set_requires_grad(true);
        let channels = shape[1];
        Case {
            x: leaf(randn("x", &shape) * 2.0 + 0.5),
            gamma: leaf(randn("gamma", &[channels]).abs() + 0.5),
            beta: leaf(randn("beta", &[channels])),
            scale: leaf(Tensor::from_slice(&[0.011f32])),
            offset: leaf(Tensor::from_slice(&[-1.1f32])),
            upstream: randn("upstream", &shape),
        }
    }

    /// One operator after the other.
    fn composed(
        case: &Case,
        kind: Option<ActivationKind>,
        range: Option<ActivationRange>,
    ) -> Tensor {
        let none = None::<&Tensor>;
        let (gamma, beta) = (Some(&case.gamma), Some(&case.beta));
        let y = case.x.batch_norm(gamma, beta, none, none, true, 0.1, 1e-5, false);
        let y = match kind {
            None => y,
            Some(ActivationKind::Relu) => y.relu(),
            Some(_) => y.clamp(0.0, 6.0),
        };
        match range {
            Some(range) => fake_quant::activation(&y, &case.scale, &case.offset, range).unwrap(),
            None => y,
        }
    }

    fn together(
        case: &Case,
        kind: Option<ActivationKind>,
        range: Option<ActivationRange>,
    ) -> Tensor {
        let rectifier = kind.and_then(Rectifier::of).unwrap_or(Rectifier::NONE);
        let rounding = range.map(|range| Rounding::learned(&case.scale, &case.offset, range));
        let Case { gamma, beta, .. } = case;
        Normalization { gamma, beta, eps: 1e-5, rectifier, rounding }.by_batch(&case.x).unwrap()
    }

    /// Output and gradients of everything.
    fn computed(case: &Case, y: &Tensor) -> Vec<Tensor> {
        let mut leaves = [&case.x, &case.gamma, &case.beta, &case.scale, &case.offset]
            .map(Tensor::shallow_clone);
        leaves.iter_mut().for_each(Tensor::zero_grad);
        (y * &case.upstream).sum(Kind::Float).backward();
        let gradient = |leaf: &Tensor| {
            let gradient = leaf.grad();
            if gradient.defined() { gradient.copy() } else { leaf.zeros_like() }
        };
        std::iter::once(y.detach()).chain(leaves.iter().map(gradient)).collect()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        let size = b.abs().max().double_value(&[]).max(1e-6);
        (a - b).abs().max().double_value(&[]) / size
    }

    /// Shares of elements that differ: where a value lies on the edge between two integers, both are right.
    fn share_that_differs(a: &Tensor, b: &Tensor) -> f64 {
        let size = b.abs().max().double_value(&[]).max(1e-6);
        (a - b).abs().gt(1e-4 * size).to_kind(Kind::Float).mean(Kind::Float).double_value(&[])
    }

    const SHAPES: [[i64; 4]; 5] =
        [[4, 20, 7, 5], [8, 16, 14, 14], [3, 17, 3, 3], [64, 96, 1, 1], [16, 300, 9, 9]];

    #[test]
    fn together_is_as_one_after_the_other() {
        for shape in SHAPES {
            for kind in [None, Some(ActivationKind::Relu), Some(ActivationKind::Relu6)] {
                let case = case(shape);
                let one = computed(&case, &together(&case, kind, None));
                let other = computed(&case, &composed(&case, kind, None));
                for (one, other) in one.iter().zip(&other) {
                    let difference = largest_difference(one, other);
                    assert!(difference < 2e-5, "{shape:?} {kind:?}: {difference}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_as_after_the_others() {
        let ranges = [
            (None, ActivationRange::default()),
            (Some(ActivationKind::Relu), ActivationRange { non_negative: true, max: None }),
            (Some(ActivationKind::Relu6), ActivationRange { non_negative: true, max: Some(6.0) }),
        ];
        for shape in SHAPES {
            for (kind, range) in ranges {
                let case = case(shape);
                let one = computed(&case, &together(&case, kind, Some(range)));
                let other = computed(&case, &composed(&case, kind, Some(range)));
                for (index, (one, other)) in one.iter().zip(&other).enumerate() {
                    match index {
                        0 | 1 => {
                            let share = share_that_differs(one, other);
                            assert!(share < 2e-3, "{shape:?} {kind:?} {index}: {share}");
                        }
                        _ => {
                            let difference = largest_difference(one, other);
                            assert!(difference < 0.02, "{shape:?} {kind:?} {index}: {difference}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn given_statistics_are_used_as_they_are() {
        let case = case([4, 20, 7, 5]);
        let mean = randn("mean", &[20]);
        let variance = &case.gamma.detach() * 2.0;
        let Case { x, gamma, beta, .. } = &case;
        let rectifier = Rectifier::of(ActivationKind::Relu).unwrap();
        let one = Normalization { gamma, beta, eps: 1e-5, rectifier, rounding: None };
        let one = tch::no_grad(|| one.by(x, &mean, &variance)).unwrap();
        let statistics = (Some(&mean), Some(&variance));
        let affine = (Some(gamma), Some(beta));
        let other =
            x.batch_norm(affine.0, affine.1, statistics.0, statistics.1, false, 0.1, 1e-5, false);
        assert!(largest_difference(&one, &other.relu()) < 1e-5);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let bits = |threads: i32| {
            let case = case([16, 48, 14, 14]);
            let range = ActivationRange { non_negative: true, max: None };
            testing::with_threads(threads, || {
                computed(&case, &together(&case, Some(ActivationKind::Relu), Some(range)))
            })
        };
        for (one, two) in bits(1).iter().zip(bits(2)) {
            assert!(one.equal(&two));
        }
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        let mut case = case([4, 16, 4, 4]);
        case.x = Tensor::full_like(&case.x.detach(), f64::NAN);
        let range = ActivationRange { non_negative: true, max: None };
        for range in [None, Some(range)] {
            let y = together(&case, Some(ActivationKind::Relu), range);
            assert!(y.sum(Kind::Float).double_value(&[]).is_nan());
        }
    }
}
