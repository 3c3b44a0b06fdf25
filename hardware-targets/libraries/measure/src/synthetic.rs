//! Weights and scales for graphs that have none, so that they can be measured.
//!
//! Values are such that no arithmetic is unusually slow or fast: every layer keeps the variance
//! of its input roughly (He et al., arXiv 1502.01852), so that nothing overflows or becomes
//! denormal, and no weight is zero throughout.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use spacewright_core::{
    graph::{Graph, ValueId, WeightRole},
    quant::{
        ActivationRange, FloatWeights, FoldError, PlacedGraph, PlacementError, QuantParams, Scheme,
        TensorData, TrainedNetwork, activation_params, largest_scales, place,
    },
};

const SEED: u64 = 7;
/// Real values that activations are taken to span on either side of zero.
const REACH: f32 = 4.0;

pub(crate) fn weights(graph: &Graph) -> Result<FloatWeights, FoldError> {
    let mut rng = Pcg64::seed_from_u64(SEED);
    let mut result = FloatWeights::new();
    for spec in graph.weights().map_err(PlacementError::from)? {
        let elements = spec.elements();
        let mut insert = |name: &str, data: Vec<f32>| {
            let shape = spec.shape.clone();
            result.insert(name.to_owned(), TensorData { shape, data });
        };
        match spec.role {
            WeightRole::Weight => {
                let reach = (6.0 / (elements / spec.shape[0]) as f32).sqrt();
                insert(
                    &spec.name,
                    (0..elements).map(|_| rng.random_range(-reach..reach)).collect(),
                );
            }
            WeightRole::Bias | WeightRole::Beta => insert(&spec.name, vec![0.1; elements]),
            WeightRole::Gamma => {
                let node = &graph.nodes[spec.node].name;
                insert(&spec.name, vec![1.0; elements]);
                insert(&format!("{node}.mean"), vec![0.0; elements]);
                insert(&format!("{node}.var"), vec![1.0; elements]);
            }
        }
    }
    Ok(result)
}

/// The graph as a quantized network with these weights.
pub(crate) fn quantized(
    graph: &Graph,
    weights: FloatWeights,
    scheme: &Scheme,
) -> Result<TrainedNetwork, FoldError> {
    let reach = |_, range: ActivationRange| {
        let span = if range.non_negative { REACH } else { 2.0 * REACH };
        (span / 255.0, -REACH)
    };
    Ok(with_scales(graph, place(graph, scheme)?, weights, reach))
}

/// A network whose activations have the scale and the smallest real value that `observed` gives,
/// and whose weights the scales of their largest values.
pub(crate) fn with_scales(
    graph: &Graph,
    placed: PlacedGraph,
    weights: FloatWeights,
    observed: impl Fn(ValueId, ActivationRange) -> (f32, f32),
) -> TrainedNetwork {
    let params = |(value, name, range): (ValueId, &str, ActivationRange)| {
        let (scale, smallest) = observed(value, range);
        (name.to_owned(), activation_params(scale, smallest, range))
    };
    let activations = placed.quantized().map(params).collect();
    let mut weight_scales = BTreeMap::new();
    for (node, range) in placed.graph.nodes.iter().zip(&placed.weights) {
        let Some(range) = range else { continue };
        let tensor = &weights[&format!("{}.weight", node.name)];
        weight_scales.insert(node.name.clone(), largest_scales(tensor, *range));
    }
    let quant = Some(QuantParams { activations, weight_scales });
    TrainedNetwork { graph: graph.clone(), placed, weights, quant }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spacewright_core::{
        graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
        quant::{WeightRange, fold_integer},
    };

    #[test]
    fn synthetic_networks_fold_under_the_pair_rule() {
        let mut b = GraphBuilder::new(Shape::square(5, 8));
        let x = b.conv_bn_act("a", b.input(), ConvSpec::new(7, 3), ActivationKind::Swish);
        let x = b.linear("fc", x, 3);
        let graph = b.finish(x);
        let scheme = Scheme::common("pairs", WeightRange::PairAware8);
        let network = quantized(&graph, weights(&graph).unwrap(), &scheme).unwrap();
        let network = fold_integer(&network, &scheme).unwrap();
        assert!(network.weights.values().all(|w| w.data.iter().any(|&q| q != 0)));
    }
}
