//! What an ONNX file holds, whoever wrote it.
//!
//! ONNX keeps shapes of inputs, outputs and constants only, and scales as constants of the
//! operators that convert: a tensor between a `QuantizeLinear` and its readers gets the scale of
//! that operator. Element types follow from the operators (`types`).

mod constants;
pub(crate) mod external;
pub(crate) mod float;
pub(crate) mod order;
mod saturation;
mod types;

use std::collections::{BTreeSet, HashMap, HashSet};

use prost::Message;
use spacewright_core::{
    foreign::{Escaped, ModelFile, shortened},
    model::{ModelSummary, OperatorSummary, Scales, TensorSummary},
};
use thiserror::Error;

use self::{
    constants::{Constants, first_integer, floats, with_bodies},
    external::ExternalError,
    saturation::Saturation,
    types::ElementTypes,
};
use crate::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_type,
};

/// Why an ONNX file cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Another format, damaged, or cut off: not the protocol buffer of a model.
    #[error("this is no ONNX file, or it is damaged: {}", shortened(&.0.to_string(), 200))]
    Decode(#[from] prost::DecodeError),
    /// The model has no graph.
    #[error("this is no ONNX file, or it is damaged: it has no graph")]
    NoGraph,
    /// Elements of a constant that lie in another file.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// A constant with another number of bytes than its shape says.
    #[error(
        "this ONNX file is damaged: the constant `{}` has {found} bytes, but {element} {shape} has \
         {expected}",
        Escaped(constant)
    )]
    Constant {
        /// Name of the constant.
        constant: String,
        /// Type of its elements.
        element: String,
        /// Its shape as text.
        shape: String,
        /// Bytes that are there.
        found: u64,
        /// Bytes that the shape says.
        expected: u128,
    },
}

/// Reads a file: everything but the data of its constants, which it looks for in other files where
/// the model says so.
pub fn read(file: &ModelFile<'_>) -> Result<ModelSummary, ReadError> {
    let model = ModelProto::decode(file.content)?;
    let graph = model.graph.as_ref().ok_or(ReadError::NoGraph)?;
    let constants = Constants::of(graph, file.path)?;
    let types = ElementTypes::of(graph);
    let tensors = Tensors::of(graph, &types);
    let operators: Vec<OperatorSummary> =
        graph.node.iter().map(|node| tensors.operator(node)).collect();
    let metadata = model.metadata_props.iter().map(|e| (e.key.clone(), e.value.clone()));
    Ok(ModelSummary {
        format: "onnx".into(),
        name: graph.name.clone(),
        metadata: metadata.collect(),
        // Older files list constants among the inputs.
        inputs: graph
            .input
            .iter()
            .filter(|input| !constants.names.contains(input.name.as_str()))
            .map(|input| tensors.get(&input.name))
            .collect(),
        outputs: graph.output.iter().map(|output| tensors.get(&output.name)).collect(),
        float_operators: float::float_operators_of_file(graph),
        saturating_operators: saturating(graph, &types, &constants),
        custom_operators: custom(&model, graph),
        constants_bytes: constants.bytes,
        external_files: constants.files,
        tensors: tensors.known,
        operators,
        file_bytes: file.content.len() as u64,
    })
}

/// Operators whose sums saturate without VNNI.
fn saturating(
    graph: &GraphProto,
    types: &ElementTypes<'_>,
    constants: &Constants<'_>,
) -> Vec<String> {
    let saturation = Saturation::new(graph, types);
    let saturates = |node: &&NodeProto| saturation.of(node, |constant| constants.read(constant));
    graph.node.iter().filter(saturates).map(float::label).collect()
}

/// Operator sets that ONNX Runtime knows.
const DOMAINS: [&str; 8] = [
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
];

/// Operators of other sets, that the file does not define itself either.
fn custom(model: &ModelProto, graph: &GraphProto) -> Vec<String> {
    let nodes = with_bodies(graph).into_iter().flat_map(|graph| &graph.node);
    let functions = model.functions.iter().map(|f| (f.domain.as_str(), f.name.as_str()));
    let defined: HashSet<(&str, &str)> = functions.collect();
    let is_custom = |node: &&NodeProto| {
        let NodeProto { domain, op_type, .. } = *node;
        !DOMAINS.contains(&domain.as_str()) && !defined.contains(&(domain, op_type))
    };
    let kinds: BTreeSet<String> = nodes.filter(is_custom).map(kind).collect();
    kinds.into_iter().collect()
}

