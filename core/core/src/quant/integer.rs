//! A reference executor for integer networks: what a runtime must compute, operator by operator.
//!
//! Requantization follows ONNX Runtime: accumulate in `i32`, scale in `f32`, round to the nearest
//! integer with ties to even, add the zero point, clamp to 0…255; or TFLite's own kernels, which
//! scale in fixed point ([`Rounding`]). Every element comes with its position before rounding, so
//! that a difference to a runtime can be told to be a rounding tie or a mistake.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    IntegerNetwork, IntegerWeights, QParams, Rounding, fixed_point,
    kernels::{self, Centred},
    raw::Raw,
};
use crate::graph::{ActivationKind, GraphError, Op, Shape, ValueId};

/// A value of an integer network for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedValue {
    /// 0…255.
    pub integers: Vec<u8>,
    /// Where each element lies on the integers' axis before rounding and clamping, zero point
    /// included.
    pub positions: Vec<f64>,
}

impl QuantizedValue {
    pub(super) fn round(positions: Vec<f32>, params: QParams) -> Self {
        let zero = f32::from(params.zero_point);
        let round = |p: &f32| (p.round_ties_even() + zero).clamp(0.0, 255.0) as u8;
        Self {
            integers: positions.iter().map(round).collect(),
            positions: positions.iter().map(|&p| f64::from(p) + f64::from(zero)).collect(),
        }
    }
}

/// How the observed output of one operator compares with its recomputation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCheck {
    /// Name of the value that was compared.
    pub value: String,
    /// Number of elements.
    pub elements: usize,
    /// Elements that are equal.
    pub equal: usize,
    /// Elements that differ by one step where the position is within 0.001 of a rounding tie.
    pub ties: usize,
    /// All others.
    pub wrong: usize,
}

/// Why an integer network cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IntegerError {
    /// The graph itself is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Something is not where the node needs it.
    #[error("node `{node}`: {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that is missing or too long or too short.
    #[error("value `{value}`: expected {expected} elements, found {found}")]
    Length {
        /// Name of the value.
        value: String,
        /// What its shape asks for.
        expected: usize,
        /// What is there.
        found: usize,
    },
}

/// Operators that run as one: the first reads quantized values, the last makes one.
struct Group {
    first: usize,
    value: ValueId,
    params: QParams,
    fused: Vec<ActivationKind>,
}

impl IntegerNetwork {
    /// Executes the network for one image, `channels × height × width`; gives every quantized
    /// value by name.
    pub fn run(&self, image: &[f32]) -> Result<BTreeMap<String, QuantizedValue>, IntegerError> {
        let shapes = self.graph.shapes()?;
        let input = self.graph.value_name(ValueId::INPUT).to_owned();
        self.check_length(&input, self.graph.input, image.len())?;
        let params = self.params(ValueId::INPUT, "input")?;
        let scaled = image.iter().map(|x| x / params.scale).collect();
        let mut values = BTreeMap::from([(input, QuantizedValue::round(scaled, params))]);
        for group in self.groups()? {
            let value = self.compute(&group, &shapes, |name| {
                values.get(name).map(|value| value.integers.as_slice())
            })?;
            values.insert(self.graph.value_name(group.value).to_owned(), value);
        }
        Ok(values)
    }

    /// The network's output for one image in real numbers.
    pub fn result(&self, image: &[f32]) -> Result<Vec<f32>, IntegerError> {
        let mut values = self.run(image)?;
        let name = self.graph.value_name(self.graph.output);
        let params = self.params(self.graph.output, name)?;
        let integers = values.remove(name).map(|value| value.integers).unwrap_or_default();
        Ok(integers.into_iter().map(|q| params.dequantize(q)).collect())
    }

    fn params(&self, value: ValueId, node: &str) -> Result<QParams, IntegerError> {
        self.values.get(value.index()).copied().flatten().ok_or_else(|| IntegerError::Node {
            node: node.to_owned(),
            reason: format!("`{}` has no quantizer", self.graph.value_name(value)),
        })
    }

    fn check_length(&self, value: &str, shape: Shape, found: usize) -> Result<(), IntegerError> {
        let expected = shape.elements();
        if expected == found {
            return Ok(());
        }
        Err(IntegerError::Length { value: value.to_owned(), expected, found })
    }

    fn groups(&self) -> Result<Vec<Group>, IntegerError> {
        let mut groups = Vec::new();
        for index in 0..self.graph.nodes.len() {
            let value = ValueId::of_node(index);
            let Some(params) = self.values.get(value.index()).copied().flatten() else { continue };
            let mut fused = Vec::new();
            let mut first = index;
            while let Op::Activation { kind } = self.graph.nodes[first].op {
                let input = self.graph.nodes[first].inputs[0];
                let (Some(before), None) = (input.node(), self.values[input.index()]) else {
                    break;
                };
                fused.push(kind);
                first = before;
            }
            fused.reverse();
            groups.push(Group { first, value, params, fused });
        }
        Ok(groups)
    }

