//! What an ONNX file holds, whoever wrote it.
//!
//! ONNX keeps shapes of inputs, outputs and constants only, and scales as constants of the
//! operators that convert: a tensor between a `QuantizeLinear` and its readers gets the scale of
//! that operator.

use std::collections::HashMap;

use prost::Message;
use spacewright_core::model::{ModelSummary, OperatorSummary, TensorSummary};
use thiserror::Error;

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_type};

/// Why an ONNX file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Another format, damaged, or cut off: not the protocol buffer of a model.
    #[error("this is no ONNX file, or it is damaged: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The model has no graph.
    #[error("this is no ONNX file, or it is damaged: it has no graph")]
    NoGraph,
}

/// Reads a file: everything but the data of its constants.
pub fn read(file: &[u8]) -> Result<ModelSummary, ReadError> {
    let model = ModelProto::decode(file)?;
    let graph = model.graph.ok_or(ReadError::NoGraph)?;
    let tensors = Tensors::of(&graph);
    let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value));
    let constants = graph.initializer.iter().map(bytes);
    Ok(ModelSummary {
        format: "onnx".into(),
        name: graph.name.clone(),
        metadata: metadata.collect(),
        // Older files list constants among the inputs.
        inputs: graph
            .input
            .iter()
            .filter(|input| !tensors.known.get(&input.name).is_some_and(|known| known.constant))
            .map(|input| tensors.get(&input.name))
            .collect(),
        outputs: graph.output.iter().map(|output| tensors.get(&output.name)).collect(),
        operators: graph.node.iter().map(|node| tensors.operator(node)).collect(),
        constants_bytes: constants.sum(),
        file_bytes: file.len(),
    })
}

/// What is known of the tensors of a graph, by name.
struct Tensors {
    known: HashMap<String, TensorSummary>,
}

impl Tensors {
    fn of(graph: &GraphProto) -> Self {
        let ends = graph.input.iter().chain(&graph.output).map(declared);
        let mut known: HashMap<String, TensorSummary> =
            ends.map(|tensor| (tensor.name.clone(), tensor)).collect();
        let constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|constant| (constant.name.as_str(), constant)).collect();
        for constant in &graph.initializer {
            let summary = TensorSummary {
                name: constant.name.clone(),
                element: element(constant.data_type),
                shape: constant.dims.clone(),
                constant: true,
                ..TensorSummary::default()
            };
            known.insert(constant.name.clone(), summary);
        }
        for node in &graph.node {
            let quantized = match node.op_type.as_str() {
                "QuantizeLinear" => node.output.first(),
                "DequantizeLinear" => node.input.first(),
                _ => None,
            };
            let (Some(name), Some(scale)) = (quantized, node.input.get(1)) else { continue };
            let zero = node.input.get(2).and_then(|name| constants.get(name.as_str()));
            let tensor = known.entry(name.clone()).or_default();
            name.clone_into(&mut tensor.name);
            tensor.scales = constants.get(scale.as_str()).map(|c| floats(c)).unwrap_or_default();
            if let Some(zero) = zero {
                let packed = zero.raw_data.first().map(|&byte| match zero.data_type {
                    data_type::INT8 => i64::from(byte as i8),
                    _ => i64::from(byte),
                });
                tensor.zero_point = packed.or(zero.int32_data.first().copied().map(i64::from));
                tensor.element = element(zero.data_type);
            }
        }
        Self { known }
    }

    fn get(&self, name: &str) -> TensorSummary {
        let unknown = || TensorSummary { name: name.to_owned(), ..TensorSummary::default() };
        self.known.get(name).cloned().unwrap_or_else(unknown)
    }

    fn operator(&self, node: &NodeProto) -> OperatorSummary {
        let kind = match node.domain.as_str() {
            "" | "ai.onnx" => node.op_type.clone(),
            domain => format!("{domain}:{}", node.op_type),
        };
        let first = || node.output.first().cloned().unwrap_or_default();
        let named = node.input.iter().filter(|name| !name.is_empty());
        OperatorSummary {
            kind,
            name: if node.name.is_empty() { first() } else { node.name.clone() },
            inputs: named.map(|name| self.get(name)).collect(),
            outputs: node.output.iter().map(|name| self.get(name)).collect(),
        }
    }
}

