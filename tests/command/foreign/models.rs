//! Small model files of every kind that goes wrong.

use prost::Message as _;
use spacewright_core::{
    graph::{ConvSpec, GraphBuilder, Shape},
    quant::{FloatNetwork, FloatWeights, TensorData},
    target::ModelInfo,
};
use spacewright_host_ort::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type, data_type,
};

/// A name with what moves cursors, begins lines and hides.
pub const EVIL: &str = "x\u{1b}[31m\u{9b}2J\u{7}\nfake line\r\0\u{202e}";

fn model(graph: GraphProto) -> Vec<u8> {
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
    ModelProto {
        ir_version: 8,
        graph: Some(GraphProto { name: "case".into(), ..graph }),
        opset_import: vec![opset("", 17), opset("my.ops", 1)],
        ..ModelProto::default()
    }
    .encode_to_vec()
}

fn value(name: &str, elem_type: i32, dim: Option<Vec<DimensionProto>>) -> ValueInfoProto {
    let shape = dim.map(|dim| TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

fn sizes(dims: &[i64]) -> Option<Vec<DimensionProto>> {
    let size = |size: &i64| DimensionProto { dim_value: Some(*size), dim_param: None };
    Some(dims.iter().map(size).collect())
}

/// A node as `output = operator input…`; its name is that of its output.
fn node(line: &str) -> NodeProto {
    let (outputs, rest) = line.split_once(" = ").unwrap();
    let mut words = rest.split(' ');
    let output: Vec<String> = outputs.split(' ').map(str::to_owned).collect();
    NodeProto {
        op_type: words.next().unwrap().into(),
        input: words.map(str::to_owned).collect(),
        name: output[0].clone(),
        output,
        ..NodeProto::default()
    }
}

fn constant(name: &str, data_type: i32, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
    let (name, dims) = (name.to_owned(), dims.to_vec());
    TensorProto { name, data_type, dims, raw_data, ..TensorProto::default() }
}

fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    let bytes = (0..count).flat_map(|_| 0.02f32.to_le_bytes()).collect();
    constant(name, data_type::FLOAT, dims, bytes)
}

fn bytes(name: &str, data_type: i32, dims: &[i64], byte: i8) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    constant(name, data_type, dims, vec![byte.to_le_bytes()[0]; count])
}

fn graph(lines: &[&str], input: ValueInfoProto, initializer: Vec<TensorProto>) -> GraphProto {
    let node: Vec<NodeProto> = lines.iter().map(|line| node(line)).collect();
    let last = node[node.len() - 1].output[0].clone();
    let output = vec![value(&last, data_type::FLOAT, None)];
    GraphProto { node, input: vec![input], output, initializer, ..GraphProto::default() }
}

fn image(dims: &[i64]) -> ValueInfoProto {
    value("x", data_type::FLOAT, sizes(dims))
}

/// A model that is sound, of an input with these sizes.
pub fn relu(dims: &[i64]) -> Vec<u8> {
    model(graph(&["y = Relu x"], image(dims), vec![]))
}

/// A classifier of four classes, with a gate and a softmax.
pub fn classifier() -> Vec<u8> {
    let lines = [
        "a = Conv x w",
        "s = Sigmoid a",
        "b = Mul a s",
        "p = GlobalAveragePool b",
        "f = Flatten p",
        "g = MatMul f m",
        "y = Softmax g",
    ];
    let constants = vec![floats("w", &[8, 3, 3, 3]), floats("m", &[8, 4])];
    model(graph(&lines, image(&[1, 3, 8, 8]), constants))
}

/// Two nodes that no network of Spacewright has, and one that reads both.
pub fn unknown_nodes() -> Vec<u8> {
    let lines = ["a = LeakyRelu x", "b = Tanh x", "y = Add a b"];
    model(graph(&lines, image(&[1, 3, 8, 8]), vec![]))
}

fn entry(key: &str, value: &dyn ToString) -> StringStringEntryProto {
    StringStringEntryProto { key: key.into(), value: value.to_string() }
}

/// Weights in another file.
fn beside(dims: &[i64], location: &str, offset: u64, length: u64) -> TensorProto {
    TensorProto {
        external_data: vec![
            entry("location", &location),
            entry("offset", &offset),
            entry("length", &length),
        ],
        data_location: EXTERNAL,
        ..constant("w", data_type::FLOAT, dims, vec![])
    }
}

