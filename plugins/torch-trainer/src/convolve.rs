//! Convolutions: those of the library, and what is faster.

use spacewright_core::{
    graph::{Conv2d, KernelSize},
    train::TrainError,
};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::kernels::take;

#[allow(
    unsafe_code,
    reason = "declares functions of cpp/kernels.cpp, strided.cpp, cuda/depthwise.cpp"
)]
unsafe extern "C" {
    fn spacewright_channels_last(x: *const C_tensor) -> *mut C_tensor;
    fn spacewright_depthwise(
        x: *const C_tensor,
        w: *const C_tensor,
        stride: i64,
        padding: i64,
    ) -> *mut C_tensor;
    fn spacewright_strided(
        x: *const C_tensor,
        w: *const C_tensor,
        stride: i64,
        padding: i64,
    ) -> *mut C_tensor;
}

/// Convolves `x`, `images × channels × height × width`, with a `kernel` of `out × in / groups × rows × columns` and one
/// number of `bias` for each output channel, as training does; what comes out has channels innermost in memory. The
/// convolution gives stride, dilation, padding and groups.
///
/// # Errors
///
/// [`TrainError::Computation`] if a kernel fails.
pub fn convolve(
    x: &Tensor,
    conv: &Conv2d,
    kernel: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TrainError> {
    let pad = conv.padding;
    let x = channels_last(x)?;
    let (padded, sides) = if pad.top == pad.bottom && pad.left == pad.right {
        (x, [pad.top as i64, pad.left as i64])
    } else {
        let sides = [pad.left, pad.right, pad.top, pad.bottom].map(|side| side as i64);
        (x.constant_pad_nd(sides), [0, 0])
    };
    let (stride, dilation) = (conv.stride as i64, conv.dilation as i64);
    let is_depthwise = conv.groups > 1 && kernel.size()[..2] == [padded.size()[1], 1];
    let is_square = conv.kernel.is_square() && sides[0] == sides[1] && dilation == 1;
    let on_gpu = padded.device() != Device::Cpu;
    if on_gpu && is_depthwise && is_square && bias.is_none() {
        return depthwise(&padded, kernel, stride, sides[0]);
    }
    if on_gpu && conv.kernel == KernelSize::ONE && conv.groups == 1 && sides == [0, 0] {
        return Ok(pointwise(&padded, kernel, bias, stride));
    }
    let is_plain = conv.groups == 1 && sides[0] == sides[1] && dilation == 1 && bias.is_none();
    if !on_gpu && stride > 1 && is_plain {
        return strided(&padded, kernel, stride, sides[0]);
    }
    let groups = conv.groups as i64;
    let by_library = |x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>| {
        x.conv2d(kernel, bias, [stride; 2], sides, [dilation; 2], groups)
    };
    let short = padded.kind();
    if on_gpu || !is_depthwise || short == Kind::Float {
        return Ok(by_library(&padded, kernel, bias));
    }
    // Its depth-wise gradients take the processor several times as long in half precision as in single.
    let bias = bias.map(|bias| bias.to_kind(Kind::Float));
    let [x, kernel] = [&padded, kernel].map(|factor| factor.to_kind(Kind::Float));
    Ok(by_library(&x, &kernel, bias.as_ref()).to_kind(short))
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

/// Convolves `x` with dense kernels, `out × in × rows × columns`, `stride` pixels apart, on the processor: as the
/// library does, but for the gradient of `x`.
#[allow(unsafe_code, reason = "calls a kernel with live tensors")]
fn strided(x: &Tensor, kernel: &Tensor, stride: i64, padding: i64) -> Result<Tensor, TrainError> {
    // SAFETY: both tensors outlive the call, which does not keep the pointers.
    take("a strided convolution", unsafe {
        spacewright_strided(x.as_ptr(), kernel.as_ptr(), stride, padding)
    })
}

#[cfg(test)]
mod tests {
    use spacewright_core::graph::{ConvSpec, Op, Padding};
    use tch::Kind;

    use super::*;
    use crate::testing::{self, randn};

    fn convolved(x: &Tensor, spec: ConvSpec, kernel: &Tensor) -> Tensor {
        let Op::Conv2d(conv) = spec.into() else { unreachable!() };
        convolve(x, &conv, kernel, None).unwrap()
    }

    /// A window whose pixels lie apart, or that has more columns than rows, is a dense square one with zeros.
    #[test]
    fn windows_may_be_wide_and_their_pixels_apart() {
        let x = randn("x", &[2, 6, 11, 13]);
        let uneven = Padding { top: 0, left: 3, bottom: 2, right: 1 };
        for (groups, stride, padding) in
            [(1, 1, Padding::all(2)), (2, 2, uneven), (6, 1, Padding::same([3, 5])), (6, 2, uneven)]
        {
            let kernel = randn("kernel", &[6, 6 / groups as i64, 2, 3]);
            let dense = Tensor::zeros([6, 6 / groups as i64, 5, 5], (tch::Kind::Float, x.device()));
            for row in 0..2 {
                for column in 0..3 {
                    let mut place = dense.narrow(2, 2 * row, 1).narrow(3, 2 * column, 1);
                    place.copy_(&kernel.narrow(2, row, 1).narrow(3, column, 1));
                }
            }
            let spec = |kernel: [usize; 2]| ConvSpec::new(6, kernel).groups(groups).stride(stride);
            let apart = convolved(&x, spec([2, 3]).dilation(2).padding(padding), &kernel);
            // The last two rows of the dense window are zeros.
            let longer = Padding { bottom: padding.bottom + 2, ..padding };
            let filled = convolved(&x, spec([5, 5]).padding(longer), &dense);
            assert_eq!(apart.size(), filled.size());
            let difference = (&apart - &filled).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{difference} in groups of {groups}");
        }
    }

    /// Gradients of the input and the kernel, where each output has a random gradient.
    fn gradients(
        x: &Tensor,
        kernel: &Tensor,
        by: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> [Tensor; 2] {
        let [x, kernel] = [x, kernel].map(|tensor| tensor.detach().set_requires_grad(true));
        let y = by(&x, &kernel);
        (&y * testing::randn("upstream", &y.size())).sum(Kind::Float).backward();
        [x.grad(), kernel.grad()]
    }

    #[test]
    fn gradients_of_strided_convolutions_are_those_of_the_library() {
        for (channels, side, kernel, stride, padding) in [
            (1, [32, 32], 3, 2, 1),
            (20, [9, 12], 3, 2, 1),
            (7, [8, 8], 1, 2, 0),
            (5, [11, 7], 2, 3, 1),
        ] {
            let x = randn("x", &[5, channels, side[0], side[1]]);
            let w = randn("kernel", &[6, channels, kernel, kernel]);
            let spec = || ConvSpec::new(6, kernel as usize).stride(stride as usize);
            let ours =
                |x: &Tensor, w: &Tensor| convolved(x, spec().padding(Padding::all(padding)), w);
            let library = |x: &Tensor, w: &Tensor| {
                let none = None::<&Tensor>;
                x.conv2d(w, none, [stride; 2], [padding as i64; 2], [1, 1], 1)
            };
            let expected = gradients(&x, &w, library);
            for threads in [1, 2] {
                let computed = testing::with_threads(threads, || gradients(&x, &w, ours));
                for (computed, expected) in computed.iter().zip(&expected) {
                    let difference = (computed - expected).abs().max().double_value(&[]);
                    let size = expected.abs().max().double_value(&[]);
                    assert!(difference < 1e-5 * size, "{kernel} {stride}: {difference} of {size}");
                }
            }
        }
    }

    #[test]
    fn short_depthwise_convolutions_are_rounded_once() {
        let [x, w] = [randn("x", &[4, 6, 9, 9]), randn("kernel", &[6, 1, 3, 3])]
            .map(|tensor| tensor.to_kind(Kind::BFloat16));
        let [exact_x, exact_w] = [&x, &w].map(|tensor| tensor.to_kind(Kind::Float));
        let spec = || ConvSpec::depthwise(6, 3).stride(2).padding(Padding::all(1));
        let by = |x: &Tensor, w: &Tensor| convolved(x, spec(), w);
        assert_eq!(by(&x, &w), by(&exact_x, &exact_w).to_kind(Kind::BFloat16));
        let (short, exact) = (gradients(&x, &w, by), gradients(&exact_x, &exact_w, by));
        for (short, exact) in short.iter().zip(&exact) {
            assert_eq!(short.kind(), Kind::BFloat16);
            let difference = (short - exact).abs().max().double_value(&[]);
            assert!(difference < 0.01 * exact.abs().max().double_value(&[]), "{difference}");
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        for (images, inputs) in [(64, 24), (64, 1), (9, 24), (1, 24)] {
            let x = randn("x", &[images, inputs, 16, 16]);
            let w = randn("kernel", &[32, inputs, 3, 3]);
            let bits = |threads: i32| {
                let spec = ConvSpec::new(32, 3).stride(2).padding(Padding::all(1));
                let ours = |x: &Tensor, w: &Tensor| convolved(x, spec.clone(), w);
                let [x, _] = testing::with_threads(threads, || gradients(&x, &w, ours));
                x
            };
            assert!(bits(1).equal(&bits(2)), "{images} images of {inputs} channels");
        }
    }
}
