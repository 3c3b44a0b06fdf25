//! An ONNX graph in the making: nodes, constants, inputs and outputs.

use std::collections::HashSet;

use spacewright_core::{quant::QParams, target::ModelInfo};

use super::ops::axis;
use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, data_type,
};

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

#[derive(Default)]
pub(super) struct OnnxGraph {
    graph: GraphProto,
    constants: HashSet<String>,
}

impl OnnxGraph {
    pub(super) fn input(&mut self, name: &str, elem_type: i32, dims: &[i64]) {
        self.graph.input.push(value_info(name, elem_type, dims));
    }

    pub(super) fn output(&mut self, name: &str, elem_type: i32, dims: &[i64]) {
        self.graph.output.push(value_info(name, elem_type, dims));
    }

    pub(super) fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
    }

    fn tensor(&mut self, name: String, data_type: i32, dims: &[i64], raw_data: Vec<u8>) -> String {
        if self.constants.insert(name.clone()) {
            let (dims, name) = (dims.to_vec(), name.clone());
            let tensor = TensorProto { dims, data_type, name, raw_data, ..TensorProto::default() };
            self.graph.initializer.push(tensor);
        }
        name
    }

    pub(super) fn floats(&mut self, name: String, dims: &[i64], data: &[f32]) -> String {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, data_type::FLOAT, dims, bytes)
    }

    pub(super) fn bytes(&mut self, name: String, dims: &[i64], data: &[i8]) -> String {
        let bytes = data.iter().map(|x| x.to_le_bytes()[0]).collect();
        self.tensor(name, data_type::INT8, dims, bytes)
    }

    pub(super) fn integers(&mut self, name: String, dims: &[i64], data: &[i32]) -> String {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, data_type::INT32, dims, bytes)
    }

    /// A scalar that several nodes may share.
    pub(super) fn constant(&mut self, value: f32) -> String {
        self.floats(format!("constant:{value}"), &[], &[value])
    }

    fn scalar_params(&mut self, name: &str, params: QParams) -> [String; 2] {
        let zero = vec![params.zero_point];
        [
            self.floats(format!("{name}:scale"), &[], &[params.scale]),
            self.tensor(format!("{name}:zero"), data_type::UINT8, &[], zero),
        ]
    }

    /// `to` = integers of `from`.
    pub(super) fn quantize(&mut self, from: &str, to: &str, params: QParams) {
        let [scale, zero] = self.scalar_params(to, params);
        self.node(
            "QuantizeLinear",
            &format!("{to}:quantize"),
            &[from, &scale, &zero],
            &[to],
            vec![],
        );
    }

    /// `to` = real numbers of the integers `from`.
    pub(super) fn dequantize(&mut self, from: &str, to: &str, params: QParams) {
        let [scale, zero] = self.scalar_params(to, params);
        let name = format!("{from}:dequantize");
        self.node("DequantizeLinear", &name, &[from, &scale, &zero], &[to], vec![]);
    }

    /// Real numbers of integers with one scale per entry of the first dimension; gives the name
    /// of the result.
    pub(super) fn dequantize_rows(&mut self, from: &str, zero: &str, scales: &[f32]) -> String {
        let scale = self.floats(format!("{from}:scale"), &[scales.len() as i64], scales);
        let (to, name) = (format!("{from}:real"), format!("{from}:dequantize"));
        self.node("DequantizeLinear", &name, &[from, &scale, zero], &[&to], vec![axis(0)]);
        to
    }

    pub(super) fn reshape(&mut self, from: &str, to: &str, dims: &[i64]) {
        let bytes = dims.iter().flat_map(|x| x.to_le_bytes()).collect();
        let rank = [dims.len() as i64];
        let shape = self.tensor(format!("{to}:shape"), data_type::INT64, &rank, bytes);
        self.node("Reshape", to, &[from, &shape], &[to], vec![]);
    }

    pub(super) fn finish(mut self, info: &ModelInfo) -> ModelProto {
        self.graph.name = if info.name.is_empty() { "network".into() } else { info.name.clone() };
        let entry = |(key, value): (&String, &String)| StringStringEntryProto {
            key: key.clone(),
            value: value.clone(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "spacewright".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: info.metadata.iter().map(entry).collect(),
            functions: Vec::new(),
        }
    }
}

fn value_info(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&size| DimensionProto { dim_value: Some(size), dim_param: None })
        .collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