/// A convolution whose weights, 864 bytes, are in another file.
pub fn external(location: &str, offset: u64, length: u64) -> Vec<u8> {
    let weights = beside(&[8, 3, 3, 3], location, offset, length);
    model(graph(&["y = Conv x w"], image(&[1, 3, 8, 8]), vec![weights]))
}

/// A classifier of images of 8 pixels into eight classes whose weights, 6,144 bytes, are in another file, with how
/// images are prepared; the number of images is open.
pub fn external_classifier(location: &str) -> Vec<u8> {
    let weights = beside(&[8, 3, 8, 8], location, 0, 4 * 8 * 3 * 8 * 8);
    let [three, eight] =
        [3, 8].map(|size| DimensionProto { dim_value: Some(size), dim_param: None });
    let open = DimensionProto { dim_param: Some("N".into()), dim_value: None };
    let dims = vec![open, three, eight.clone(), eight];
    let input = value("x", data_type::FLOAT, Some(dims));
    let content = model(graph(&["c = Conv x w", "y = Flatten c"], input, vec![weights]));
    let mut model = ModelProto::decode(content.as_slice()).unwrap();
    let preprocessing = r#"{"channels": 3, "side": 8, "transforms": []}"#;
    model.metadata_props.push(entry("spacewright.preprocessing", &preprocessing));
    model.encode_to_vec()
}

/// A convolution of 3×3 of an image whose sizes are open: two with a name, one without.
pub fn open_sizes() -> Vec<u8> {
    let named = |name: &str| DimensionProto { dim_param: Some(name.into()), dim_value: None };
    let three = DimensionProto { dim_value: Some(3), dim_param: None };
    let dims = vec![named("N"), three, named("H"), DimensionProto::default()];
    let input = value("x", data_type::FLOAT, Some(dims));
    model(graph(&["y = Conv x w"], input, vec![floats("w", &[8, 3, 3, 3])]))
}

/// A model whose names, and what it says of itself, are not to be shown as they are.
pub fn evil_names() -> Vec<u8> {
    let relu = NodeProto {
        op_type: "Relu".into(),
        input: vec![EVIL.into()],
        output: vec![format!("y{EVIL}")],
        name: format!("n{EVIL}"),
        ..NodeProto::default()
    };
    let output = value(&relu.output[0], data_type::FLOAT, sizes(&[1, 4]));
    let graph = GraphProto {
        node: vec![relu],
        name: EVIL.into(),
        input: vec![value(EVIL, data_type::FLOAT, sizes(&[1, 4]))],
        output: vec![output],
        ..GraphProto::default()
    };
    let entry = StringStringEntryProto { key: EVIL.into(), value: EVIL.into() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    let metadata_props = vec![entry];
    ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import,
        metadata_props,
        ..ModelProto::default()
    }
    .encode_to_vec()
}

/// One convolution between quantizers, and a convolution and functions in real numbers.
pub fn half_quantized() -> Vec<u8> {
    let lines = [
        "q = QuantizeLinear x s z",
        "d = DequantizeLinear q s z",
        "wd = DequantizeLinear w s wz",
        "conv_int8 = Conv d wd",
        "a = QuantizeLinear conv_int8 s z",
        "b = DequantizeLinear a s z",
        "float_tanh = Tanh b",
        "float_conv = Conv float_tanh w2",
        "float_softmax = Softmax float_conv",
    ];
    let constants = vec![
        floats("s", &[]),
        bytes("z", data_type::UINT8, &[], 100),
        bytes("w", data_type::INT8, &[8, 3, 3, 3], 5),
        bytes("wz", data_type::INT8, &[], 0),
        floats("w2", &[4, 8, 3, 3]),
    ];
    model(graph(&lines, image(&[1, 3, 8, 8]), constants))
}

/// A product of matrices in integers, with scales that are found while it runs.
pub fn dynamic_quantized() -> Vec<u8> {
    let lines = ["q s z = DynamicQuantizeLinear x", "i = MatMulInteger q w z", "y = Cast i"];
    let weights = vec![bytes("w", data_type::INT8, &[16, 8], 3)];
    let mut graph = graph(&lines, image(&[4, 16]), weights);
    graph.node[2].attribute = vec![AttributeProto {
        name: "to".into(),
        i: data_type::FLOAT.into(),
        r#type: attribute_type::INT,
        ..AttributeProto::default()
    }];
    model(graph)
}

