//! Which operators of an ONNX graph compute with real numbers, from the types of its values.

use std::collections::{HashMap, HashSet};

use spacewright_core::model::operator_label;

use super::{order::sorted, types::ElementTypes};
use crate::proto::{GraphProto, NodeProto};

/// Operators with real inputs or outputs, as `kind (name)`, but for those that compute in integers
/// inside, that only move values, and conversions at the graph's inputs and outputs. Elsewhere a
/// conversion counts: it is the seam of an operator that computes with real numbers.
pub(crate) fn float_operators(graph: &GraphProto) -> Vec<String> {
    let values = Values::of(graph);
    let real = values.order.iter().filter(|node| values.is_float(node));
    real.map(|node| label(node)).collect()
}

/// The same for a graph as it is in a file, before a runtime has made operators between
/// `DequantizeLinear` and `QuantizeLinear` into ones that compute in integers: these do not count.
pub(crate) fn float_operators_of_file(graph: &GraphProto) -> Vec<String> {
    let values = Values::of(graph);
    let grouped = values.grouped();
    let is_conversion =
        |node: &NodeProto| ["QuantizeLinear", "DequantizeLinear"].contains(&node.op_type.as_str());
    let counts = |node: &&&NodeProto| {
        let inside =
            grouped.contains(&id(node)) || is_conversion(node) && values.serves(node, &grouped);
        values.is_float(node) && !inside
    };
    values.order.iter().filter(counts).map(|node| label(node)).collect()
}

/// A node in lists.
pub(super) fn label(node: &NodeProto) -> String {
    let made = node.output.first().map(String::as_str).unwrap_or_default();
    operator_label(&node.op_type, if node.name.is_empty() { made } else { &node.name })
}

fn id(node: &NodeProto) -> *const NodeProto {
    node
}

/// What only moves values, or makes none that are computed.
const MOVES: [&str; 12] = [
    "Constant",
    "Flatten",
    "Identity",
    "ReorderInput",
    "ReorderOutput",
    "Reshape",
    "Shape",
    "Size",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "ConstantOfShape",
];

/// Whether an operator computes in integers, whatever the types of its inputs and outputs.
fn is_integer(kind: &str) -> bool {
    kind.starts_with("QLinear")
        || ["QGemm", "QAttention", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"].contains(&kind)
}

/// The values of a graph.
struct Values<'g> {
    order: Vec<&'g NodeProto>,
    types: ElementTypes<'g>,
    constants: HashSet<&'g str>,
    made_by: HashMap<&'g str, &'g NodeProto>,
    read_by: HashMap<&'g str, Vec<&'g NodeProto>>,
    /// Inputs, and what is made of them by moving alone.
    entry: HashSet<&'g str>,
    /// Outputs, and what becomes one by moving alone.
    exit: HashSet<&'g str>,
}

