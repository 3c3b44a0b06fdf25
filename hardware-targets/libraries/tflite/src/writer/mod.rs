//! Writes networks as TFLite files: batch 1, the same bytes for the same network.
//!
//! The input is the tensor `image` (`1 × height × width × channels`), the output `result`; both
//! names are those of the signature `serving_default`. Integer networks follow TFLite's 8-bit
//! quantization specification and hold no real number: the input is `int8` with a scale and zero
//! point, as is every value, which bears its name in the graph; integers are those of the network
//! less 128. Weights are `int8` with one scale per output channel, biases `int32` with the scale
//! of the input times that of the weights.
//!
//! | operator | written as |
//! |---|---|
//! | convolution | `CONV_2D`, or `DEPTHWISE_CONV_2D` with a multiplier; behind a `PAD` where its padding is not TFLite's |
//! | linear layer | `FULLY_CONNECTED`, its weights in the order of the input's elements |
//! | ReLU, ReLU6 | part of the operator before them, where the network has no value between |
//! | hard-swish | `HARD_SWISH` |
//! | hard-sigmoid | in integers a 1×1 `DEPTHWISE_CONV_2D` with the weight 1/6 and the bias 1/2, whose result the range of 8 bits limits; else `ADD` with ReLU6 and `MUL` |
//! | sigmoid | `LOGISTIC`; in integers its result has the scale 1/256 and is rescaled where the network has another |
//! | global average | `MEAN` over rows and columns |
//! | concatenation | `CONCATENATION`; in integers behind a `QUANTIZE` for each input that has another scale or zero point than the result |
//! | average and maximum of windows | `AVERAGE_POOL_2D`, `MAX_POOL_2D`, rescaled where the network has another scale after them |

mod emit;
mod file;
mod padding;
mod weights;

use spacewright_core::{
    graph::{ActivationKind, Graph, Op, OpKind, Shape, ValueId},
    model::{INPUT, OUTPUT, WriteError, check_names},
    quant::{FloatNetwork, IntegerNetwork, QParams},
    target::{ModelInfo, ModelOutputs},
};

use crate::operators::{Fused, Kind, Options, RESHAPE};
use file::{Element, NamedTensors, Scales, TfliteFile};
use weights::Weights;

/// What is added to an integer of a file to get that of the network.
pub(crate) const SHIFT: i64 = 128;

/// Writes a network in floating point.
pub fn write_float(network: &FloatNetwork, info: &ModelInfo) -> Result<Vec<u8>, WriteError> {
    let writer = Writer::new(&network.graph, Weights::Float(&network.weights), None)?;
    writer.write(info, ModelOutputs::Result)
}

/// Writes a network in integers. With [`ModelOutputs::Integers`] every quantized value but the input is
/// an output under its name.
pub fn write_integer(
    network: &IntegerNetwork,
    info: &ModelInfo,
    outputs: ModelOutputs,
) -> Result<Vec<u8>, WriteError> {
    let weights = Weights::Integer(&network.weights);
    Writer::new(&network.graph, weights, Some(&network.values))?.write(info, outputs)
}

/// Nodes that are written as one operator: the first reads values, the last makes one.
struct Group {
    first: usize,
    value: ValueId,
    fused: Fused,
}

struct Writer<'a> {
    graph: &'a Graph,
    shapes: Vec<Shape>,
    /// By value: whether it is `1 × features` rather than `1 × height × width × channels`.
    flat: Vec<bool>,
    /// Parameters of every value of an integer network.
    values: Option<&'a [Option<QParams>]>,
    weights: Weights<'a>,
    file: TfliteFile,
    /// By value: its tensor, once that is in the file.
    tensors: Vec<Option<i32>>,
}

impl<'a> Writer<'a> {
    fn new(
        graph: &'a Graph,
        weights: Weights<'a>,
        values: Option<&'a [Option<QParams>]>,
    ) -> Result<Self, WriteError> {
        let shapes = graph.shapes()?;
        check_names(graph, "TFLite")?;
        let mut flat = vec![false];
        for node in &graph.nodes {
            flat.push(match node.op {
                Op::Linear { .. } => true,
                Op::Activation { kind: ActivationKind::HSigmoid } => false,
                Op::Activation { .. } => flat[node.inputs[0].index()],
                _ => false,
            });
        }
        let tensors = vec![None; shapes.len()];
        Ok(Self { graph, shapes, flat, values, weights, file: TfliteFile::new(), tensors })
    }