/// A convolution of the older style of quantized operators, with weights that are all the same.
pub fn quantized_convolution(weight: i8) -> Vec<u8> {
    let lines = [
        "q = QuantizeLinear x s z",
        "c = QLinearConv q s z w s wz s z",
        "y = DequantizeLinear c s z",
    ];
    let constants = vec![
        floats("s", &[]),
        bytes("z", data_type::UINT8, &[], 100),
        bytes("w", data_type::INT8, &[8, 3, 3, 3], weight),
        bytes("wz", data_type::INT8, &[], 0),
    ];
    model(graph(&lines, image(&[1, 3, 8, 8]), constants))
}

/// A constant of 2³⁸ real numbers, 1 TiB, from a file of 118 bytes.
pub fn huge_constant() -> Vec<u8> {
    let shape = constant("n", data_type::INT64, &[1], (1i64 << 38).to_le_bytes().to_vec());
    model(graph(&["c = ConstantOfShape n", "y = Add x c"], image(&[1]), vec![shape]))
}

/// Nodes of two bytes each, which take a hundred times as much memory.
pub fn empty_nodes(count: usize) -> Vec<u8> {
    let nodes = [0x0a, 0].repeat(count);
    let mut file = vec![0x08, 8, 0x3a];
    let mut length = nodes.len();
    while length >= 128 {
        file.push((length % 128) as u8 | 128);
        length /= 128;
    }
    file.push(length as u8);
    [file, nodes].concat()
}

/// A loop that never ends.
pub fn endless() -> Vec<u8> {
    let body = GraphProto {
        name: "body".into(),
        node: vec![node("more = Identity go"), node("twice = Add a a")],
        input: vec![
            value("i", data_type::INT64, sizes(&[])),
            value("go", data_type::BOOL, sizes(&[])),
            value("a", data_type::FLOAT, sizes(&[4])),
        ],
        output: vec![
            value("more", data_type::BOOL, sizes(&[])),
            value("twice", data_type::FLOAT, sizes(&[4])),
        ],
        ..GraphProto::default()
    };
    let constants = vec![
        constant("most", data_type::INT64, &[], i64::MAX.to_le_bytes().to_vec()),
        constant("go0", data_type::BOOL, &[], vec![1]),
    ];
    let mut graph = graph(&["y = Loop most go0 x"], image(&[4]), constants);
    graph.node[0].attribute = vec![AttributeProto {
        name: "body".into(),
        g: Some(Box::new(body)),
        r#type: attribute_type::GRAPH,
        ..AttributeProto::default()
    }];
    model(graph)
}

/// What goes in comes out, of elements with this number.
pub fn identity(element: i32) -> Vec<u8> {
    let input = value("x", element, sizes(&[1, 8]));
    let mut graph = graph(&["y = Identity x"], input, vec![]);
    graph.output = vec![value("y", element, sizes(&[1, 8]))];
    model(graph)
}

/// An operator that nobody defines.
pub fn custom() -> Vec<u8> {
    let mut graph = graph(&["y = Magic x"], image(&[1, 4]), vec![]);
    graph.node[0].domain = "my.ops".into();
    model(graph)
}

/// A convolution in TFLite's format, of an input that is said to have these sizes.
pub fn tflite(sizes: [i32; 4]) -> Vec<u8> {
    let mut b = GraphBuilder::new(Shape::square(2, 4));
    let y = b.conv("c", b.input(), ConvSpec::new(3, 1));
    let kernel = TensorData { shape: vec![3, 2, 1, 1], data: vec![0.5; 6] };
    let weights = FloatWeights::from([("c.weight".into(), kernel)]);
    let network = FloatNetwork { graph: b.finish(y), weights };
    let mut file = spacewright_tflite::write_float(&network, &ModelInfo::default()).unwrap();
    let bytes = |sizes: [i32; 4]| sizes.map(i32::to_le_bytes).concat();
    let written = bytes([1, 4, 4, 2]);
    let places: Vec<usize> =
        (0..file.len() - 15).filter(|at| file[*at..*at + 16] == written).collect();
    assert!(!places.is_empty());
    for at in places {
        file[at..at + 16].copy_from_slice(&bytes(sizes));
    }
    file
}
