//! The files that a network is kept as, where people and other programs find it: the op graph, its weights, and
//! for a quantized network where its quantizers are and what they have learned.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensorError, tensor::TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    graph::Graph,
    import::{GRAPH, WEIGHTS},
    quant::{FloatWeights, PlacedGraph, QuantParams, TensorData, TrainedNetwork},
};

/// Name of the file that holds the quantizers of a network, a [`Quantization`] as JSON.
pub const QUANTIZATION: &str = "quantization.json";

/// The quantizers of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// The graph with its quantizers; composite activations are decomposed.
    pub placed: PlacedGraph,
    /// Scales and zero points.
    pub params: QuantParams,
}

/// A file of a network: its name in the network's folder, and its content.
pub type NetworkFile = (&'static str, Vec<u8>);

/// Why the files of a network cannot be made.
#[derive(Debug, Error)]
pub enum NetworkFileError {
    /// Of the graph or the quantizers.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Of the weights: a tensor whose numbers are not as many as its shape says.
    #[error("{0:?}")]
    Weights(SafeTensorError),
}

impl From<SafeTensorError> for NetworkFileError {
    fn from(error: SafeTensorError) -> Self {
        Self::Weights(error)
    }
}

/// The files of a network without quantizers.
///
/// # Errors
///
/// The weights are not well-formed.
pub fn files_of(
    graph: &Graph,
    weights: &FloatWeights,
) -> Result<Vec<NetworkFile>, NetworkFileError> {
    Ok(vec![(GRAPH, serde_json::to_vec_pretty(graph)?), (WEIGHTS, safetensors_of(weights)?)])
}

/// The files of a trained network, with those of its quantizers where it has them.
///
/// # Errors
///
/// The weights are not well-formed.
pub fn files_of_trained(network: &TrainedNetwork) -> Result<Vec<NetworkFile>, NetworkFileError> {
    let mut files = files_of(&network.graph, &network.weights)?;
    if let Some(params) = network.quant.clone() {
        let quantization = Quantization { placed: network.placed.clone(), params };
        files.push((QUANTIZATION, serde_json::to_vec_pretty(&quantization)?));
    }
    Ok(files)
}

fn safetensors_of(weights: &FloatWeights) -> Result<Vec<u8>, SafeTensorError> {
    let bytes = |tensor: &TensorData| -> Vec<u8> {
        tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let content: Vec<(&String, &TensorData, Vec<u8>)> =
        weights.iter().map(|(name, tensor)| (name, tensor, bytes(tensor))).collect();
    let views = content.iter().map(|(name, tensor, bytes)| {
        Ok((name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata: Option<HashMap<String, String>> = None;
    safetensors::serialize(views, &metadata)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::{
        graph::{ActivationKind, ConvSpec, GraphBuilder, Shape},
        import::graph_of,
        quant::{QParams, place, tests::scheme},
    };

    fn network() -> TrainedNetwork {
        let mut b = GraphBuilder::new(Shape::square(1, 2));
        let y = b.conv("c", b.input(), ConvSpec::new(1, 1));
        let y = b.act("act", y, ActivationKind::Swish);
        let graph = b.finish(y);
        let placed = place(&graph, &scheme()).unwrap();
        let weight = TensorData { shape: vec![1, 1, 1, 1], data: vec![0.5] };
        let mut quant = QuantParams::default();
        quant.activations.insert("input".into(), QParams { scale: 0.25, zero_point: 3 });
        let weights = FloatWeights::from([("c.weight".into(), weight)]);
        TrainedNetwork { graph, placed, weights, quant: Some(quant) }
    }

    #[test]
    fn a_quantized_network_has_three_files() {
        let network = network();
        let files = files_of_trained(&network).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [GRAPH, WEIGHTS, QUANTIZATION]);
        assert_eq!(graph_of(&files[0].1).unwrap(), network.graph);
        let weights = SafeTensors::deserialize(&files[1].1).unwrap();
        assert_eq!(weights.tensor("c.weight").unwrap().data(), 0.5f32.to_le_bytes());
        let read: Quantization = serde_json::from_slice(&files[2].1).unwrap();
        assert_eq!(read.placed, network.placed);
        assert_eq!(Some(read.params), network.quant);
    }

    #[test]
    fn without_quantizers_there_are_two() {
        let network = TrainedNetwork { quant: None, ..network() };
        assert_eq!(files_of_trained(&network).unwrap().len(), 2);
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error() {
        let mut network = network();
        network.weights.get_mut("c.weight").unwrap().data.push(1.0);
        assert!(files_of_trained(&network).is_err());
    }
}
