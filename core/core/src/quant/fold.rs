//! Folding batch normalization, and the integer network that results.
//!
//! With one weight scale per output channel, folding commutes with quantization: y = γ(s·q·x −
//! μ)/σ + β multiplies the scale by |γ|/σ and leaves the integers alone, but for the sign of γ.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

use super::{
    FloatWeights, PlacementError, QParams, Rounding, Scheme, TensorData, TrainedNetwork,
    ValueQuant, WeightRange, pairs::pair_bounds,
};
use crate::graph::{Graph, Node, Op, ValueId};

/// A network in floating point without batch normalization and dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FloatNetwork {
    /// Convolutions that had a batch normalization have a bias instead.
    pub graph: Graph,
    /// `<node>.weight` and `<node>.bias`.
    pub weights: FloatWeights,
}

/// Integers of one convolution or linear layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegerWeights {
    /// Outermost dimension first: output channels.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<i8>,
    /// Per output channel.
    pub scales: Vec<f32>,
    /// Per output channel, in steps of the input's scale times the channel's scale.
    pub bias: Vec<i32>,
}

impl IntegerWeights {
    /// The hard-sigmoid x / 6 + 1/2 as a depth-wise 1×1 convolution of `channels` channels whose
    /// input has `scale`: the range of 8-bit results limits it to 0…1, where their scale is 1/255
    /// or less than that above.
    pub fn hard_sigmoid(channels: usize, scale: f32) -> Self {
        const LARGEST: i8 = 127;
        let sixth = 1.0 / (6.0 * f32::from(LARGEST));
        let half = (0.5 / (f64::from(scale) * f64::from(sixth))).round();
        Self {
            shape: vec![channels, 1, 1, 1],
            data: vec![LARGEST; channels],
            scales: vec![sixth; channels],
            bias: vec![half.min(f64::from(1 << 30)) as i32; channels],
        }
    }
}

/// A network in integers: what a runtime executes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegerNetwork {
    /// As in [`FloatNetwork`], with decomposed activations.
    pub graph: Graph,
    /// For each value its parameters; `None` inside a fused operator.
    pub values: Vec<Option<QParams>>,
    /// By node name.
    pub weights: BTreeMap<String, IntegerWeights>,
    /// How its runtime rounds.
    #[serde(default)]
    pub rounding: Rounding,
}

/// Why a network cannot be folded.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FoldError {
    /// Quantizers cannot be placed.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The network is one in floating point.
    #[error("the network has no quantization parameters")]
    NotQuantized,
    /// A tensor is not there.
    #[error("the network has no `{0}`")]
    Missing(String),
    /// A tensor has another shape than its node asks for.
    #[error("`{name}` has shape {found:?}, its node asks for {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// What is there.
        found: Vec<usize>,
        /// What is needed.
        expected: Vec<usize>,
    },
    /// A parameter that cannot be.
    #[error("`{name}`: {reason}")]
    Parameter {
        /// Name of the tensor or value.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Per output channel: factor on the weights and what is added, from a batch normalization.
struct Affine {
    factor: Vec<f64>,
    bias: Vec<f64>,
}

/// The folded graph, and for each of its values the value of the original that it holds.
struct Folded {
    graph: Graph,
    original: Vec<ValueId>,
    /// Per node of the folded graph with weights.
    affine: Vec<Option<Affine>>,
}

fn tensor(weights: &FloatWeights, name: String) -> Result<&[f32], FoldError> {
    weights.get(&name).map(|t| t.data.as_slice()).ok_or(FoldError::Missing(name))
}

fn fold_graph(graph: &Graph, weights: &FloatWeights) -> Result<Folded, FoldError> {
    for spec in graph.weights().map_err(PlacementError::from)? {
        let found = weights.get(&spec.name).ok_or_else(|| FoldError::Missing(spec.name.clone()))?;
        if found.shape != spec.shape || found.data.len() != spec.elements() {
            let (name, expected) = (spec.name, spec.shape);
            return Err(FoldError::Shape { name, found: found.shape.clone(), expected });
        }
    }
    let mut moved = vec![ValueId::INPUT];
    let mut original = vec![ValueId::INPUT];
    let mut nodes: Vec<Node> = Vec::new();
    let mut affine: Vec<Option<Affine>> = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| moved[v.index()]).collect();
        match &node.op {
            Op::Dropout { .. } => moved.push(inputs[0]),
            Op::BatchNorm { eps } => {
                let before = inputs[0].node().ok_or_else(|| PlacementError::BatchNorm {
                    node: node.name.clone(),
                    before: "input".into(),
                })?;
                let Op::Conv2d(conv) = &mut nodes[before].op else {
                    let before = nodes[before].name.clone();
                    return Err(
                        PlacementError::BatchNorm { node: node.name.clone(), before }.into()
                    );
                };
                conv.bias = true;
                let statistics = BatchNorm::of(weights, &node.name, *eps)?;
                let folded = affine[before].take();
                affine[before] = folded.map(|affine| statistics.after(&affine));
                original[inputs[0].index()] = ValueId::of_node(index);
                moved.push(inputs[0]);
            }
            op => {
                affine.push(match op {
                    Op::Conv2d(conv) => Some(initial(weights, node, conv.out_channels, conv.bias)?),
                    Op::Linear { out_features, bias } => {
                        Some(initial(weights, node, *out_features, *bias)?)
                    }
                    _ => None,
                });
                nodes.push(Node { name: node.name.clone(), op: op.clone(), inputs });
                original.push(ValueId::of_node(index));
                moved.push(ValueId::of_node(nodes.len() - 1));
            }
        }
    }
    let graph = Graph { input: graph.input, output: moved[graph.output.index()], nodes };
    Ok(Folded { graph, original, affine })
}