fn kind(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}:{}", node.op_type),
    }
}

/// What is known of the tensors of a graph.
struct Tensors<'g> {
    known: Vec<TensorSummary>,
    places: HashMap<&'g str, usize>,
}

impl<'g> Tensors<'g> {
    fn of(graph: &'g GraphProto, types: &ElementTypes<'g>) -> Self {
        let mut tensors = Self { known: Vec::new(), places: HashMap::new() };
        for info in graph.value_info.iter().chain(&graph.input).chain(&graph.output) {
            *tensors.entry(&info.name) = declared(info);
        }
        for constant in &graph.initializer {
            let tensor = tensors.entry(&constant.name);
            tensor.shape.clone_from(&constant.dims);
            tensor.size_names.clear();
            tensor.constant = true;
        }
        let names = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output));
        for name in names.filter(|name| !name.is_empty()) {
            tensors.entry(name);
        }
        for tensor in &mut tensors.known {
            tensor.element = types.get(&tensor.name).map(data_type::name).unwrap_or_default();
        }
        tensors.quantize(graph);
        tensors
    }

    fn entry(&mut self, name: &'g str) -> &mut TensorSummary {
        let next = self.known.len();
        let place = *self.places.entry(name).or_insert(next);
        if place == next {
            let name = name.to_owned();
            self.known.push(TensorSummary { name, ..TensorSummary::default() });
        }
        &mut self.known[place]
    }

    /// Scales and zero points, which are inputs of operators.
    fn quantize(&mut self, graph: &'g GraphProto) {
        let constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|constant| (constant.name.as_str(), constant)).collect();
        let mut scales: HashMap<&str, Option<Scales>> = HashMap::new();
        for node in &graph.node {
            for (name, scale, zero) in quantized(node) {
                let constant = |name: &str| constants.get(name).copied();
                let scale = scales
                    .entry(scale)
                    .or_insert_with(|| constant(scale).and_then(|c| Scales::of(floats(c))));
                let zero = constant(zero).and_then(first_integer);
                let tensor = self.entry(name);
                tensor.scales = scale.or(tensor.scales);
                tensor.zero_point = zero.or(tensor.zero_point);
            }
        }
    }

    fn get(&self, name: &str) -> TensorSummary {
        self.places.get(name).map(|place| self.known[*place].clone()).unwrap_or_default()
    }

    fn operator(&self, node: &NodeProto) -> OperatorSummary {
        let places = |names: &[String]| {
            names.iter().filter_map(|name| self.places.get(name.as_str()).copied()).collect()
        };
        OperatorSummary {
            kind: kind(node),
            name: node.name.clone(),
            inputs: places(&node.input),
            outputs: places(&node.output),
        }
    }
}

/// The quantized tensors of a node, each with the names of its scale and its zero point.
fn quantized(node: &NodeProto) -> Vec<(&str, &str, &str)> {
    let input = |at: usize| node.input.get(at).map_or("", String::as_str);
    let output = node.output.first().map_or("", String::as_str);
    let triple = |at: usize| (input(at), input(at + 1), input(at + 2));
    let made = |at: usize| (output, input(at), input(at + 1));
    let mut found = match node.op_type.as_str() {
        "QuantizeLinear" => vec![made(1)],
        "DequantizeLinear" => vec![triple(0)],
        "QLinearConv" | "QLinearMatMul" | "QLinearAdd" | "QLinearMul" => {
            vec![triple(0), triple(3), made(6)]
        }
        "QLinearSigmoid"
        | "QLinearLeakyRelu"
        | "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
        | "QLinearSoftmax" => vec![triple(0), made(3)],
        "QGemm" => vec![triple(0), triple(3)],
        _ => Vec::new(),
    };
    found.retain(|(name, ..)| !name.is_empty());
    found
}