impl<'g> Values<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let mut values = Self {
            order: sorted(graph),
            types: ElementTypes::of(graph),
            constants: graph.initializer.iter().map(|c| c.name.as_str()).collect(),
            made_by: HashMap::new(),
            read_by: HashMap::new(),
            entry: graph.input.iter().map(|info| info.name.as_str()).collect(),
            exit: graph.output.iter().map(|info| info.name.as_str()).collect(),
        };
        for node in &values.order {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                values.made_by.insert(name, node);
            }
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                values.read_by.entry(name).or_default().push(node);
            }
        }
        let moves = |node: &NodeProto| MOVES.contains(&node.op_type.as_str());
        for node in values.order.iter().filter(|node| moves(node)) {
            if node.input.first().is_some_and(|name| values.entry.contains(name.as_str())) {
                values.entry.extend(node.output.iter().map(String::as_str));
            }
        }
        for node in values.order.iter().rev().filter(|node| moves(node)) {
            if node.output.iter().all(|name| values.exit.contains(name.as_str())) {
                values.exit.extend(node.input.first().map(String::as_str));
            }
        }
        values
    }

    /// Inputs that are no constants, nor made of constants by moving or conversion.
    fn inputs<'n>(&'n self, node: &'n NodeProto) -> impl Iterator<Item = &'n str> {
        node.input
            .iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty() && !self.is_fixed(name))
    }

    fn is_fixed(&self, name: &str) -> bool {
        if self.constants.contains(name) {
            return true;
        }
        let Some(maker) = self.made_by.get(name) else { return false };
        match maker.op_type.as_str() {
            "Constant" => true,
            "Identity" | "DequantizeLinear" | "QuantizeLinear" => {
                maker.input.iter().all(|name| self.constants.contains(name.as_str()))
            }
            _ => false,
        }
    }

    fn is_float(&self, node: &NodeProto) -> bool {
        let kind = node.op_type.as_str();
        let reads_real = self.inputs(node).any(|name| self.types.is_real(name));
        let makes_real = node.output.iter().any(|name| self.types.is_real(name));
        if MOVES.contains(&kind) || is_integer(kind) || !(reads_real || makes_real) {
            return false;
        }
        let from_entry = || self.inputs(node).all(|name| self.entry.contains(name));
        let to_exit = || node.output.iter().all(|name| self.exit.contains(name.as_str()));
        match kind {
            "QuantizeLinear" | "DynamicQuantizeLinear" => !from_entry(),
            "DequantizeLinear" => self.inputs(node).next().is_some() && !to_exit(),
            // Between real numbers and integers, at an end.
            "Cast" if reads_real != makes_real => !(from_entry() || to_exit()),
            _ => true,
        }
    }

    /// Operators whose real inputs all come from conversions of integers, and whose outputs all go
    /// into such conversions, perhaps through one operator more, such as a ReLU.
    fn grouped(&self) -> HashSet<*const NodeProto> {
        let mut grouped = HashSet::new();
        let conversion = |node: &NodeProto, kind: &str| node.op_type == kind;
        for node in &self.order {
            let from_integers = |name: &str| {
                let maker = self.made_by.get(name);
                maker.is_some_and(|maker| conversion(maker, "DequantizeLinear"))
            };
            let starts = self.inputs(node).all(from_integers) && self.inputs(node).next().is_some();
            if !starts || conversion(node, "QuantizeLinear") {
                continue;
            }
            let Some(readers) = self.readers(node) else { continue };
            if readers.iter().all(|reader| conversion(reader, "QuantizeLinear")) {
                grouped.insert(id(node));
            } else if let [activation] = readers[..]
                && ["Relu", "Clip"].contains(&activation.op_type.as_str())
                && self.readers(activation).is_some_and(|readers| {
                    readers.iter().all(|reader| conversion(reader, "QuantizeLinear"))
                })
            {
                grouped.extend([id(node), id(activation)]);
            }
        }
        grouped
    }

    /// Who reads what a node makes; nothing where that is an output, or nobody does.
    fn readers(&self, node: &NodeProto) -> Option<Vec<&'g NodeProto>> {
        let names = node.output.iter().filter(|name| !name.is_empty());
        let mut readers = Vec::new();
        for name in names {
            if self.exit.contains(name.as_str()) {
                return None;
            }
            readers.extend(self.read_by.get(name.as_str()).into_iter().flatten());
        }
        (!readers.is_empty()).then_some(readers)
    }

    /// Whether a conversion only stands between operators that compute in integers.
    fn serves(&self, node: &NodeProto, grouped: &HashSet<*const NodeProto>) -> bool {
        if node.op_type == "QuantizeLinear" {
            let makers = self.inputs(node).map(|name| self.made_by.get(name));
            return makers
                .into_iter()
                .all(|maker| maker.is_some_and(|maker| grouped.contains(&id(maker))));
        }
        let readers = self.readers(node);
        readers.is_some_and(|readers| readers.iter().all(|reader| grouped.contains(&id(reader))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{TensorProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type};

    fn info(name: &str) -> ValueInfoProto {
        let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: None });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// Lines are `output = operator input…`; names that begin with `%` are constants of real
    /// numbers, with `#` of 8-bit integers.
    fn graph(lines: &[&str]) -> GraphProto {
        let node = |line: &&str| {
            let (output, rest) = line.split_once(" = ").unwrap();
            let mut words = rest.split(' ');
            NodeProto {
                op_type: words.next().unwrap().into(),
                input: words.map(str::to_owned).collect(),
                output: vec![output.into()],
                name: format!("n-{output}"),
                ..Default::default()
            }
        };
        let node: Vec<NodeProto> = lines.iter().map(node).collect();
        let names = node.iter().flat_map(|node| node.input.clone());
        let constant = |name: String| {
            let data_type = match name.as_bytes()[0] {
                b'%' => data_type::FLOAT,
                b'#' => data_type::INT8,
                _ => return None,
            };
            Some(TensorProto { name, data_type, ..Default::default() })
        };
        GraphProto {
            initializer: names.filter_map(constant).collect(),
            node,
            input: vec![info("image")],
            output: vec![info("result")],
            ..Default::default()
        }
    }

    fn check(lines: &[&str], expected: &[&str]) {
        assert_eq!(float_operators(&graph(lines)), expected);
    }

    fn check_file(lines: &[&str], expected: &[&str]) {
        assert_eq!(float_operators_of_file(&graph(lines)), expected);
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

    #[test]
    fn operators_of_either_style_are_told_apart_by_types() {
        // QOperator style with one function in real numbers.
        let operators = [
            "q = QuantizeLinear image %s #z",
            "c = QLinearConv q %s #z #w %ws #wz %cs #cz",
            "d = DequantizeLinear c %cs #cz",
            "e = Erf d",
            "f = QuantizeLinear e %cs #cz",
            "result = DequantizeLinear f %cs #cz",
        ];
        let seam = ["DequantizeLinear (n-d)", "Erf (n-e)", "QuantizeLinear (n-f)"];
        check(&operators, &seam);
        // Weights whose scales are real constants are not.
        check(&["a = MatMulIntegerToFloat image #b %s", "result = Relu a"], &["Relu (n-result)"]);
        let dynamic =
            ["q = DynamicQuantizeLinear image", "a = MatMulInteger q #b", "result = Cast a"];
        check(&dynamic, &[]);
        check(&["m = Mul image %s", "result = Softmax m"], &["Mul (n-m)", "Softmax (n-result)"]);
    }

    /// The first input of a concatenation is the scale of its result, a real number.
    #[test]
    fn joined_integers_are_integers() {
        let operators = [
            "q = QuantizeLinear image %s #z",
            "c = QLinearConcat %cs #cz q %s #z q %s #z",
            "p = NhwcMaxPool c",
            "result = DequantizeLinear p %cs #cz",
        ];
        check(&operators, &[]);
    }

    #[test]
    fn in_a_file_operators_between_conversions_are_integers() {
        let quantized = [
            "q = QuantizeLinear image %s #z",
            "d = DequantizeLinear q %s #z",
            "w = DequantizeLinear #w %ws #wz",
            "c = Conv d w",
            "r = Relu c",
            "p = QuantizeLinear r %s #z",
            "result = DequantizeLinear p %s #z",
        ];
        check_file(&quantized, &[]);
        let half = [
            "q = QuantizeLinear image %s #z",
            "d = DequantizeLinear q %s #z",
            "w = DequantizeLinear #w %ws #wz",
            "c = Conv d w",
            "s = Sigmoid c",
            "m = Mul c s",
            "result = Conv m %w2",
        ];
        let real = ["Conv (n-c)", "Sigmoid (n-s)", "Mul (n-m)", "Conv (n-result)"];
        let found = float_operators_of_file(&graph(&half));
        assert!(real.iter().all(|name| found.iter().any(|found| found == name)), "{found:?}");
        assert!(!found.iter().any(|name| name.starts_with("Quantize")), "{found:?}");
    }
}
