//! The files that keep an imported network.

use std::{collections::HashMap, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use spacewright_core::{
    graph::Graph,
    import::{GRAPH, WEIGHTS},
    quant::{FloatWeights, TensorData},
};

use crate::{
    error::{EngineError, Result},
    files::write_atomically,
};

/// Writes both files into a folder that is there.
pub(super) fn write(graph: &Graph, weights: &FloatWeights, folder: &Path) -> Result<()> {
    let path = folder.join(GRAPH);
    let text = serde_json::to_vec_pretty(graph).map_err(|error| EngineError::file(&path, error))?;
    write_atomically(&path, &text)?;
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
