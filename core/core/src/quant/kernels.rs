//! Integer arithmetic of single operators, on inputs from which the zero point was subtracted.
//!
//! Each function gives, per output element, the position on the output's scale before rounding
//! and without its zero point, with the `f32` operations that ONNX Runtime's CPU kernels use.

use super::{IntegerWeights, QParams};
use crate::graph::{ActivationKind, Conv2d, KernelSize, Padding, Pool, Shape};

/// A quantized value as its kernels read it.
#[derive(Debug, Clone)]
pub(super) struct Centred {
    pub(super) shape: Shape,
    pub(super) params: QParams,
    /// Integer minus zero point.
    pub(super) data: Vec<i32>,
}

impl Centred {
    pub(super) fn new(shape: Shape, params: QParams, integers: &[u8]) -> Self {
        let zero = i32::from(params.zero_point);
        let data = integers.iter().map(|&q| i32::from(q) - zero).collect();
        Self { shape, params, data }
    }
}

/// Sums of a convolution, without bias, channel by channel.
fn accumulate(conv: &Conv2d, weights: &[i8], x: &Centred, out: Shape) -> Vec<i32> {
    let (inputs, area) = (x.shape.channels / conv.groups, x.shape.height * x.shape.width);
    let outputs = conv.out_channels / conv.groups;
    let taps = conv.kernel.taps();
    let mut sums = vec![0i32; out.elements()];
    for (channel, plane) in sums.chunks_mut(out.height * out.width).enumerate() {
        for input in 0..inputs {
            let source = channel / outputs * inputs + input;
            let image = &x.data[source * area..(source + 1) * area];
            for tap in 0..taps {
                let weight = i32::from(weights[(channel * inputs + input) * taps + tap]);
                if weight != 0 {
                    let (row, column) = (tap / conv.kernel.columns, tap % conv.kernel.columns);
                    let offset = (row * conv.dilation, column * conv.dilation);
                    add_tap(conv, offset, weight, image, x, plane);
                }
            }
        }
    }
    sums
}

/// Adds `weight` times the image, shifted by the offset of one tap of the kernel, to a plane of sums.
fn add_tap(
    conv: &Conv2d,
    (row, column): (usize, usize),
    weight: i32,
    image: &[i32],
    x: &Centred,
    plane: &mut [i32],
) {
    if conv.kernel == KernelSize::ONE && conv.stride == 1 && conv.padding == Padding::default() {
        plane.iter_mut().zip(image).for_each(|(sum, x)| *sum = sum.wrapping_add(weight * x));
        return;
    }
    let Shape { height, width, .. } = x.shape;
    let window = conv.kernel.dilated(conv.dilation).columns;
    let out_width = (width + conv.padding.left + conv.padding.right - window) / conv.stride + 1;
    // Columns of the output whose tap lies inside the image.
    let first = conv.padding.left.saturating_sub(column).div_ceil(conv.stride);
    let Some(reach) = (width + conv.padding.left).checked_sub(column + 1) else { return };
    let end = (reach / conv.stride + 1).min(out_width);
    for (y, sums) in plane.chunks_mut(out_width).enumerate() {
        let Some(line) = (y * conv.stride + row).checked_sub(conv.padding.top) else { continue };
        if line >= height || first >= end {
            continue;
        }
        let start = line * width + first * conv.stride + column - conv.padding.left;
        let pixels = image[start..].iter().step_by(conv.stride);
        for (sum, pixel) in sums[first..end].iter_mut().zip(pixels) {
            *sum = sum.wrapping_add(weight * pixel);
        }
    }
}

/// acc · (s_x · s_w / s_y), per output channel.
pub(super) fn requantize(sums: &[i32], w: &IntegerWeights, x: QParams, y: QParams) -> Vec<f32> {
    let area = sums.len() / w.scales.len();
    let mut positions = Vec::with_capacity(sums.len());
    for (sums, scale) in sums.chunks(area).zip(&w.scales) {
        let factor = x.scale * scale / y.scale;
        positions.extend(sums.iter().map(|&sum| sum as f32 * factor));
    }
    positions
}

