//! Placement: which values of a graph carry a quantizer under a target's scheme.
//!
//! Trainer, latency measurement, exporter and integer executor all read the placed graph, so the
//! network that is trained is the one that is deployed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{QParams, Scheme, WeightRange};
use crate::graph::{ActivationKind, Graph, GraphError, Node, Op, OpKind, ValueId};

/// What is known of a quantized activation before any data is seen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ActivationRange {
    /// The value is never negative, so its zero point is 0.
    pub non_negative: bool,
    /// The value never exceeds this, so its scale is at most `max / 255`.
    pub max: Option<f32>,
}

impl ActivationRange {
    fn after(op: &Op) -> Self {
        let bounded = |max| Self { non_negative: true, max: Some(max) };
        match op.kind() {
            OpKind::Relu => Self { non_negative: true, max: None },
            OpKind::Relu6 => bounded(6.0),
            OpKind::Sigmoid | OpKind::HSigmoid => bounded(1.0),
            _ => Self::default(),
        }
    }

    /// What is known of all of these together.
    fn joined(ranges: impl Iterator<Item = Self>) -> Self {
        let joined = ranges.reduce(|a, b| Self {
            non_negative: a.non_negative && b.non_negative,
            max: a.max.zip(b.max).map(|(a, b)| a.max(b)),
        });
        joined.unwrap_or_default()
    }

    /// The largest scale that the range allows.
    pub fn max_scale(&self) -> Option<f32> {
        self.max.map(|max| max / 255.0)
    }
}

/// How one value of a placed graph is represented.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueQuant {
    /// In the middle of a fused operator: never materialized.
    Fused,
    /// 8-bit integers with their own scale and zero point.
    Own(ActivationRange),
    /// 8-bit integers with parameters that the scheme fixes.
    Fixed(QParams),
    /// 8-bit integers with the parameters of another value, which passes through unchanged, or is
    /// rounded to the same scale again, as averages are.
    SameAs(ValueId),
}

/// A graph with its quantizers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedGraph {
    /// The graph; composite activations are decomposed as the scheme says.
    pub graph: Graph,
    /// For each value how it is represented.
    pub values: Vec<ValueQuant>,
    /// For each node with weights the integers that they may hold.
    pub weights: Vec<Option<WeightRange>>,
}

/// Why quantizers cannot be placed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlacementError {
    /// The graph itself is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A batch normalization that cannot be folded.
    #[error(
        "node `{node}`: a batch normalization must directly follow a convolution that nothing \
         else reads, but it follows `{before}`"
    )]
    BatchNorm {
        /// The batch normalization.
        node: String,
        /// What it reads.
        before: String,
    },
}

impl PlacedGraph {
    /// The value whose parameters represent `value`; `None` inside a fused operator.
    pub fn source(&self, value: ValueId) -> Option<ValueId> {
        match self.values[value.index()] {
            ValueQuant::Fused => None,
            ValueQuant::Own(_) | ValueQuant::Fixed(_) => Some(value),
            ValueQuant::SameAs(other) => self.source(other),
        }
    }

    /// All values whose parameters are to be found: id, name and range.
    pub fn quantized(&self) -> impl Iterator<Item = (ValueId, &str, ActivationRange)> {
        self.values.iter().enumerate().filter_map(|(index, quant)| match quant {
            ValueQuant::Own(range) => {
                let id = ValueId(index as u32);
                Some((id, self.graph.value_name(id), *range))
            }
            _ => None,
        })
    }
}