fn declared(value: &ValueInfoProto) -> TensorSummary {
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| &shape.dim);
    TensorSummary {
        name: value.name.clone(),
        element: tensor.map(|tensor| element(tensor.elem_type)).unwrap_or_default(),
        shape: dims.into_iter().flatten().map(|dim| dim.dim_value.unwrap_or(-1)).collect(),
        ..TensorSummary::default()
    }
}

/// Size of a constant in a file that packs its elements.
fn bytes(constant: &TensorProto) -> usize {
    let TensorProto { raw_data, float_data, int32_data, int64_data, .. } = constant;
    let small = matches!(constant.data_type, data_type::INT8 | data_type::UINT8 | data_type::BOOL);
    let width = if small { 1 } else { 4 };
    raw_data.len() + 4 * float_data.len() + width * int32_data.len() + 8 * int64_data.len()
}

fn floats(constant: &TensorProto) -> Vec<f32> {
    if !constant.float_data.is_empty() {
        return constant.float_data.clone();
    }
    let real = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    constant.raw_data.chunks_exact(4).map(real).collect()
}

/// Name of a `TensorProto.DataType`.
fn element(number: i32) -> String {
    match number {
        data_type::FLOAT => "float32".into(),
        data_type::UINT8 => "uint8".into(),
        data_type::INT8 => "int8".into(),
        data_type::INT32 => "int32".into(),
        data_type::INT64 => "int64".into(),
        data_type::BOOL => "bool".into(),
        10 => "float16".into(),
        11 => "float64".into(),
        16 => "bfloat16".into(),
        other => format!("type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        graph::{ConvSpec, GraphBuilder, Shape},
        quant::{IntegerNetwork, IntegerWeights, QParams, Rounding},
        target::{ModelInfo, ModelOutputs},
    };

    use super::*;
    use crate::writer::write_integer;

    fn file() -> Vec<u8> {
        let mut b = GraphBuilder::new(Shape::square(2, 4));
        let y = b.conv("c", b.input(), ConvSpec::new(3, 1));
        let weights = IntegerWeights {
            shape: vec![3, 2, 1, 1],
            data: vec![1; 6],
            scales: vec![0.5; 3],
            bias: vec![0; 3],
        };
        let params = |scale, zero_point| Some(QParams { scale, zero_point });
        let network = IntegerNetwork {
            graph: b.finish(y),
            values: vec![params(0.25, 128), params(0.5, 3)],
            weights: [("c".to_owned(), weights)].into(),
            rounding: Rounding::Float,
        };
        let metadata = [("study".to_owned(), "s1".to_owned())].into();
        let info = ModelInfo { name: "small".into(), metadata };
        write_integer(&network, &info, ModelOutputs::Result).unwrap()
    }

    #[test]
    fn operators_shapes_and_scales_are_read() {
        let summary = read(&file()).unwrap();
        let kinds: Vec<&str> = summary.operators.iter().map(|o| o.kind.as_str()).collect();
        let (quantize, dequantize) = ("QuantizeLinear", "DequantizeLinear");
        let weights = [dequantize, dequantize, dequantize];
        assert_eq!(kinds[0], quantize);
        assert_eq!(kinds[1..4], weights);
        assert_eq!(kinds[4..], ["Conv", quantize, dequantize]);
        assert_eq!(summary.inputs[0].shape, [1, 2, 4, 4]);
        let input = &summary.operators[0].outputs[0];
        assert_eq!((input.element.as_str(), input.zero_point), ("uint8", Some(128)));
        assert_eq!(input.scales, [0.25]);
        assert_eq!(summary.metadata["study"], "s1");
        assert_eq!(summary.file_bytes, file().len());
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        let error = read(b"no model").unwrap_err().to_string();
        assert!(error.starts_with("this is no ONNX file"), "{error}");
        assert!(read(&file()[..20]).is_err());
    }
}