fn initial(
    weights: &FloatWeights,
    node: &Node,
    channels: usize,
    bias: bool,
) -> Result<Affine, FoldError> {
    let bias = if bias {
        tensor(weights, format!("{}.bias", node.name))?.iter().map(|&b| f64::from(b)).collect()
    } else {
        vec![0.0; channels]
    };
    Ok(Affine { factor: vec![1.0; channels], bias })
}

struct BatchNorm<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    mean: &'a [f32],
    var: &'a [f32],
    eps: f64,
}

impl<'a> BatchNorm<'a> {
    fn of(weights: &'a FloatWeights, name: &str, eps: f64) -> Result<Self, FoldError> {
        let part = |role: &str| tensor(weights, format!("{name}.{role}"));
        Ok(Self {
            gamma: part("gamma")?,
            beta: part("beta")?,
            mean: part("mean")?,
            var: part("var")?,
            eps,
        })
    }

    fn after(&self, affine: &Affine) -> Affine {
        let factor =
            |c: usize| f64::from(self.gamma[c]) / (f64::from(self.var[c]) + self.eps).sqrt();
        Affine {
            factor: (0..self.gamma.len()).map(|c| affine.factor[c] * factor(c)).collect(),
            bias: (0..self.gamma.len())
                .map(|c| {
                    (affine.bias[c] - f64::from(self.mean[c])) * factor(c) + f64::from(self.beta[c])
                })
                .collect(),
        }
    }
}

/// Folds batch normalization into the convolutions before it, in floating point.
pub fn fold_float(graph: &Graph, weights: &FloatWeights) -> Result<FloatNetwork, FoldError> {
    let folded = fold_graph(graph, weights)?;
    let mut result = FloatWeights::new();
    for (node, affine) in folded.graph.nodes.iter().zip(&folded.affine) {
        let Some(affine) = affine else { continue };
        let name = format!("{}.weight", node.name);
        let mut kernel = weights[&name].clone();
        let per_channel = kernel.data.len() / affine.factor.len();
        for (channel, values) in kernel.data.chunks_mut(per_channel).enumerate() {
            values.iter_mut().for_each(|w| *w = (f64::from(*w) * affine.factor[channel]) as f32);
        }
        result.insert(name, kernel);
        if has_bias(&node.op) {
            let data = affine.bias.iter().map(|&b| b as f32).collect();
            let shape = vec![affine.bias.len()];
            result.insert(format!("{}.bias", node.name), TensorData { shape, data });
        }
    }
    Ok(FloatNetwork { graph: folded.graph, weights: result })
}