/// Places quantizers: one on every value, except inside fused operators. A convolution's batch
/// normalization counts as part of the convolution.
pub fn place(graph: &Graph, scheme: &Scheme) -> Result<PlacedGraph, PlacementError> {
    let graph = decompose(graph, &scheme.decomposed);
    let shapes = graph.shapes()?;
    let consumers = graph.consumers();
    let mut values = vec![ValueQuant::Own(ActivationRange::default())];
    let mut weights = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let kind = match node.op.kind() {
            OpKind::BatchNorm => {
                check_batch_norm(&graph, &consumers, node)?;
                OpKind::Conv2d
            }
            kind => kind,
        };
        let value = ValueId::of_node(index);
        let reader = match consumers[value.index()][..] {
            [reader] if graph.output != value => Some(graph.nodes[reader].op.kind()),
            _ => None,
        };
        let folded = node.op.kind() == OpKind::Conv2d && reader == Some(OpKind::BatchNorm);
        let fused = reader.is_some_and(|reader| scheme.fused.contains(&(kind, reader)));
        values.push(if folded || fused {
            ValueQuant::Fused
        } else if matches!(kind, OpKind::MaxPool | OpKind::Dropout)
            || scheme.unscaled.contains(&kind)
        {
            ValueQuant::SameAs(node.inputs[0])
        } else if let Some((_, params)) = scheme.fixed.iter().find(|(fixed, _)| *fixed == kind) {
            ValueQuant::Fixed(*params)
        } else {
            ValueQuant::Own(match node.op {
                Op::Concat => {
                    ActivationRange::joined(node.inputs.iter().map(|input| range(&values, *input)))
                }
                _ => ActivationRange::after(&node.op),
            })
        });
        weights.push(match &node.op {
            Op::Conv2d(conv)
                if conv.groups > 1
                    && conv.groups == shapes[node.inputs[0].index()].channels
                    && conv.groups == conv.out_channels =>
            {
                Some(scheme.depthwise_weights)
            }
            Op::Conv2d(_) | Op::Linear { .. } => Some(scheme.dense_weights),
            _ => None,
        });
    }
    Ok(PlacedGraph { graph, values, weights })
}

/// What is known of a value that has parameters.
fn range(values: &[ValueQuant], value: ValueId) -> ActivationRange {
    match values[value.index()] {
        ValueQuant::Own(range) => range,
        ValueQuant::SameAs(other) => range(values, other),
        ValueQuant::Fixed(params) => ActivationRange {
            non_negative: params.zero_point == 0,
            max: Some(params.dequantize(u8::MAX)),
        },
        ValueQuant::Fused => ActivationRange::default(),
    }
}

fn check_batch_norm(
    graph: &Graph,
    consumers: &[Vec<usize>],
    node: &Node,
) -> Result<(), PlacementError> {
    let input = node.inputs[0];
    let follows_convolution =
        input.node().is_some_and(|before| graph.nodes[before].op.kind() == OpKind::Conv2d);
    if follows_convolution && consumers[input.index()].len() == 1 && graph.output != input {
        return Ok(());
    }
    let before = graph.value_name(input).to_owned();
    Err(PlacementError::BatchNorm { node: node.name.clone(), before })
}

