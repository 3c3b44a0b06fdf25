//! Weights as constants of an ONNX graph.

use std::collections::BTreeMap;

use spacewright_core::quant::{FloatWeights, IntegerWeights};

use super::{WriteError, onnx_graph::OnnxGraph};

#[derive(Clone, Copy)]
pub(super) enum Weights<'a> {
    Float(&'a FloatWeights),
    Integer(&'a BTreeMap<String, IntegerWeights>),
}

impl Weights<'_> {
    /// Writes the weights of a node that reads integers of scale `input`, and gives the names of
    /// the tensors that it reads: kernel, and bias where it has one.
    pub(super) fn write(
        self,
        onnx: &mut OnnxGraph,
        node: &str,
        input: Option<f32>,
    ) -> Result<Vec<String>, WriteError> {
        let missing = |reason: &str| WriteError::Node { node: node.into(), reason: reason.into() };
        let (weight, bias) = (format!("{node}.weight"), format!("{node}.bias"));
        let no_weights = "the network has no weights for it";
        match self {
            Self::Float(weights) => {
                let kernel = weights.get(&weight).ok_or_else(|| missing(no_weights))?;
                let mut names = vec![onnx.floats(weight, &dims(&kernel.shape), &kernel.data)];
                if let Some(data) = weights.get(&bias) {
                    names.push(onnx.floats(bias, &dims(&data.shape), &data.data));
                }
                Ok(names)
            }
            Self::Integer(weights) => {
                let integers = weights.get(node).ok_or_else(|| missing(no_weights))?;
                let input = input.ok_or_else(|| missing("its input has no quantizer"))?;
                Ok(write_integers(onnx, integers, weight, bias, input))
            }
        }
    }
}

fn write_integers(
    onnx: &mut OnnxGraph,
    w: &IntegerWeights,
    weight: String,
    bias: String,
    input: f32,
) -> Vec<String> {
    let rows = [w.scales.len() as i64];
    let zero = onnx.bytes(format!("{weight}:zero"), &rows, &vec![0; w.scales.len()]);
    let kernel = onnx.bytes(weight, &dims(&w.shape), &w.data);
    let kernel = onnx.dequantize_rows(&kernel, &zero, &w.scales);
    let scales: Vec<f32> = w.scales.iter().map(|scale| scale * input).collect();
    let zero = onnx.integers(format!("{bias}:zero"), &rows, &vec![0; w.scales.len()]);
    let bias = onnx.integers(bias, &rows, &w.bias);
    vec![kernel, onnx.dequantize_rows(&bias, &zero, &scales)]
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&size| size as i64).collect()
}
