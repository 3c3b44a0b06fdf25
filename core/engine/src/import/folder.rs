//! The files that keep an imported network.

use std::{collections::HashMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use spacewright_core::{
    graph::Graph,
    import::{GRAPH, WEIGHTS, graph_of},
    quant::{FloatWeights, TensorData},
};

use crate::{
    error::{AtPath, EngineError, Result},
    files::write_atomically,
};

/// The op graph in the folder of a network.
///
/// # Errors
///
/// There is no such file, it is no graph, or one that is not well-formed.
pub fn read_graph(folder: &Path) -> Result<Graph> {
    let path = folder.join(GRAPH);
    let content = fs::read(&path).at(&path)?;
    graph_of(&content).map_err(|error| EngineError::file(&path, error))
}

/// Writes the graph into a folder that is there.
pub(super) fn write_graph(graph: &Graph, folder: &Path) -> Result<()> {
    let path = folder.join(GRAPH);
    let text = serde_json::to_vec_pretty(graph).map_err(|error| EngineError::file(&path, error))?;
    write_atomically(&path, &text)
}

/// Writes both files into a folder that is there.
pub(super) fn write(graph: &Graph, weights: &FloatWeights, folder: &Path) -> Result<()> {
    write_graph(graph, folder)?;
    let path = folder.join(WEIGHTS);
    let bytes = |tensor: &TensorData| -> Vec<u8> {
        tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let content: Vec<(&String, &TensorData, Vec<u8>)> =
        weights.iter().map(|(name, tensor)| (name, tensor, bytes(tensor))).collect();
    let wrong = |error: safetensors::SafeTensorError| EngineError::file(&path, error);
    let views = content.iter().map(|(name, tensor, bytes)| {
        Ok((
            name.as_str(),
            TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(wrong)?,
        ))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata: Option<HashMap<String, String>> = None;
    write_atomically(&path, &safetensors::serialize(views, &metadata).map_err(wrong)?)
}
