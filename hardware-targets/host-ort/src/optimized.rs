//! Reads the graph that the runtime made of a model, and finds what still runs in floating point.

use std::collections::HashSet;

use crate::proto::{GraphProto, NodeProto, data_type};

/// Operators with real inputs, as `operator (node)`, except conversions at the graph's input and
/// output. Inside, a conversion counts: it is the seam of an operator that runs in floating point.
pub(crate) fn float_operators(graph: &GraphProto) -> Vec<String> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let real_input = |info: &&crate::proto::ValueInfoProto| {
        let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        tensor.is_some_and(|tensor| tensor.elem_type == data_type::FLOAT)
    };
    let entry: HashSet<&str> =
        graph.input.iter().filter(real_input).map(|info| info.name.as_str()).collect();
    let exit = outputs(graph);
    let mut real = entry.clone();
    let mut found = Vec::new();
    for node in sorted(graph) {
        let inputs = || node.input.iter().map(String::as_str).filter(|i| !constants.contains(i));
        let reads_real = inputs().any(|input| real.contains(input));
        let makes_real = match node.op_type.as_str() {
            "QuantizeLinear" => false,
            "DequantizeLinear" => true,
            _ => reads_real,
        };
        if makes_real {
            real.extend(node.output.iter().map(String::as_str));
        }
        let counts = match node.op_type.as_str() {
            "QuantizeLinear" => !inputs().all(|input| entry.contains(input)),
            "DequantizeLinear" => {
                inputs().next().is_some() && !node.output.iter().all(|o| exit.contains(o.as_str()))
            }
            "Reshape" | "Flatten" | "Transpose" | "Identity" | "ReorderInput" | "ReorderOutput" => {
                false
            }
            _ => reads_real,
        };
        if counts {
            found.push(format!("{} ({})", node.op_type, node.name));
        }
    }
    found
}

/// The graph's outputs, and whatever becomes one by a change of shape alone.
fn outputs(graph: &GraphProto) -> HashSet<&str> {
    let mut exit: HashSet<&str> = graph.output.iter().map(|info| info.name.as_str()).collect();
    for node in sorted(graph).into_iter().rev() {
        let moves = ["Reshape", "Flatten", "Transpose", "Identity"].contains(&&*node.op_type);
        if moves && node.output.iter().all(|output| exit.contains(output.as_str())) {
            exit.extend(node.input.first().map(String::as_str));
        }
    }
    exit
}

/// Nodes in topological order, which a dumped graph does not keep.
fn sorted(graph: &GraphProto) -> Vec<&NodeProto> {
    let made: HashSet<&str> =
        graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    let mut ready: HashSet<&str> = HashSet::new();
    let mut rest: Vec<&NodeProto> = graph.node.iter().collect();
    let mut result = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let before = rest.len();
        rest.retain(|node| {
            let known =
                |name: &&String| !made.contains(name.as_str()) || ready.contains(name.as_str());
            let runs = node.input.iter().all(|name| known(&name));
            if runs {
                ready.extend(node.output.iter().map(String::as_str));
                result.push(*node);
            }
            !runs
        });
        if rest.len() == before {
            result.append(&mut rest);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{TensorTypeProto, TypeProto, ValueInfoProto};

    fn info(name: &str) -> ValueInfoProto {
        let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: None });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    fn check(lines: &[&str], expected: &[&str]) {
        let node = |line: &&str| {
            let (output, rest) = line.split_once(" = ").unwrap();
            let (op, input) = rest.split_once(' ').unwrap();
            NodeProto {
                input: input.split(' ').map(str::to_owned).collect(),
                output: vec![output.into()],
                name: format!("n-{output}"),
                op_type: op.into(),
                ..Default::default()
            }
        };
        let graph = GraphProto {
            node: lines.iter().map(node).collect(),
            input: vec![info("image")],
            output: vec![info("result")],
            ..Default::default()
        };
        assert_eq!(float_operators(&graph), expected);
    }

    #[test]
    fn conversions_at_the_ends_do_not_count() {
        check(
            &["q = QuantizeLinear image", "c = QLinearConv q", "result = DequantizeLinear c"],
            &[],
        );
    }

    #[test]
    fn a_function_between_conversions_counts_with_them() {
        check(
            &[
                "result = DequantizeLinear r",
                "r = QuantizeLinear s",
                "s = HardSigmoid d",
                "d = DequantizeLinear q",
                "q = QuantizeLinear image",
            ],
            &["DequantizeLinear (n-d)", "HardSigmoid (n-s)", "QuantizeLinear (n-r)"],
        );
    }
}