fn has_bias(op: &Op) -> bool {
    matches!(op, Op::Conv2d(conv) if conv.bias) || matches!(op, Op::Linear { bias: true, .. })
}

/// Turns a trained network into integers. `scheme` is the one that its quantizers were placed
/// after.
pub fn fold_integer(
    network: &TrainedNetwork,
    scheme: &Scheme,
) -> Result<IntegerNetwork, FoldError> {
    let TrainedNetwork { placed, weights, quant, .. } = network;
    let quant = quant.as_ref().ok_or(FoldError::NotQuantized)?;
    let folded = fold_graph(&placed.graph, weights)?;
    let mut values = Vec::with_capacity(folded.original.len());
    for &value in &folded.original {
        values.push(match placed.source(value) {
            Some(source) => {
                let name = placed.graph.value_name(source);
                let params = match placed.values[source.index()] {
                    ValueQuant::Fixed(params) => Some(params),
                    _ => quant.activations.get(name).copied(),
                };
                let params =
                    params.ok_or_else(|| FoldError::Missing(format!("scale of {name}")))?;
                check_scale(name, params.scale)?;
                Some(params)
            }
            None => None,
        });
    }
    let ranges: BTreeMap<&str, WeightRange> = placed
        .graph
        .nodes
        .iter()
        .zip(&placed.weights)
        .filter_map(|(node, range)| Some((node.name.as_str(), (*range)?)))
        .collect();
    let mut integers = BTreeMap::new();
    for (node, affine) in folded.graph.nodes.iter().zip(&folded.affine) {
        let Some(affine) = affine else { continue };
        let input = values[node.inputs[0].index()].ok_or_else(|| FoldError::Parameter {
            name: node.name.clone(),
            reason: "reads a value without a quantizer".into(),
        })?;
        let scales = quant
            .weight_scales
            .get(&node.name)
            .ok_or_else(|| FoldError::Missing(format!("weight scales of {}", node.name)))?;
        let kernel = &weights[&format!("{}.weight", node.name)];
        let range = ranges[node.name.as_str()];
        integers.insert(
            node.name.clone(),
            integer_weights(node, kernel, scales, range, affine, input)?,
        );
    }
    let rounding = scheme.rounding;
    Ok(IntegerNetwork { graph: folded.graph, values, weights: integers, rounding })
}

fn check_scale(name: &str, scale: f32) -> Result<(), FoldError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(FoldError::Parameter {
        name: name.to_owned(),
        reason: format!("scale {scale} is not positive"),
    })
}

