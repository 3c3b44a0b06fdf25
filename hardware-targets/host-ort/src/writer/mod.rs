//! Writes networks as ONNX: opset 17, batch 1, the same bytes for the same network.
//!
//! The graph's input is the tensor `image` (`1 × channels × height × width`, real numbers) and its
//! output the tensor `result`. Integer networks are written as QDQ: every quantized value is a
//! `uint8` tensor that bears the value's name, made by a `QuantizeLinear` and read through a
//! `DequantizeLinear`; weights are `int8` with a scale per output channel and biases `int32` with
//! the scale of the input times that of the weights. Changes of shape are applied to the `uint8`
//! tensor itself, so that no real number stands between two integer operators.

mod onnx_graph;
mod ops;
mod weights;

use std::collections::HashSet;

use prost::Message;
use spacewright_core::{
    graph::{ActivationKind, Graph, Op, Shape, ValueId},
    model::{INPUT, OUTPUT, WriteError, check_names},
    quant::{FloatNetwork, IntegerNetwork, QParams},
    target::{ModelInfo, ModelOutputs},
};

use crate::proto::data_type;
use onnx_graph::OnnxGraph;
use weights::Weights;

/// Writes a network in floating point.
pub fn write_float(network: &FloatNetwork, info: &ModelInfo) -> Result<Vec<u8>, WriteError> {
    let writer = Writer::new(&network.graph, Weights::Float(&network.weights), None)?;
    writer.write(info, ModelOutputs::Result)
}

/// Writes a network in integers.
pub fn write_integer(
    network: &IntegerNetwork,
    info: &ModelInfo,
    outputs: ModelOutputs,
) -> Result<Vec<u8>, WriteError> {
    let weights = Weights::Integer(&network.weights);
    Writer::new(&network.graph, weights, Some(&network.values))?.write(info, outputs)
}

struct Writer<'a> {
    graph: &'a Graph,
    shapes: Vec<Shape>,
    /// Whether a value is `1 × features` rather than `1 × channels × height × width`.
    flat: Vec<bool>,
    values: Option<&'a [Option<QParams>]>,
    weights: Weights<'a>,
    onnx: OnnxGraph,
    /// Tensors that were added for several readers: reshaped or dequantized values.
    made: HashSet<String>,
}

impl<'a> Writer<'a> {
    fn new(
        graph: &'a Graph,
        weights: Weights<'a>,
        values: Option<&'a [Option<QParams>]>,
    ) -> Result<Self, WriteError> {
        let shapes = graph.shapes()?;
        check_names(graph, "ONNX")?;
        let mut flat = vec![false];
        for node in &graph.nodes {
            flat.push(match node.op {
                Op::Linear { .. } => true,
                Op::Activation { .. } | Op::Dropout { .. } => flat[node.inputs[0].index()],
                _ => false,
            });
        }
        let (onnx, made) = (OnnxGraph::default(), HashSet::new());
        Ok(Self { graph, shapes, flat, values, weights, onnx, made })
    }

    fn write(mut self, info: &ModelInfo, outputs: ModelOutputs) -> Result<Vec<u8>, WriteError> {
        let input = self.dims(ValueId::INPUT);
        self.onnx.input(INPUT, data_type::FLOAT, &input);
        let output = self.dims(self.graph.output);
        self.onnx.output(OUTPUT, data_type::FLOAT, &output);
        if let Some(params) = self.params(ValueId::INPUT) {
            let stored = self.stored(ValueId::INPUT);
            self.onnx.quantize(INPUT, &stored, params);
        }
        for index in 0..self.graph.nodes.len() {
            self.node(index)?;
        }
        let stored = self.stored(self.graph.output);
        match (self.values, self.params(self.graph.output)) {
            (Some(_), Some(params)) => self.onnx.dequantize(&stored, OUTPUT, params),
            (Some(_), None) => {
                let node = self.graph.value_name(self.graph.output).to_owned();
                let reason = "the network's output has no quantizer".into();
                return Err(WriteError::Node { node, reason });
            }
            (None, _) => self.onnx.node("Identity", OUTPUT, &[&stored], &[OUTPUT], vec![]),
        }
        if outputs == ModelOutputs::Integers {
            for index in 0..self.shapes.len() {
                let value = ValueId(index as u32);
                if self.params(value).is_some() {
                    let dims = self.dims(value);
                    self.onnx.output(&self.stored(value), data_type::UINT8, &dims);
                }
            }
        }
        Ok(self.onnx.finish(info).encode_to_vec())
    }

    fn dims(&self, value: ValueId) -> Vec<i64> {
        let Shape { channels, height, width } = self.shapes[value.index()];
        if self.flat[value.index()] {
            vec![1, channels as i64]
        } else {
            vec![1, channels as i64, height as i64, width as i64]
        }
    }

    fn params(&self, value: ValueId) -> Option<QParams> {
        self.values.and_then(|values| values.get(value.index()).copied().flatten())
    }

    /// The tensor that holds a value: integers where it has a quantizer.
    fn stored(&self, value: ValueId) -> String {
        let name = self.graph.value_name(value);
        match (self.params(value), value) {
            (Some(_), _) => name.to_owned(),
            (None, ValueId::INPUT) => INPUT.to_owned(),
            (None, _) => format!("{name}:real"),
        }
    }