    fn write(mut self, info: &ModelInfo, outputs: ModelOutputs) -> Result<Vec<u8>, WriteError> {
        let input = self.make(ValueId::INPUT)?;
        let groups = self.groups()?;
        for group in &groups {
            self.emit(group)?;
        }
        let last = self.tensor(self.graph.output, "the network's output")?;
        let all = groups.iter().map(|group| group.value);
        let named: NamedTensors = match outputs {
            ModelOutputs::Result => vec![(OUTPUT.to_owned(), last)],
            ModelOutputs::Integers => all
                .filter_map(|value| {
                    let tensor = self.tensors[value.index()]?;
                    Some((self.graph.value_name(value).to_owned(), tensor))
                })
                .collect(),
        };
        Ok(self.file.finish(info, &vec![(INPUT.to_owned(), input)], &named))
    }

    /// The groups of nodes that are written as one operator each. A value stands inside such a group
    /// if it has no parameters in an integer network, or if only a ReLU or ReLU6 reads it in a network
    /// of real numbers.
    fn groups(&self) -> Result<Vec<Group>, WriteError> {
        let consumers = self.graph.consumers();
        let inside = |value: ValueId| match (self.values, value.node()) {
            (_, None) => false,
            (Some(values), _) => values.get(value.index()).copied().flatten().is_none(),
            (None, Some(node)) => {
                let kinds = [OpKind::Conv2d, OpKind::Linear, OpKind::Add, OpKind::Mul];
                let reader = match consumers[value.index()][..] {
                    [reader] if value != self.graph.output => self.graph.nodes[reader].op.kind(),
                    _ => return false,
                };
                kinds.contains(&self.graph.nodes[node].op.kind())
                    && matches!(reader, OpKind::Relu | OpKind::Relu6)
            }
        };
        let mut groups = Vec::new();
        for index in 0..self.graph.nodes.len() {
            let value = ValueId::of_node(index);
            if inside(value) {
                continue;
            }
            let (mut first, mut fused) = (index, Fused::Nothing);
            while let Op::Activation { kind } = self.graph.nodes[first].op {
                let input = self.graph.nodes[first].inputs[0];
                let Some(before) = input.node().filter(|_| inside(input)) else { break };
                fused = match kind {
                    ActivationKind::Relu6 => Fused::Relu6,
                    ActivationKind::Relu if fused == Fused::Nothing => Fused::Relu,
                    ActivationKind::Relu => fused,
                    _ => return Err(self.node_error(first, "needs a quantizer on its input")),
                };
                first = before;
            }
            groups.push(Group { first, value, fused });
        }
        Ok(groups)
    }

    fn node_error(&self, node: usize, reason: impl Into<String>) -> WriteError {
        WriteError::Node { node: self.graph.nodes[node].name.clone(), reason: reason.into() }
    }

    fn params(&self, value: ValueId) -> Option<QParams> {
        self.values.and_then(|values| values.get(value.index()).copied().flatten())
    }

    fn element(&self) -> Element {
        if self.values.is_some() { Element::Int8 } else { Element::Float32 }
    }

    fn dims(&self, value: ValueId) -> Vec<usize> {
        let Shape { channels, height, width } = self.shapes[value.index()];
        if self.flat[value.index()] { vec![1, channels] } else { vec![1, height, width, channels] }
    }

    /// Adds the tensor of a value to the file.
    fn make(&mut self, value: ValueId) -> Result<i32, WriteError> {
        let name = self.graph.value_name(value).to_owned();
        let scales = match (self.values, self.params(value)) {
            (Some(_), None) => {
                return Err(WriteError::Node { node: name, reason: "has no quantizer".into() });
            }
            (_, params) => params.map(per_tensor),
        };
        let tensor = self.file.value(&name, &self.dims(value), self.element(), scales);
        self.tensors[value.index()] = Some(tensor);
        Ok(tensor)
    }

    fn tensor(&self, value: ValueId, reader: &str) -> Result<i32, WriteError> {
        self.tensors[value.index()].ok_or_else(|| WriteError::Node {
            node: reader.to_owned(),
            reason: format!("reads `{}`, which has no quantizer", self.graph.value_name(value)),
        })
    }