fn integer_weights(
    node: &Node,
    kernel: &TensorData,
    scales: &[f32],
    range: WeightRange,
    affine: &Affine,
    input: QParams,
) -> Result<IntegerWeights, FoldError> {
    let channels = affine.factor.len();
    if scales.len() != channels {
        let (found, expected) = (vec![scales.len()], vec![channels]);
        return Err(FoldError::Shape { name: format!("scales of {}", node.name), found, expected });
    }
    let per_channel = kernel.data.len() / channels;
    let max = range.max() as f32;
    let mut result = IntegerWeights {
        shape: kernel.shape.clone(),
        data: Vec::with_capacity(kernel.data.len()),
        scales: Vec::with_capacity(channels),
        bias: Vec::with_capacity(channels),
    };
    for (channel, weights) in kernel.data.chunks(per_channel).enumerate() {
        let scale = scales[channel];
        check_scale(&node.name, scale)?;
        let factor = affine.factor[channel];
        let bias = affine.bias[channel];
        let folded = f64::from(scale) * factor.abs();
        // Below this scale the int32 bias would overflow, and the weights no longer matter. A scale
        // of zero would divide by zero: 1e-30 is a normal number that is far below any other.
        let smallest = bias.abs() / (f64::from(input.scale) * f64::from(1 << 30));
        let dead = folded <= smallest || folded < f64::from(f32::MIN_POSITIVE);
        let used = if dead { smallest.max(1e-30) as f32 } else { folded as f32 };
        let sign = if factor < 0.0 { -1.0 } else { 1.0 };
        result.data.extend(weights.iter().map(|w| {
            if dead { 0 } else { (sign * (w / scale).round_ties_even().clamp(-max, max)) as i8 }
        }));
        result.scales.push(used);
        result
            .bias
            .push((bias / (f64::from(input.scale) * f64::from(used))).round_ties_even() as i32);
    }
    if range == WeightRange::PairAware8 {
        let worst = pair_bounds(&result.data, &result.shape).into_iter().max().unwrap_or(0);
        if worst > 128 {
            let reason = format!("a pair of neighbouring weights sums to {worst}, more than 128");
            return Err(FoldError::Parameter { name: node.name.clone(), reason });
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
        quant::{QuantParams, place, tests::scheme},
    };

    fn norm(gamma: f32) -> TrainedNetwork {
        let mut b = GraphBuilder::new(Shape::square(2, 2));
        let y = b.conv_bn_act("c", b.input(), ConvSpec::new(1, 1), ActivationKind::Relu);
        let graph = b.finish(y);
        let one = |x: f32| TensorData { shape: vec![1], data: vec![x] };
        let weights = FloatWeights::from([
            ("c.weight".into(), TensorData { shape: vec![1, 2, 1, 1], data: vec![0.5, -0.25] }),
            ("c.bn.gamma".into(), one(gamma)),
            ("c.bn.beta".into(), one(0.1)),
            ("c.bn.mean".into(), one(0.2)),
            ("c.bn.var".into(), one(4.0 - 1e-5)),
        ]);
        let params = QParams { scale: 0.01, zero_point: 0 };
        let quant = QuantParams {
            activations: BTreeMap::from([("input".into(), params), ("c.act".into(), params)]),
            weight_scales: BTreeMap::from([("c".into(), vec![0.01])]),
        };
        let placed = place(&graph, &scheme()).unwrap();
        TrainedNetwork { graph, placed, weights, quant: Some(quant) }
    }

    fn folded(gamma: f32) -> IntegerWeights {
        let network = fold_integer(&norm(gamma), &scheme()).unwrap();
        assert_eq!(network.graph.nodes.len(), 2);
        network.weights["c"].clone()
    }

    #[test]
    fn folding_multiplies_the_scale() {
        let w = folded(1.0);
        assert_eq!(w.data, [50, -25]);
        assert!((w.scales[0] - 0.005).abs() < 1e-9);
        assert_eq!(w.bias, [0]);
    }

    #[test]
    fn a_negative_gamma_changes_the_sign_of_the_integers() {
        let w = folded(-1.0);
        assert_eq!(w.data, [-50, 25]);
        assert!((w.scales[0] - 0.005).abs() < 1e-9);
        assert_eq!(w.bias, [(0.2 / (0.01 * 0.005f64)).round() as i32]);
    }

    #[test]
    fn a_dead_channel_keeps_its_bias() {
        let w = folded(0.0);
        assert_eq!(w.data, [0, 0]);
        let bias = f64::from(w.bias[0]) * 0.01 * f64::from(w.scales[0]);
        assert!((bias - 0.1).abs() < 1e-6, "{bias}");
    }

    #[test]
    fn float_folding_keeps_the_function() {
        let trained = norm(-2.0);
        let network = fold_float(&trained.graph, &trained.weights).unwrap();
        assert_eq!(network.weights["c.weight"].data, [-0.5, 0.25]);
        assert!((network.weights["c.bias"].data[0] - 0.3).abs() < 1e-6);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let mut network = norm(1.0);
        network.weights.remove("c.bn.var");
        let error = fold_integer(&network, &scheme()).unwrap_err();
        assert_eq!(error.to_string(), "the network has no `c.bn.var`");
    }

    #[test]
    fn only_a_quantized_network_has_integers() {
        let network = TrainedNetwork { quant: None, ..norm(1.0) };
        assert_eq!(fold_integer(&network, &scheme()), Err(FoldError::NotQuantized));
    }
}