fn decompose(graph: &Graph, kinds: &[ActivationKind]) -> Graph {
    let mut moved = vec![ValueId::INPUT];
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| moved[v.index()]).collect();
        if let Op::Activation { kind: kind @ ActivationKind::Swish } = node.op
            && kinds.contains(&kind)
        {
            let op = Op::Activation { kind: ActivationKind::Sigmoid };
            let sigmoid =
                Node { name: format!("{}.sigmoid", node.name), op, inputs: inputs.clone() };
            nodes.push(sigmoid);
            let gate = ValueId::of_node(nodes.len() - 1);
            nodes.push(Node {
                name: node.name.clone(),
                op: Op::Mul,
                inputs: vec![inputs[0], gate],
            });
        } else {
            nodes.push(Node { inputs, ..node.clone() });
        }
        moved.push(ValueId::of_node(nodes.len() - 1));
    }
    Graph { input: graph.input, output: moved[graph.output.index()], nodes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{ConvSpec, GraphBuilder, Pool, Shape},
        quant::tests::scheme,
    };

    fn check(graph: Graph, quantized: &[&str]) {
        let placed = place(&graph, &scheme()).unwrap();
        let names: Vec<&str> = placed.quantized().map(|(_, name, _)| name).collect();
        assert_eq!(names, quantized);
    }

    #[test]
    fn a_convolution_is_fused_with_its_norm_and_relu() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let x = b.input();
        let y = b.conv_bn_act("a", x, ConvSpec::new(8, 3), ActivationKind::Relu);
        let y = b.conv_bn("b", y, ConvSpec::new(8, 1));
        let y = b.add("sum", x, y);
        let y = b.act("act", y, ActivationKind::Relu);
        check(b.finish(y), &["input", "a.act", "b.bn", "act"]);
    }

    #[test]
    fn hard_swish_stands_between_two_quantizers() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let y = b.conv_bn_act("a", b.input(), ConvSpec::new(8, 3), ActivationKind::HSwish);
        check(b.finish(y), &["input", "a.bn", "a.act"]);
    }

    #[test]
    fn swish_is_a_sigmoid_and_a_product() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let y = b.conv_bn_act("a", b.input(), ConvSpec::new(8, 3), ActivationKind::Swish);
        check(b.finish(y), &["input", "a.bn", "a.act.sigmoid", "a.act"]);
    }

    #[test]
    fn a_value_that_is_read_twice_is_not_fused_away() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let y = b.conv_bn("a", b.input(), ConvSpec::new(8, 3));
        let z = b.act("z", y, ActivationKind::Relu);
        let y = b.add("sum", y, z);
        check(b.finish(y), &["input", "a.bn", "z", "sum"]);
    }

    #[test]
    fn joined_channels_are_quantized_together_and_know_what_all_of_them_know() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let x = b.conv_bn("x", b.input(), ConvSpec::new(8, 3));
        let six = b.act("six", x, ActivationKind::Relu6);
        let one = b.act("one", x, ActivationKind::Sigmoid);
        let pool = Pool { kernel: 3, stride: 1, padding: 1 };
        let pooled = b.node("pooled", Op::MaxPool(pool), &[six]);
        let bounded = b.concat("bounded", &[one, pooled]);
        let open = b.act("open", x, ActivationKind::Relu);
        let rectified = b.concat("rectified", &[bounded, open]);
        let all = b.concat("all", &[rectified, x]);
        let graph = b.finish(all);
        check(
            graph.clone(),
            &["input", "x.bn", "six", "one", "bounded", "open", "rectified", "all"],
        );
        let fixed = vec![(OpKind::Sigmoid, QParams { scale: 1.0 / 256.0, zero_point: 0 })];
        let placed = place(&graph, &Scheme { fixed, ..scheme() }).unwrap();
        let ranges: Vec<ActivationRange> =
            placed.quantized().map(|(_, _, range)| range).skip(3).collect();
        let range = |non_negative, max| ActivationRange { non_negative, max };
        let expected =
            [range(true, Some(6.0)), range(true, None), range(true, None), range(false, None)];
        assert_eq!(ranges, expected);
    }

    #[test]
    fn only_one_channel_a_group_both_ways_is_depth_wise() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let depthwise = b.conv("one", b.input(), ConvSpec::new(8, 3).groups(8));
        let multiplied = b.conv("two", depthwise, ConvSpec::new(16, 3).groups(8));
        let y = b.conv("grouped", multiplied, ConvSpec::new(16, 3).groups(4));
        let scheme = Scheme { dense_weights: WeightRange::Bits7, ..scheme() };
        let placed = place(&b.finish(y), &scheme).unwrap();
        assert_ne!(scheme.depthwise_weights, scheme.dense_weights);
        let [depthwise, dense] = [scheme.depthwise_weights, scheme.dense_weights].map(Some);
        assert_eq!(placed.weights, [depthwise, dense, dense]);
    }

    #[test]
    fn dropout_passes_its_input_through() {
        let mut b = GraphBuilder::new(Shape::square(8, 1));
        let y = b.node("drop", Op::Dropout { rate: 0.2 }, &[ValueId::INPUT]);
        let y = b.linear("fc", y, 4);
        let graph = b.finish(y);
        check(graph.clone(), &["input", "fc"]);
        assert_eq!(place(&graph, &scheme()).unwrap().source(ValueId(1)), Some(ValueId::INPUT));
    }

    #[test]
    fn a_scheme_can_fix_parameters_and_keep_those_of_inputs() {
        let params = QParams { scale: 1.0 / 256.0, zero_point: 0 };
        let (fixed, unscaled) = (vec![(OpKind::Sigmoid, params)], vec![OpKind::AvgPool]);
        let scheme = Scheme { fixed, unscaled, ..scheme() };
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let pool = Pool { kernel: 2, stride: 2, padding: 0 };
        let y = b.node("pool", Op::AvgPool(pool), &[ValueId::INPUT]);
        let y = b.act("swish", y, ActivationKind::Swish);
        let placed = place(&b.finish(y), &scheme).unwrap();
        let names: Vec<&str> = placed.quantized().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["input", "swish"]);
        assert_eq!(placed.source(ValueId(1)), Some(ValueId::INPUT));
        assert_eq!(placed.values[2], ValueQuant::Fixed(params));
    }

    #[test]
    fn a_lonely_batch_norm_is_an_error() {
        let mut b = GraphBuilder::new(Shape::square(8, 8));
        let y = b.act("relu", b.input(), ActivationKind::Relu);
        let y = b.node("bn", Op::BatchNorm { eps: 1e-5 }, &[y]);
        let error = place(&b.finish(y), &scheme()).unwrap_err().to_string();
        assert!(error.contains("`bn`") && error.contains("`relu`"), "{error}");
    }
}