    /// The tensor of real numbers that a node reads.
    fn operand(&mut self, value: ValueId, flat: bool) -> String {
        let mut stored = self.stored(value);
        if self.flat[value.index()] != flat {
            let reshaped = format!("{stored}:{}", if flat { "flat" } else { "map" });
            if self.made.insert(reshaped.clone()) {
                let Shape { channels, height, width } = self.shapes[value.index()];
                let elements = (channels * height * width) as i64;
                let dims = if flat { vec![1, elements] } else { vec![1, elements, 1, 1] };
                self.onnx.reshape(&stored, &reshaped, &dims);
            }
            stored = reshaped;
        }
        let Some(params) = self.params(value) else { return stored };
        let real = format!("{stored}:real");
        if self.made.insert(real.clone()) {
            self.onnx.dequantize(&stored, &real, params);
        }
        real
    }

    fn node(&mut self, index: usize) -> Result<(), WriteError> {
        let node = &self.graph.nodes[index];
        let value = ValueId::of_node(index);
        let flat = self.flat[value.index()];
        let mut inputs: Vec<String> =
            node.inputs.iter().map(|&input| self.operand(input, flat)).collect();
        if matches!(node.op, Op::Conv2d(_) | Op::Linear { .. }) {
            let scale = self.params(node.inputs[0]).map(|params| params.scale);
            inputs.extend(self.weights.write(&mut self.onnx, &node.name, scale)?);
        }
        let stored = self.stored(value);
        let quantized = self.params(value);
        let result = if quantized.is_some() { format!("{stored}:raw") } else { stored.clone() };
        if let Op::Activation { kind: ActivationKind::Swish } = node.op {
            let gate = format!("{}:gate", node.name);
            self.onnx.node("Sigmoid", &gate, &[&inputs[0]], &[&gate], vec![]);
            inputs.push(gate);
        }
        if let Op::Activation { kind: ActivationKind::Relu6 } = node.op {
            inputs.extend([self.onnx.constant(0.0), self.onnx.constant(6.0)]);
        }
        let (op, attributes) = ops::onnx(&node.op).ok_or_else(|| WriteError::Node {
            node: node.name.clone(),
            reason: "must be folded before a network is written".into(),
        })?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.onnx.node(op, &node.name, &inputs, &[&result], attributes);
        if let Some(params) = quantized {
            self.onnx.quantize(&result, &stored, params);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ModelProto;
    use spacewright_core::{
        graph::{ConvSpec, GraphBuilder, Padding, Pool},
        quant::{IntegerWeights, Rounding},
    };

    fn integers(shape: &[usize]) -> IntegerWeights {
        let data = (0..shape.iter().product::<usize>()).map(|i| (i % 7) as i8 - 3).collect();
        let (scales, bias) = (vec![0.01; shape[0]], vec![5; shape[0]]);
        IntegerWeights { shape: shape.to_vec(), data, scales, bias }
    }

    fn network() -> IntegerNetwork {
        let mut b = GraphBuilder::new(Shape::square(2, 4));
        let padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };
        let spec = ConvSpec::new(3, 3).stride(2).padding(padding);
        let x = b.conv("c", b.input(), spec);
        let x = b.act("act", x, ActivationKind::Relu6);
        let x = b.node("max", Op::MaxPool(Pool { kernel: 2, stride: 1, padding: 0 }), &[x]);
        let x = b.linear("fc", x, 4);
        let graph = b.finish(x);
        let params = |scale, zero_point| Some(QParams { scale, zero_point });
        let act = params(6.0 / 255.0, 0);
        let values = vec![params(0.01, 128), None, act, act, params(0.1, 100)];
        let weights =
            [("c".to_owned(), integers(&[3, 2, 3, 3])), ("fc".to_owned(), integers(&[4, 3]))];
        IntegerNetwork { graph, values, weights: weights.into(), rounding: Rounding::Float }
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        let graph = ModelProto::decode(bytes).unwrap().graph.unwrap();
        let line = |node: &crate::proto::NodeProto| {
            format!("{} = {}({})", node.output.join(", "), node.op_type, node.input.join(", "))
        };
        graph.node.iter().map(line).collect()
    }

    #[test]
    fn integers_stand_between_quantize_and_dequantize() {
        let bytes = write_integer(&network(), &ModelInfo::default(), ModelOutputs::Result).unwrap();
        let lines = read(&bytes);
        for line in [
            "input = QuantizeLinear(image, input:scale, input:zero)",
            "c:real = Conv(input:real, c.weight:real, c.bias:real)",
            "act:raw = Clip(c:real, constant:0, constant:6)",
            "act = QuantizeLinear(act:raw, act:scale, act:zero)",
            "max:flat = Reshape(max, max:flat:shape)",
            "fc:raw = Gemm(max:flat:real, fc.weight:real, fc.bias:real)",
            "result = DequantizeLinear(fc, result:scale, result:zero)",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} not in {lines:#?}");
        }
    }

    #[test]
    fn bytes_are_deterministic_and_metadata_is_kept() {
        let metadata = [("study".to_owned(), "s1".to_owned())].into();
        let info = ModelInfo { name: "small".into(), metadata };
        let write = || write_integer(&network(), &info, ModelOutputs::Integers).unwrap();
        assert_eq!(write(), write());
        let model = ModelProto::decode(write().as_slice()).unwrap();
        assert_eq!(model.metadata_props[0].value, "s1");
        let graph = model.graph.unwrap();
        let outputs: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(outputs, ["result", "input", "act", "max", "fc"]);
    }

    #[test]
    fn reserved_names_and_missing_weights_are_errors() {
        let mut bad = network();
        bad.weights.clear();
        let error = write_integer(&bad, &ModelInfo::default(), ModelOutputs::Result).unwrap_err();
        assert_eq!(error.to_string(), "node `c`: the network has no weights for it");
        bad.graph.nodes[0].name = "image".into();
        let error = write_integer(&bad, &ModelInfo::default(), ModelOutputs::Result).unwrap_err();
        assert!(error.to_string().starts_with("node `image`: rename it"), "{error}");
    }
}
