//! Fake quantization with learned step sizes (LSQ+, arXiv 2004.09576).
//!
//! Computed by hand (`cpp/implementation.hpp`), as composing it from tensor operators takes nearly twice the
//! memory traffic.

use std::ffi::{c_double, c_int};

use spacewright_core::{
    quant::{ActivationRange, QParams, WeightRange},
    train::TrainError,
};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::kernels::take;

#[allow(unsafe_code, reason = "declares the kernels of cpp/fake_quant.cpp")]
unsafe extern "C" {
    fn spacewright_quant_activation(
        x: *const C_tensor,
        scale: *const C_tensor,
        offset: *const C_tensor,
        non_negative: c_int,
        max_scale: c_double,
        factor: c_double,
    ) -> *mut C_tensor;
    fn spacewright_quant_weight(
        w: *const C_tensor,
        scales: *const C_tensor,
        max: i64,
        pairs: c_int,
    ) -> *mut C_tensor;
}

/// Rounds an activation `x` (`batch × …`) to 8-bit unsigned integers and back. `scale` and
/// `offset` have one element. Gradients of both carry the factor 1/√(elements per image · 255).
#[allow(unsafe_code, reason = "calls a kernel with live tensors")]
pub fn activation(
    x: &Tensor,
    scale: &Tensor,
    offset: &Tensor,
    range: ActivationRange,
) -> Result<Tensor, TrainError> {
    let factor = gradient_factor(x);
    let max_scale = range.max_scale().map_or(0.0, f64::from);
    // SAFETY: all three tensors outlive the call, which does not keep the pointers.
    take("fake quantization of an activation", unsafe {
        spacewright_quant_activation(
            x.as_ptr(),
            scale.as_ptr(),
            offset.as_ptr(),
            c_int::from(range.non_negative),
            max_scale,
            factor,
        )
    })
}

/// The factor on gradients of the scale and offset of an activation: 1/√(elements per image · 255).
pub fn gradient_factor(x: &Tensor) -> f64 {
    let per_image = x.numel() as f64 / x.size()[0].max(1) as f64;
    1.0 / (per_image * 255.0).sqrt()
}

/// A tensor of one element on a device, which is not waited for.
pub fn constant(number: f32, device: Device) -> Tensor {
    Tensor::full([1], f64::from(number), (Kind::Float, device))
}

/// The same with parameters that are not trained.
pub fn fixed(x: &Tensor, params: QParams) -> Result<Tensor, TrainError> {
    let offset = -f32::from(params.zero_point) * params.scale;
    let [scale, offset] = [params.scale, offset].map(|number| constant(number, x.device()));
    activation(x, &scale, &offset, ActivationRange::default())
}

/// Rounds weights `w` (`out × in × …`) to integers of `range` and back, with one of `scales` per
/// output channel. Gradients of the scales carry the factor 1/√(weights per channel · max).
#[allow(unsafe_code, reason = "calls a kernel with live tensors")]
pub fn weight(w: &Tensor, scales: &Tensor, range: WeightRange) -> Result<Tensor, TrainError> {
    let pairs = c_int::from(range == WeightRange::PairAware8);
    // SAFETY: both tensors outlive the call, which does not keep the pointers.
    take("fake quantization of weights", unsafe {
        spacewright_quant_weight(w.as_ptr(), scales.as_ptr(), i64::from(range.max()), pairs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spacewright_core::quant::{TensorData, activation_params, smallest_scales};

    fn values(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.flatten(0, -1)).unwrap()
    }

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn an_activation_agrees_with_the_integer_parameters() {
        for range in [
            ActivationRange::default(),
            ActivationRange { non_negative: true, max: None },
            ActivationRange { non_negative: true, max: Some(6.0) },
        ] {
            let x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.021).collect();
            let y =
                activation(&leaf(&x).view([1, -1]), &leaf(&[0.03]), &leaf(&[-2.0]), range).unwrap();
            let params = activation_params(0.03, -2.0, range);
            let expected: Vec<f32> =
                x.iter().map(|&x| params.dequantize(params.quantize(x))).collect();
            assert_eq!(values(&y), expected);
        }
    }

    #[test]
    fn fixed_parameters_get_no_gradients() {
        let params = QParams { scale: 1.0 / 256.0, zero_point: 3 };
        let x = leaf(&[0.1, 0.5004, 2.0, -1.0]);
        let y = fixed(&x.view([1, 4]), params).unwrap();
        let expected = [0.1, 0.5004, 2.0, -1.0].map(|x| params.dequantize(params.quantize(x)));
        assert_eq!(values(&y), expected);
        y.sum(Kind::Float).backward();
        assert_eq!(values(&x.grad()), [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn gradients_of_an_activation_follow_lsq_plus() {
        // In range, below and above; z = 100 at scale 0.1 and offset -10.
        let (x, s, b) = (leaf(&[0.26, -20.0, 40.0]), leaf(&[0.1]), leaf(&[-10.0]));
        let y = activation(&x.view([1, 3]), &s, &b, ActivationRange::default()).unwrap();
        y.sum(Kind::Float).backward();
        let factor = 1.0 / (3.0f32 * 255.0).sqrt();
        assert_eq!(values(&x.grad()), [1.0, 0.0, 0.0]);
        let expected = factor * ((3.0 - 2.6) + 0.0 + 255.0);
        assert!((values(&s.grad())[0] - expected).abs() < 1e-4, "{:?}", values(&s.grad()));
        assert!((values(&b.grad())[0] - 2.0 * factor).abs() < 1e-5);
    }

    #[test]
    fn weights_keep_the_pair_rule_of_the_export() {
        tch::manual_seed(1);
        let w = Tensor::randn([4, 6, 3, 3], (Kind::Float, tch::Device::Cpu));
        let floors = smallest_scales(
            &TensorData { shape: vec![4, 6, 3, 3], data: values(&w) },
            WeightRange::PairAware8,
        );
        let y = weight(&w, &Tensor::from_slice(&[1e-3f32; 4]), WeightRange::PairAware8).unwrap();
        for (channel, (floor, y)) in floors.iter().zip(values(&y).chunks(54)).enumerate() {
            for (value, w) in y.iter().zip(&values(&w)[channel * 54..]) {
                assert!((value - (w / floor).round_ties_even() * floor).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn gradients_of_weights_are_masked_and_scaled() {
        let w = leaf(&[0.5, -9.0]).view([1, 2, 1, 1]);
        let s = leaf(&[0.1]);
        weight(&w, &s, WeightRange::Bits7).unwrap().sum(Kind::Float).backward();
        let expected = (0.0 - 63.0) / (2.0f32 * 63.0).sqrt();
        assert!((values(&s.grad())[0] - expected).abs() < 1e-4, "{:?}", values(&s.grad()));
    }
}
