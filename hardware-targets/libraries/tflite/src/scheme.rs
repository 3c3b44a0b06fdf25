//! What TFLite's 8-bit quantization specification allows, as a scheme.

use spacewright_core::{
    graph::OpKind,
    quant::{QParams, Rounding, Scheme, WeightRange},
};

/// What the result of `LOGISTIC` always has, as unsigned integers: 0 to 255/256.
pub const SIGMOID: QParams = QParams { scale: 1.0 / 256.0, zero_point: 0 };

/// The scheme `tflite-int8`: activations in 8 bits with one scale and zero point per tensor,
/// weights in full 8 bits with one scale per output channel. ReLU and ReLU6 are parts of the
/// convolution, linear layer, sum or product before them; averages over windows keep the scale of
/// their input, and results of sigmoids have [`SIGMOID`].
///
/// Full 8 bits are exact: ARM's kernels add products in 32 bits (`SDOT`), or in pairs in 16 bits,
/// which 2 · 127 · 128 < 2¹⁵ fits, and those of XNNPACK for x86 multiply in 16 bits or with VNNI.
pub fn scheme() -> Scheme {
    let clamped = |first| [(first, OpKind::Relu), (first, OpKind::Relu6)];
    let fused = [OpKind::Conv2d, OpKind::Linear, OpKind::Add, OpKind::Mul].map(clamped).concat();
    Scheme {
        fused,
        unscaled: vec![OpKind::AvgPool],
        fixed: vec![(OpKind::Sigmoid, SIGMOID)],
        rounding: Rounding::Xnnpack,
        ..Scheme::common("tflite-int8", WeightRange::Bits8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_full_8_bits_and_can_be_computed() {
        let scheme = scheme();
        assert_eq!(scheme.dense_weights, WeightRange::Bits8);
        assert_eq!(scheme.depthwise_weights, WeightRange::Bits8);
        assert_eq!(scheme.check(), Ok(()));
    }
}