    fn compute<'a>(
        &self,
        group: &Group,
        shapes: &[Shape],
        integers: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<QuantizedValue, IntegerError> {
        let node = &self.graph.nodes[group.first];
        let node_error = |reason: String| IntegerError::Node { node: node.name.clone(), reason };
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            let name = self.graph.value_name(input);
            let data = integers(name).unwrap_or_default();
            let shape = shapes[input.index()];
            self.check_length(name, shape, data.len())?;
            inputs.push(Centred::new(shape, self.params(input, &node.name)?, data));
        }
        let weights = || {
            let weights = self.weights.get(&node.name);
            weights.ok_or_else(|| node_error("the network has no weights for it".into()))
        };
        let (x, out, y) = (&inputs[0], shapes[group.first + 1], group.params);
        let fixed = self.rounding == Rounding::FixedPoint;
        let raw = |positions: Vec<f32>, integers: &dyn Fn() -> Vec<i32>| Raw {
            positions,
            integers: fixed.then(integers),
        };
        let mut result = match &node.op {
            Op::Conv2d(conv) => {
                let w = weights()?;
                Raw::of_sums(&kernels::convolution(conv, w, x, out), w, x.params, y, fixed)
            }
            Op::Linear { .. } => {
                let w = weights()?;
                Raw::of_sums(&kernels::linear(w, x), w, x.params, y, fixed)
            }
            Op::Activation { kind } => self.function(*kind, x, y),
            Op::Add => raw(kernels::add(x, &inputs[1], y), &|| fixed_point::add(x, &inputs[1], y)),
            Op::Mul => raw(kernels::mul(x, &inputs[1], y), &|| fixed_point::mul(x, &inputs[1], y)),
            Op::AvgPool(pool) => {
                let windows = || kernels::windows(*pool, x, out);
                let positions = windows().map(|window| kernels::average(&window, x.params, y));
                Raw {
                    positions: positions.collect(),
                    // TFLite's averages keep the scale.
                    integers: (fixed && x.params == y).then(|| {
                        windows().map(|window| fixed_point::average(&window, x.params)).collect()
                    }),
                }
            }
            Op::MaxPool(pool) => {
                Raw { positions: kernels::max_pool(*pool, x, out, y), integers: None }
            }
            Op::GlobalAvgPool => {
                raw(kernels::global_average(x, y), &|| fixed_point::global_average(x, y))
            }
            Op::Concat => Raw::joined(inputs.iter().map(|x| self.rescaled(x, y))),
            Op::Dropout { .. } | Op::BatchNorm { .. } => {
                return Err(node_error("must be folded before integers are computed".into()));
            }
        };
        for &kind in &group.fused {
            if !result.clamp(kind, y) {
                return Err(node_error(format!("`{kind}` needs a quantizer on its input")));
            }
        }
        Ok(result.finish(y))
    }

    /// A value on another scale, as concatenations bring what they join to their own.
    fn rescaled(&self, x: &Centred, y: QParams) -> Raw {
        let integers = match self.rounding {
            _ if x.params == y => Some(x.data.clone()),
            Rounding::Float => None,
            Rounding::Xnnpack => Some(fixed_point::quantize_xnnpack(x, y)),
            Rounding::FixedPoint => Some(fixed_point::quantize(x, y)),
        };
        Raw { positions: kernels::rescale(x, y), integers }
    }

    /// A function of one value. In TFLite files a hard-sigmoid is a product with 1/6 plus 1/2;
    /// functions without an integer kernel are tables of the real one.
    fn function(&self, kind: ActivationKind, x: &Centred, y: QParams) -> Raw {
        let positions = kernels::activation(kind, x, y);
        let fixed = self.rounding == Rounding::FixedPoint;
        match kind {
            _ if self.rounding == Rounding::Float => Raw { positions, integers: None },
            ActivationKind::HSigmoid => {
                let w = IntegerWeights::hard_sigmoid(1, x.params.scale);
                let sums: Vec<i32> = x
                    .data
                    .iter()
                    .map(|q| (i32::from(w.data[0]) * q).wrapping_add(w.bias[0]))
                    .collect();
                Raw::of_sums(&sums, &w, x.params, y, fixed)
            }
            ActivationKind::HSwish => {
                Raw { positions, integers: Some(fixed_point::hard_swish(x, y)) }
            }
            ActivationKind::Relu | ActivationKind::Relu6 => {
                let mut integers = fixed_point::rescale(x, y);
                fixed_point::clamp(kind, y, &mut integers);
                Raw { positions, integers: Some(integers) }
            }
            ActivationKind::Sigmoid | ActivationKind::Swish => Raw { positions, integers: None },
        }
    }
}