/// Sums of a convolution, bias included.
pub(super) fn convolution(
    conv: &Conv2d,
    weights: &IntegerWeights,
    x: &Centred,
    out: Shape,
) -> Vec<i32> {
    let mut sums = accumulate(conv, &weights.data, x, out);
    let planes = sums.chunks_mut(out.height * out.width).zip(&weights.bias);
    planes.for_each(|(plane, bias)| {
        plane.iter_mut().for_each(|sum| *sum = sum.wrapping_add(*bias));
    });
    sums
}

/// Sums of a linear layer, bias included.
pub(super) fn linear(weights: &IntegerWeights, x: &Centred) -> Vec<i32> {
    let dot = |(row, &bias): (&[i8], &i32)| -> i32 {
        row.iter().zip(&x.data).map(|(&w, x)| i32::from(w) * x).fold(bias, i32::wrapping_add)
    };
    weights.data.chunks(x.data.len()).zip(&weights.bias).map(dot).collect()
}

pub(super) fn add(a: &Centred, b: &Centred, y: QParams) -> Vec<f32> {
    let (factor_a, factor_b) = (a.params.scale / y.scale, b.params.scale / y.scale);
    let sum = |(&a, &b): (&i32, &i32)| a as f32 * factor_a + b as f32 * factor_b;
    a.data.iter().zip(&b.data).map(sum).collect()
}

pub(super) fn mul(a: &Centred, b: &Centred, y: QParams) -> Vec<f32> {
    let factor = a.params.scale * b.params.scale / y.scale;
    let per_factor = a.data.len() / b.data.len();
    let product = |(index, &a): (usize, &i32)| (a * b.data[index / per_factor]) as f32 * factor;
    a.data.iter().enumerate().map(product).collect()
}

/// A value on another scale, by way of real numbers.
pub(super) fn rescale(x: &Centred, y: QParams) -> Vec<f32> {
    x.data.iter().map(|&q| q as f32 * x.params.scale / y.scale).collect()
}

/// A function in floating point between dequantization and quantization.
pub(super) fn activation(kind: ActivationKind, x: &Centred, y: QParams) -> Vec<f32> {
    x.data.iter().map(|&q| kind.apply(q as f32 * x.params.scale) / y.scale).collect()
}

/// Limits the positions of a fused ReLU or ReLU6; `false` for any other function.
pub(super) fn clamp(kind: ActivationKind, y: QParams, positions: &mut [f32]) -> bool {
    let max = match kind {
        ActivationKind::Relu => f32::INFINITY,
        ActivationKind::Relu6 => 6.0 / y.scale,
        _ => return false,
    };
    positions.iter_mut().for_each(|p| *p = p.clamp(0.0, max));
    true
}

pub(super) fn global_average(x: &Centred, y: QParams) -> Vec<f32> {
    let area = x.shape.height * x.shape.width;
    let factor = x.params.scale / (y.scale * area as f32);
    x.data.chunks(area).map(|plane| plane.iter().sum::<i32>() as f32 * factor).collect()
}

/// Average over the pixels of a window.
pub(super) fn average(window: &[i32], x: QParams, y: QParams) -> f32 {
    let factor = x.scale / y.scale;
    window.iter().sum::<i32>() as f32 * factor / window.len() as f32
}

pub(super) fn max_pool(pool: Pool, x: &Centred, out: Shape, y: QParams) -> Vec<f32> {
    let factor = x.params.scale / y.scale;
    windows(pool, x, out)
        .map(|window| window.iter().copied().max().unwrap_or(0) as f32 * factor)
        .collect()
}

/// The pixels of every window that lie inside the image.
pub(super) fn windows<'a>(
    pool: Pool,
    x: &'a Centred,
    out: Shape,
) -> impl Iterator<Item = Vec<i32>> + 'a {
    let Shape { height, width, .. } = x.shape;
    let range = move |position: usize, limit: usize| {
        let start = position * pool.stride;
        let end = (start + pool.kernel).saturating_sub(pool.padding).min(limit);
        start.saturating_sub(pool.padding)..end
    };
    (0..out.elements()).map(move |index| {
        let (plane, pixel) = (index / (out.height * out.width), index % (out.height * out.width));
        let columns = range(pixel % out.width, width);
        range(pixel / out.width, height)
            .flat_map(|row| {
                let line = (plane * height + row) * width;
                x.data[line + columns.start..line + columns.end].to_vec()
            })
            .collect()
    })
}
