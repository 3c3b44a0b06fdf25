//! The files that keep an imported network.

use std::{fs, path::Path};

use spacewright_core::{
    graph::Graph,
    import::{GRAPH, graph_of},
    network_files::files_of,
    quant::FloatWeights,
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
    let files = files_of(graph, weights).map_err(|error| EngineError::file(folder, error))?;
    files.iter().try_for_each(|(name, content)| write_atomically(&folder.join(name), content))
}