/// Recomputes every operator of a network from the integers that a runtime gave for its inputs,
/// and compares the result with the integers that the runtime gave for its output. `observed`
/// holds every quantized value, the input included, by name.
pub fn check(
    network: &IntegerNetwork,
    observed: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<OperatorCheck>, IntegerError> {
    let shapes = network.graph.shapes()?;
    let find = |name: &str| observed.get(name).map(Vec::as_slice);
    network
        .groups()?
        .iter()
        .map(|group| {
            let value = network.graph.value_name(group.value);
            let found = find(value).unwrap_or_default();
            network.check_length(value, shapes[group.value.index()], found.len())?;
            Ok(compare(value, &network.compute(group, &shapes, find)?, found))
        })
        .collect()
}

/// How close to the middle between two integers a position must be for a difference of one step
/// to count as a rounding tie.
const TIE: f64 = 1e-3;

fn compare(value: &str, computed: &QuantizedValue, found: &[u8]) -> OperatorCheck {
    let mut check = OperatorCheck {
        value: value.to_owned(),
        elements: found.len(),
        equal: 0,
        ties: 0,
        wrong: 0,
    };
    for ((&expected, &found), position) in
        computed.integers.iter().zip(found).zip(&computed.positions)
    {
        let tie = ((position - position.floor()) - 0.5).abs() < TIE;
        match expected.abs_diff(found) {
            0 => check.equal += 1,
            1 if tie => check.ties += 1,
            _ => check.wrong += 1,
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{ConvSpec, Graph, GraphBuilder, Padding, Pool},
        quant::IntegerWeights,
    };

    const ONE: QParams = QParams { scale: 1.0, zero_point: 0 };

    fn network(
        build: impl FnOnce(&mut GraphBuilder) -> ValueId,
        input: Shape,
        values: &[Option<QParams>],
        weights: &[(&str, IntegerWeights)],
    ) -> IntegerNetwork {
        let mut b = GraphBuilder::new(input);
        let y = build(&mut b);
        let graph: Graph = b.finish(y);
        let weights = weights.iter().map(|(n, w)| ((*n).to_owned(), w.clone())).collect();
        let rounding = Rounding::Float;
        IntegerNetwork { graph, values: values.to_vec(), weights, rounding }
    }

    fn weights(shape: &[usize], data: &[i8], scale: f32, bias: i32) -> IntegerWeights {
        let (scales, bias) = (vec![scale; shape[0]], vec![bias; shape[0]]);
        IntegerWeights { shape: shape.to_vec(), data: data.to_vec(), scales, bias }
    }

    #[track_caller]
    fn check_output(network: &IntegerNetwork, image: &[f32], expected: &[u8]) {
        let name = network.graph.value_name(network.graph.output).to_owned();
        assert_eq!(network.run(image).unwrap()[&name].integers, expected);
    }

    fn scaled_input(factor: f32, bias: i32) -> IntegerNetwork {
        let build = |b: &mut GraphBuilder| {
            let x = b.conv("c", b.input(), ConvSpec::new(1, 1));
            b.act("c.act", x, ActivationKind::Relu)
        };
        let weights = weights(&[1, 1, 1, 1], &[1], factor, bias);
        network(build, Shape::new(1, 1, 4), &[Some(ONE), None, Some(ONE)], &[("c", weights)])
    }

    #[test]
    fn requantization_rounds_ties_to_even_and_clamps() {
        check_output(&scaled_input(0.5, 0), &[1.0, 3.0, 5.0, 255.0], &[0, 2, 2, 128]);
        check_output(&scaled_input(4.0, -40), &[1.0, 30.0, 50.0, 255.0], &[0, 0, 40, 255]);
    }

    #[test]
    fn asymmetric_padding_and_stride() {
        let padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };
        let spec = ConvSpec::new(1, 3).stride(2).padding(padding);
        let net = network(
            |b| b.conv("c", b.input(), spec),
            Shape::new(1, 4, 4),
            &[Some(ONE); 2],
            &[("c", weights(&[1, 1, 3, 3], &[1; 9], 1.0, 0))],
        );
        let image: Vec<f32> = (0..16).map(|x| x as f32).collect();
        check_output(&net, &image, &[45, 39, 66, 50]);
    }

    #[test]
    fn groups_read_their_own_channels() {
        let net = network(
            |b| b.conv("c", b.input(), ConvSpec::new(4, 1).groups(2)),
            Shape::new(4, 1, 1),
            &[Some(ONE); 2],
            &[("c", weights(&[4, 2, 1, 1], &[1, 0, 0, 1, 1, 1, 2, 0], 1.0, 0))],
        );
        check_output(&net, &[1.0, 2.0, 3.0, 4.0], &[1, 2, 7, 6]);
    }

    #[test]
    fn padding_means_real_zero() {
        let input = QParams { scale: 1.0, zero_point: 10 };
        let net = network(
            |b| b.conv("c", b.input(), ConvSpec::new(1, 3)),
            Shape::new(1, 1, 2),
            &[Some(input), Some(QParams { scale: 1.0, zero_point: 100 })],
            &[("c", weights(&[1, 1, 3, 3], &[1; 9], 1.0, 0))],
        );
        check_output(&net, &[-5.0, 2.0], &[97, 97]);
    }

    #[test]
    fn a_gate_is_broadcast() {
        let half = QParams { scale: 0.5, zero_point: 0 };
        let net = network(
            |b| {
                let x = b.input();
                let gate = b.global_avg_pool("gap", x);
                b.mul("mul", x, gate)
            },
            Shape::new(2, 1, 2),
            &[Some(ONE), Some(half), Some(ONE)],
            &[],
        );
        check_output(&net, &[1.0, 2.0, 3.0, 6.0], &[2, 3, 14, 27]);
    }

    #[test]
    fn joined_channels_come_to_one_scale() {
        let half = QParams { scale: 0.5, zero_point: 10 };
        let mut net = network(
            |b| {
                let x = b.act("x", b.input(), ActivationKind::Relu);
                b.concat("all", &[x, b.input(), x])
            },
            Shape::new(2, 1, 1),
            &[Some(QParams { scale: 2.0, zero_point: 3 }), Some(ONE), Some(half)],
            &[],
        );
        check_output(&net, &[-4.0, 6.0], &[10, 22, 2, 22, 10, 22]);
        // 1/2 is a tie between 0 and 1: to even, away from zero, up.
        net.values = vec![Some(ONE), Some(ONE), Some(QParams { scale: 2.0, zero_point: 9 })];
        for (rounding, expected) in [
            (Rounding::Float, [9, 11, 9, 11, 9, 11]),
            (Rounding::FixedPoint, [10, 11, 10, 11, 10, 11]),
            (Rounding::Xnnpack, [10, 11, 10, 11, 10, 11]),
        ] {
            check_output(&IntegerNetwork { rounding, ..net.clone() }, &[1.0, 3.0], &expected);
        }
    }

    #[test]
    fn averages_leave_out_the_padding() {
        let pool = Pool { kernel: 3, stride: 1, padding: 1 };
        for (op, expected) in [(Op::AvgPool(pool), [2, 2, 4]), (Op::MaxPool(pool), [3, 4, 4])] {
            let build = |b: &mut GraphBuilder| b.node("pool", op, &[ValueId::INPUT]);
            let net = network(build, Shape::new(1, 1, 3), &[Some(ONE); 2], &[]);
            check_output(&net, &[0.0, 3.0, 4.0], &expected);
        }
    }

    #[test]
    fn sums_and_functions_between_quantizers() {
        let fine = QParams { scale: 1.0 / 255.0, zero_point: 0 };
        let net = network(
            |b| {
                let x = b.act("gate", b.input(), ActivationKind::HSigmoid);
                b.add("sum", x, x)
            },
            Shape::new(1, 1, 2),
            &[Some(ONE), Some(fine), Some(QParams { scale: 0.1, zero_point: 3 })],
            &[],
        );
        check_output(&net, &[0.0, 3.0], &[13, 23]);
    }

    #[test]
    fn a_tie_is_told_from_a_mistake() {
        let net = scaled_input(0.5, 0);
        let observe = |output: [u8; 4]| {
            let input = vec![1, 2, 4, 6];
            let values = [("input".to_owned(), input), ("c.act".to_owned(), output.to_vec())];
            check(&net, &BTreeMap::from(values)).unwrap().remove(0)
        };
        let value = "c.act".to_owned();
        let expected = OperatorCheck { value, elements: 4, equal: 2, ties: 1, wrong: 1 };
        assert_eq!(observe([1, 1, 3, 3]), expected);
        assert_eq!(observe([0, 1, 2, 3]).equal, 4);
    }

    #[test]
    fn a_missing_observation_is_named() {
        let error = check(&scaled_input(0.5, 0), &BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "value `c.act`: expected 4 elements, found 0");
    }
}
