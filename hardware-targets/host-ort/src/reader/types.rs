//! Element types of all values of an ONNX graph, where they are declared or follow from operators.

use std::collections::HashMap;

use super::order::sorted;
use crate::proto::{GraphProto, NodeProto, ValueInfoProto, data_type};

/// Element types by the names of values.
pub(crate) struct ElementTypes<'g> {
    known: HashMap<&'g str, i32>,
}

impl<'g> ElementTypes<'g> {
    /// Declared types, and those that follow from them. Values whose types do not follow, such as
    /// those of loops, are left out.
    pub(crate) fn of(graph: &'g GraphProto) -> Self {
        let declared = graph.value_info.iter().chain(&graph.output).chain(&graph.input);
        let mut known: HashMap<&str, i32> =
            declared.filter_map(|info| Some((info.name.as_str(), declared_type(info)?))).collect();
        known.extend(graph.initializer.iter().map(|c| (c.name.as_str(), c.data_type)));
        let mut types = Self { known };
        for node in sorted(graph) {
            for (at, output) in node.output.iter().enumerate() {
                if !types.known.contains_key(output.as_str())
                    && let Some(made) = types.made(node, at)
                {
                    types.known.insert(output, made);
                }
            }
        }
        types
    }

    /// The type of a value.
    pub(crate) fn get(&self, name: &str) -> Option<i32> {
        self.known.get(name).copied()
    }

    /// Whether a value is known to have real elements.
    pub(crate) fn is_real(&self, name: &str) -> bool {
        self.get(name).is_some_and(data_type::is_real)
    }

    /// The type of what a node makes as its output number `at`.
    fn made(&self, node: &NodeProto, at: usize) -> Option<i32> {
        use data_type::{BOOL, FLOAT, INT32, INT64, UINT8};
        let input = |at: usize| self.get(node.input.get(at).filter(|name| !name.is_empty())?);
        let first = || node.input.iter().find_map(|name| self.get(name));
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
        let number = |name: &str| attribute(name).map(|a| a.i as i32);
        match node.op_type.as_str() {
            "QuantizeLinear" => Some(input(2).or(number("output_dtype")).unwrap_or(UINT8)),
            "DynamicQuantizeLinear" => Some(if at == 1 { FLOAT } else { UINT8 }),
            "DequantizeLinear" => Some(input(1).unwrap_or(FLOAT)),
            "ConvInteger" | "MatMulInteger" | "MatMulInteger16" => Some(INT32),
            "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => Some(FLOAT),
            "QLinearConv" | "QLinearMatMul" => input(7).or_else(first),
            "QLinearConcat" => input(1),
            "QGemm" => Some(input(8).unwrap_or(FLOAT)),
            "Cast" => number("to"),
            "EyeLike" | "RandomNormal" | "RandomUniform" | "RandomNormalLike"
            | "RandomUniformLike" | "Multinomial" => number("dtype").or_else(first),
            "Constant" => attribute("value")
                .and_then(|value| Some(value.t.as_ref()?.data_type))
                .or(attribute("value_float").or(attribute("value_floats")).map(|_| FLOAT))
                .or(attribute("value_int").or(attribute("value_ints")).map(|_| INT64)),
            "ConstantOfShape" => {
                let value = attribute("value").and_then(|value| value.t.as_ref());
                Some(value.map_or(FLOAT, |value| value.data_type))
            }
            "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression" => Some(INT64),
            "TopK" | "MaxPool" | "Unique" if at > 0 => Some(INT64),
            "Dropout" if at > 0 => Some(BOOL),
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or"
            | "Xor" | "Not" | "IsNaN" | "IsInf" => Some(BOOL),
            "Where" => input(1).or_else(|| input(2)),
            "OneHot" => input(2),
            "Gather" | "GatherElements" | "GatherND" => input(0),
            "If" | "Loop" | "Scan" | "SequenceAt" => None,
            _ => first(),
        }
    }
}

fn declared_type(info: &ValueInfoProto) -> Option<i32> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    (tensor.elem_type != 0).then_some(tensor.elem_type)
}