fn declared(value: &ValueInfoProto) -> TensorSummary {
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let dims = tensor.and_then(|tensor| tensor.shape.as_ref());
    let dims: Vec<&DimensionProto> = dims.iter().flat_map(|shape| &shape.dim).collect();
    // Negative sizes stand for open ones in files of some tools.
    let size = |dim: &&DimensionProto| dim.dim_value.unwrap_or(-1).max(-1);
    let named = dims.iter().enumerate().filter_map(|(axis, dim)| {
        Some((axis, dim.dim_param.clone().filter(|name| !name.is_empty())?))
    });
    TensorSummary {
        name: value.name.clone(),
        shape: dims.iter().map(size).collect(),
        size_names: named.collect(),
        ..TensorSummary::default()
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

    fn read_bytes(content: &[u8]) -> Result<ModelSummary, ReadError> {
        read(&ModelFile::in_memory(content))
    }

    #[test]
    fn operators_shapes_and_scales_are_read() {
        let summary = read_bytes(&file()).unwrap();
        let kinds: Vec<&str> = summary.operators.iter().map(|o| o.kind.as_str()).collect();
        let (quantize, dequantize) = ("QuantizeLinear", "DequantizeLinear");
        let weights = [dequantize, dequantize, dequantize];
        assert_eq!(kinds[0], quantize);
        assert_eq!(kinds[1..4], weights);
        assert_eq!(kinds[4..], ["Conv", quantize, dequantize]);
        assert_eq!(summary.inputs[0].shape, [1, 2, 4, 4]);
        let input = &summary.tensors[summary.operators[0].outputs[0]];
        assert_eq!((input.element.as_str(), input.zero_point), ("uint8", Some(128)));
        assert_eq!(input.scales, Scales::of([0.25]));
        assert_eq!(summary.float_operators, [""; 0]);
        assert_eq!(summary.metadata["study"], "s1");
        assert_eq!(summary.file_bytes, file().len() as u64);
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        let error = read_bytes(b"no model").unwrap_err().to_string();
        assert!(error.starts_with("this is no ONNX file"), "{error}");
        assert!(read_bytes(&file()[..20]).is_err());
    }

    fn encoded(graph: GraphProto) -> Vec<u8> {
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn a_summary_grows_with_the_file_and_not_with_the_uses_of_a_tensor() {
        let name = "n".repeat(10_000);
        let scale = TensorProto {
            dims: vec![10_000],
            data_type: data_type::FLOAT,
            name: "s".into(),
            raw_data: vec![1; 40_000],
            ..TensorProto::default()
        };
        let node = |at: usize| NodeProto {
            op_type: "DequantizeLinear".into(),
            input: vec![format!("x{at}"), "s".into()],
            output: vec![format!("y{at}")],
            ..NodeProto::default()
        };
        let node = (0..10_000).map(node).collect();
        let initializer = vec![scale];
        let file = encoded(GraphProto { node, initializer, name, ..GraphProto::default() });
        let summary = serde_json::to_vec(&read_bytes(&file).unwrap()).unwrap();
        assert!(summary.len() < 20 * file.len(), "{} {}", summary.len(), file.len());
    }

    #[test]
    fn constants_have_the_bytes_of_their_shapes() {
        let check = |dims: &[i64], raw_data: &[u8], expected: &str| {
            let constant = TensorProto {
                dims: dims.to_vec(),
                data_type: data_type::FLOAT,
                name: "w".into(),
                raw_data: raw_data.to_vec(),
                ..TensorProto::default()
            };
            let graph = GraphProto { initializer: vec![constant], ..GraphProto::default() };
            let error = read_bytes(&encoded(graph)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[2], &[0; 4], "`w` has 4 bytes, but float32 2 has 8");
        check(&[i64::MAX, i64::MAX, i64::MAX], &[], "has 0 bytes");
        check(&[-1], &[0; 4], "float32 -1 has");
    }

    #[test]
    fn operators_that_nobody_defines_are_named() {
        let node = |domain: &str, op_type: &str| NodeProto {
            domain: domain.into(),
            op_type: op_type.into(),
            ..NodeProto::default()
        };
        let node = vec![node("", "Relu"), node("my.ops", "Magic"), node("local", "Own")];
        let model = ModelProto {
            graph: Some(GraphProto { node, ..GraphProto::default() }),
            functions: vec![crate::proto::FunctionProto {
                name: "Own".into(),
                domain: "local".into(),
            }],
            ..ModelProto::default()
        };
        let summary = read_bytes(&model.encode_to_vec()).unwrap();
        assert_eq!(summary.custom_operators, ["my.ops:Magic"]);
    }
}