    /// The tensor that a node reads, with four dimensions.
    fn map(&mut self, value: ValueId, reader: usize) -> Result<i32, WriteError> {
        let tensor = self.tensor(value, &self.graph.nodes[reader].name)?;
        if !self.flat[value.index()] {
            return Ok(tensor);
        }
        let shape = [1, 1, 1, self.shapes[value.index()].elements()];
        let name = format!("{}:map", self.graph.value_name(value));
        let sizes = self.file.integers(&format!("{name}:shape"), &[4], &shape.map(|n| n as i32));
        let scales = self.params(value).map(per_tensor);
        let mapped = self.file.value(&name, &shape, self.element(), scales);
        self.file.operator(RESHAPE, &[tensor, sizes], mapped, None);
        Ok(mapped)
    }

    fn operator(&mut self, kind: Kind, inputs: &[i32], output: i32, options: Options) {
        self.file.operator(kind, inputs, output, Some(options));
    }
}

/// Parameters as the file has them.
fn per_tensor(params: QParams) -> Scales {
    let zero_point = i64::from(params.zero_point) - SHIFT;
    Scales { scales: vec![params.scale], zero_point, axis: 0 }
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        graph::{ConvSpec, GraphBuilder, Padding, Pool},
        model::Scales as Steps,
        quant::{IntegerWeights, Rounding},
    };

    use super::*;
    use crate::read;

    fn integers(shape: &[usize]) -> IntegerWeights {
        let data = (0..shape.iter().product::<usize>()).map(|i| (i % 7) as i8 - 3).collect();
        let (scales, bias) = (vec![0.2; shape[0]], vec![5; shape[0]]);
        IntegerWeights { shape: shape.to_vec(), data, scales, bias }
    }

    fn network() -> IntegerNetwork {
        let mut b = GraphBuilder::new(Shape::square(2, 4));
        let padding = Padding { top: 1, left: 1, bottom: 1, right: 1 };
        let spec = ConvSpec::new(4, 3).stride(2).padding(padding);
        let x = b.conv("c", b.input(), spec);
        let x = b.act("act", x, ActivationKind::Relu6);
        let x = b.conv("dw", x, ConvSpec::new(8, 3).groups(4));
        let gate = b.global_avg_pool("gap", x);
        let gate = b.act("gate", gate, ActivationKind::HSigmoid);
        let x = b.mul("se", x, gate);
        let x = b.node("max", Op::MaxPool(Pool { kernel: 2, stride: 1, padding: 0 }), &[x]);
        let x = b.act("hs", x, ActivationKind::HSwish);
        let x = b.act("sig", x, ActivationKind::Sigmoid);
        let x = b.concat("all", &[x, gate, x]);
        let x = b.linear("fc", x, 4);
        let graph = b.finish(x);
        let params = |scale, zero_point| Some(QParams { scale, zero_point });
        let values = vec![
            params(0.01, 128),
            None,
            params(6.0 / 255.0, 0),
            params(0.02, 120),
            params(0.02, 110),
            params(1.0 / 255.0, 0),
            params(0.02, 128),
            params(0.03, 128),
            params(0.02, 30),
            params(0.003, 0),
            params(0.003, 0),
            params(0.1, 100),
        ];
        let weights = [
            ("c".to_owned(), integers(&[4, 2, 3, 3])),
            ("dw".to_owned(), integers(&[8, 1, 3, 3])),
            ("fc".to_owned(), integers(&[4, 24])),
        ];
        IntegerNetwork { graph, values, weights: weights.into(), rounding: Rounding::FixedPoint }
    }

    fn file(outputs: ModelOutputs) -> Vec<u8> {
        let metadata = [("study".to_owned(), "s1".to_owned())].into();
        let info = ModelInfo { name: "small".into(), metadata };
        write_integer(&network(), &info, outputs).unwrap()
    }

    #[test]
    fn every_operator_has_its_counterpart_in_integers() {
        let summary = read(&file(ModelOutputs::Result)).unwrap();
        let kinds: Vec<&str> = summary.operators.iter().map(|o| o.kind.as_str()).collect();
        let expected = [
            "PAD",
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "MEAN",
            "DEPTHWISE_CONV_2D",
            "MUL",
            "MAX_POOL_2D",
            "QUANTIZE",
            "HARD_SWISH",
            "LOGISTIC",
            "QUANTIZE",
            "QUANTIZE",
            "CONCATENATION",
            "FULLY_CONNECTED",
        ];
        assert_eq!(kinds, expected);
        assert_eq!(summary.float_operators, [""; 0]);
    }

    #[test]
    fn tensors_follow_the_quantization_specification() {
        let summary = read(&file(ModelOutputs::Result)).unwrap();
        let input = &summary.inputs[0];
        assert_eq!((input.name.as_str(), &input.shape[..]), (INPUT, &[1, 4, 4, 2][..]));
        assert_eq!((input.element.as_str(), input.zero_point), ("int8", Some(0)));
        let output = &summary.outputs[0];
        assert_eq!((output.name.as_str(), &output.shape[..]), (OUTPUT, &[1, 4][..]));
        assert_eq!(output.zero_point, Some(100 - 128));
        let tensor = |place: usize| &summary.tensors[place];
        let [_, kernel, bias] = summary.operators[2].inputs[..] else { panic!("three inputs") };
        let (kernel, bias) = (tensor(kernel), tensor(bias));
        assert_eq!((kernel.element.as_str(), &kernel.shape[..]), ("int8", &[1, 3, 3, 8][..]));
        assert_eq!((kernel.scales.unwrap().count, kernel.zero_point), (8, Some(0)));
        assert_eq!((bias.element.as_str(), &bias.shape[..]), ("int32", &[8][..]));
        assert_eq!(bias.scales, Steps::of([0.2 * (6.0 / 255.0); 8]));
        let logistic = tensor(summary.operators[9].outputs[0]);
        assert_eq!((logistic.scales, logistic.zero_point), (Steps::of([1.0 / 256.0]), Some(-128)));
    }

    #[test]
    fn bytes_are_deterministic_and_metadata_is_kept() {
        let bytes = file(ModelOutputs::Integers);
        assert_eq!(bytes, file(ModelOutputs::Integers));
        let summary = read(&bytes).unwrap();
        assert_eq!((summary.name.as_str(), summary.metadata["study"].as_str()), ("small", "s1"));
        let outputs: Vec<&str> = summary.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(outputs, ["act", "dw", "gap", "gate", "se", "max", "hs", "sig", "all", "fc"]);
    }

    #[test]
    fn constants_begin_at_multiples_of_sixteen() {
        let bytes = file(ModelOutputs::Result);
        let kernel: Vec<u8> = network().weights["fc"].data.iter().map(|&w| w as u8).collect();
        let at = bytes.windows(kernel.len()).position(|window| window == kernel).unwrap();
        assert_eq!(at % 16, 0);
    }

    #[test]
    fn reserved_names_and_missing_weights_are_errors() {
        let check = |network: &IntegerNetwork, expected: &str| {
            let error = write_integer(network, &ModelInfo::default(), ModelOutputs::Result);
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        let mut bad = network();
        bad.weights.clear();
        check(&bad, "node `c`: the network has no weights for it");
        bad.graph.nodes[0].name = "a:b".into();
        check(&bad, "node `a:b`: rename it");
        let mut open = network();
        open.values[3] = None;
        check(&open, "node `gap`: reads `dw`, which has no quantizer");
    }

    #[test]
    fn real_numbers_stay_real() {
        let mut b = GraphBuilder::new(Shape::square(1, 4));
        let x = b.conv("c", b.input(), ConvSpec::new(2, 3));
        let x = b.act("act", x, ActivationKind::Relu);
        let x = b.act("gate", x, ActivationKind::HSigmoid);
        let graph = b.finish(x);
        let kernel =
            spacewright_core::quant::TensorData { shape: vec![2, 1, 3, 3], data: vec![0.1; 18] };
        let weights = [("c.weight".to_owned(), kernel)].into();
        let file = write_float(&FloatNetwork { graph, weights }, &ModelInfo::default()).unwrap();
        let summary = read(&file).unwrap();
        let kinds: Vec<&str> = summary.operators.iter().map(|o| o.kind.as_str()).collect();
        assert_eq!(kinds, ["CONV_2D", "ADD", "MUL"]);
        assert_eq!(summary.float_operators.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_errors_or_other_files(at in 0usize..4000, byte in 0u8..=255) {
            let mut bytes = file(ModelOutputs::Result);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read(&bytes);
            let _ = read(&bytes[..at]);
        }
    }
}
