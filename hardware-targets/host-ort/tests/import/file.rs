//! Files of ONNX from lines of text.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use spacewright_host_ort::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
    data_type,
};

/// A file whose input `x` has this shape, with a node for each line: `output = Operator input… ; name=value…`.
/// The last output is the result. Inputs that are written as `w:8x3x3x3` are constants with seeded numbers,
/// `[1,-1]` constants of integers, `6.0` and `true` constants of one number or truth; `_` leaves an input out.
pub fn file(input: &[i64], opset: i64, lines: &str) -> ModelProto {
    let mut graph = GraphProto { name: "case".into(), ..GraphProto::default() };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (call, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (output, call) = call.split_once('=').unwrap();
        let mut words = call.split_whitespace();
        let op_type = words.next().unwrap().to_owned();
        let input = words.map(|word| constant(&mut graph, word)).collect();
        let output: Vec<String> = output.split_whitespace().map(str::to_owned).collect();
        let name = format!("/net/{}", output[0]);
        let attribute = attributes.split_whitespace().map(attribute).collect();
        graph.node.push(NodeProto {
            input,
            output,
            name,
            op_type,
            attribute,
            domain: String::new(),
        });
    }
    let dim = |size: &i64| match *size {
        -1 => DimensionProto { dim_value: None, dim_param: Some("N".into()) },
        size => DimensionProto { dim_value: Some(size), dim_param: None },
    };
    let shape = Some(TensorShapeProto { dim: input.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    let r#type = Some(TypeProto { tensor_type });
    graph.input.push(ValueInfoProto { name: "x".into(), r#type });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: None });
    let r#type = Some(TypeProto { tensor_type });
    let name = graph.node.last().unwrap().output[0].clone();
    graph.output.push(ValueInfoProto { name, r#type });
    ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        ..ModelProto::default()
    }
}

/// Adds the constant that a word stands for; the tensor's name.
fn constant(graph: &mut GraphProto, word: &str) -> String {
    let tensor = if let Some(numbers) = word.strip_prefix('[') {
        let numbers: Vec<i64> =
            numbers.trim_end_matches(']').split(',').map(|n| n.parse().unwrap()).collect();
        TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: data_type::INT64,
            raw_data: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ..TensorProto::default()
        }
    } else if let Some((name, sizes)) = word.split_once(':') {
        let dims: Vec<i64> = sizes.split('x').map(|size| size.parse().unwrap()).collect();
        let mut rng = Pcg64Mcg::seed_from_u64(graph.initializer.len() as u64);
        // Variances are positive.
        let range = if name.starts_with("var") { 0.5..1.5 } else { -0.5..0.5 };
        let count = dims.iter().product::<i64>();
        let numbers = (0..count).map(|_| rng.random_range(range.clone()));
        TensorProto {
            raw_data: numbers.flat_map(|n: f32| n.to_le_bytes()).collect(),
            data_type: data_type::FLOAT,
            dims,
            ..TensorProto::default()
        }
    } else if let Ok(truth) = word.parse::<bool>() {
        let raw_data = vec![u8::from(truth)];
        TensorProto { data_type: data_type::BOOL, raw_data, ..TensorProto::default() }
    } else if let Ok(number) = word.parse::<f32>() {
        let raw_data = number.to_le_bytes().to_vec();
        TensorProto { data_type: data_type::FLOAT, raw_data, ..TensorProto::default() }
    } else {
        return word.trim_matches('_').to_owned();
    };
    let name = format!("{word}#{}", graph.initializer.len());
    graph.initializer.push(TensorProto { name: name.clone(), ..tensor });
    name
}

fn attribute(text: &str) -> AttributeProto {
    let (name, value) = text.split_once('=').unwrap();
    let base = AttributeProto { name: name.into(), ..AttributeProto::default() };
    if value.contains(',') {
        let ints = value.trim_end_matches(',').split(',').map(|n| n.parse().unwrap()).collect();
        return AttributeProto { ints, r#type: attribute_type::INTS, ..base };
    }
    if let Ok(i) = value.parse() {
        return AttributeProto { i, r#type: attribute_type::INT, ..base };
    }
    match value.parse() {
        Ok(f) => AttributeProto { f, r#type: attribute_type::FLOAT, ..base },
        Err(_) => AttributeProto { s: value.into(), r#type: 3, ..base },
    }
}
