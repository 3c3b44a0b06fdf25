//! Convolutions: those of the library, and what is faster on GPUs.

use spacewright_core::{graph::Conv2d, train::TrainError};
use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::kernels::take;

#[allow(unsafe_code, reason = "declares functions of cpp/kernels.cpp and cpp/cuda/depthwise.cpp")]
unsafe extern "C" {
    fn spacewright_channels_last(x: *const C_tensor) -> *mut C_tensor;
    fn spacewright_depthwise(
        x: *const C_tensor,
        w: *const C_tensor,
        stride: i64,
        padding: i64,
    ) -> *mut C_tensor;
}

/// Convolves `x`, `images × channels × height × width`; what comes out has channels innermost.
pub fn convolve(
    x: &Tensor,
    conv: &Conv2d,
    kernel: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TrainError> {
    let pad = conv.padding;
    let x = channels_last(x)?;
    let (padded, sides) = if pad.is_symmetric() {
        (x, pad.top as i64)
    } else {
        let sides = [pad.left, pad.right, pad.top, pad.bottom].map(|side| side as i64);
        (x.constant_pad_nd(sides), 0)
    };
    let stride = conv.stride as i64;
    let is_depthwise = conv.groups > 1 && kernel.size()[..2] == [padded.size()[1], 1];
    if padded.device() != Device::Cpu && is_depthwise && bias.is_none() {
        return depthwise(&padded, kernel, stride, sides);
    }
    if padded.device() != Device::Cpu && conv.kernel == 1 && conv.groups == 1 && sides == 0 {
        return Ok(pointwise(&padded, kernel, bias, stride));
    }
    Ok(padded.conv2d(kernel, bias, [stride, stride], [sides, sides], [1, 1], conv.groups as i64))
}

/// A convolution with one pixel as a product of matrices: libraries look up how to compute one much faster than
/// how to compute a convolution, whose sizes change with each subnet.
fn pointwise(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, stride: i64) -> Tensor {
    let mut x = x.shallow_clone();
    for dimension in [2, 3] {
        if stride > 1 {
            x = x.slice(dimension, None, None, stride);
        }
    }
    x.permute([0, 2, 3, 1]).linear(&kernel.flatten(1, -1), bias).permute([0, 3, 1, 2])
}

/// The same values with channels innermost in memory; `x` has four dimensions.
#[allow(unsafe_code, reason = "calls a kernel with a live tensor")]
fn channels_last(x: &Tensor) -> Result<Tensor, TrainError> {
    // SAFETY: the tensor outlives the call, which does not keep the pointer.
    take("ordering channels last", unsafe { spacewright_channels_last(x.as_ptr()) })
}

/// Convolves each channel of `x` with a kernel of its own, `channels × 1 × rows × columns`.
#[allow(unsafe_code, reason = "calls a kernel with live tensors")]
pub fn depthwise(
    x: &Tensor,
    kernel: &Tensor,
    stride: i64,
    padding: i64,
) -> Result<Tensor, TrainError> {
    // SAFETY: both tensors outlive the call, which does not keep the pointers.
    take("a depth-wise convolution", unsafe {
        spacewright_depthwise(x.as_ptr(), kernel.as_ptr(), stride, padding)
    })
}
