//! Weights whose products saturate on x86 processors without VNNI, which add products of unsigned
//! activations and signed weights in pairs in 16 bits.

use std::collections::HashMap;

use spacewright_core::quant::pair_bounds;

use super::types::ElementTypes;
use crate::proto::{GraphProto, NodeProto, TensorProto, data_type};

/// Largest sum of a pair of weights of one sign: 255 times it is still below 2¹⁵.
const MOST: i32 = 128;

/// Whether some sum of two products of a node, of any 8-bit activations with its weights, does not
/// fit into 16 bits. `read` gives the bytes of a constant.
pub(super) struct Saturation<'g> {
    types: &'g ElementTypes<'g>,
    constants: HashMap<&'g str, &'g TensorProto>,
    made_by: HashMap<&'g str, &'g NodeProto>,
}

impl<'g> Saturation<'g> {
    pub(super) fn new(graph: &'g GraphProto, types: &'g ElementTypes<'g>) -> Self {
        let outputs = |node: &'g NodeProto| node.output.iter().map(move |o| (o.as_str(), node));
        Self {
            types,
            constants: graph.initializer.iter().map(|c| (c.name.as_str(), c)).collect(),
            made_by: graph.node.iter().flat_map(outputs).collect(),
        }
    }

    /// Whether sums of a node can saturate; `read` gives the bytes of a constant.
    pub(super) fn of(&self, node: &NodeProto, read: impl Fn(&TensorProto) -> Vec<u8>) -> bool {
        let (values, weights) = match node.op_type.as_str() {
            "QLinearConv" | "QLinearMatMul" | "QGemm" => (0, 3),
            "ConvInteger"
            | "MatMulInteger"
            | "MatMulIntegerToFloat"
            | "DynamicQuantizeMatMul"
            | "Conv"
            | "MatMul"
            | "Gemm" => (0, 1),
            _ => return false,
        };
        let name = |at: usize| self.integers(node.input.get(at)?);
        let (Some(values), Some(weights)) = (name(values), name(weights)) else { return false };
        let quantizes = node.op_type == "DynamicQuantizeMatMul";
        if !quantizes && self.types.get(values) != Some(data_type::UINT8) {
            return false;
        }
        let weights = self.constants.get(weights).filter(|w| w.data_type == data_type::INT8);
        weights.is_some_and(|weights| saturates(node, &weights.dims, &read(weights)))
    }

    /// The integers behind a value: itself, or what a conversion to real numbers reads.
    fn integers<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        match self.made_by.get(name) {
            Some(maker) if maker.op_type == "DequantizeLinear" => {
                maker.input.first().map(String::as_str)
            }
            _ => Some(name),
        }
    }
}

fn saturates(node: &NodeProto, dims: &[i64], bytes: &[u8]) -> bool {
    let sizes: Option<Vec<usize>> = dims.iter().map(|size| usize::try_from(*size).ok()).collect();
    let Some(sizes) = sizes else { return false };
    let elements = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if elements != Some(bytes.len()) || bytes.is_empty() {
        return false;
    }
    let number = |name: &str| node.attribute.iter().find(|a| a.name == name).map_or(0, |a| a.i);
    let weights: Vec<i8> = bytes.iter().map(|byte| *byte as i8).collect();
    let is_convolution = node.op_type.contains("Conv");
    let (weights, shape) = match sizes[..] {
        // The kernels for one channel a group, read and made, add in 32 bits.
        [made, 1, ..] if is_convolution && made > 1 && number("group") as usize == made => {
            return false;
        }
        [_, _, ..] if is_convolution => (weights, sizes),
        [rows, columns] if number("transB") == 0 => {
            let at = |i: usize| weights[i % rows * columns + i / rows];
            ((0..weights.len()).map(at).collect(), vec![columns, rows])
        }
        [_, _] => (weights, sizes),
        _ => return false,
    };
    pair_bounds(&weights, &shape).into_iter().any(|bound| bound > MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::AttributeProto;

    fn check(op: &str, group: i64, dims: &[i64], weights: &[i8], expected: bool) {
        let group = AttributeProto { name: "group".into(), i: group, ..Default::default() };
        let node = NodeProto { op_type: op.into(), attribute: vec![group], ..Default::default() };
        let bytes: Vec<u8> = weights.iter().map(|w| w.to_le_bytes()[0]).collect();
        assert_eq!(saturates(&node, dims, &bytes), expected, "{op} {dims:?} {weights:?}");
    }

    #[test]
    fn pairs_of_one_sign_may_sum_to_128() {
        check("QLinearConv", 1, &[1, 2, 1, 1], &[64, 64], false);
        check("QLinearConv", 1, &[1, 2, 1, 1], &[64, 65], true);
        check("QLinearConv", 1, &[1, 2, 1, 1], &[127, -127], false);
        check("Conv", 1, &[1, 2, 1, 1], &[-128, -1], true);
        check("Conv", 2, &[2, 1, 1, 2], &[127, 127, 127, 127], false);
        // Two channels made of each that is read: ONNX Runtime multiplies matrices.
        check("Conv", 2, &[4, 1, 1, 2], &[127; 8], true);
    }

    #[test]
    fn matrices_are_paired_along_what_is_summed() {
        check("MatMulInteger", 1, &[2, 2], &[127, 1, 1, 127], false);
        check("MatMulInteger", 1, &[2, 2], &[127, 1, 127, 1], true);
        check("MatMulInteger", 1, &[3, 2], &[1; 5], false);
        check("MatMulInteger", 1, &[-1, 2], &[127; 2], false);
        check("MatMulInteger", 1, &[0, 2], &[], false);
    }
}
