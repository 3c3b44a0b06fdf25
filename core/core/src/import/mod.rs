//! Trained networks that others made: what a reader of their files gives, and why one cannot be read.

mod draft;

use thiserror::Error;

pub use draft::{NetworkDraft, UnfitNode};

use crate::{
    foreign::{Escaped, ModelFile, OpenSizes, shortened},
    graph::{Graph, GraphError},
    quant::FloatWeights,
};

/// Name of the file, in the folder of a network, that holds the op graph, as JSON.
pub const GRAPH: &str = "graph.json";
/// Name of the file that holds the weights, and the statistics of batch normalizations, in single precision.
pub const WEIGHTS: &str = "weights.safetensors";

/// Why the content of [`GRAPH`] cannot be used.
#[derive(Debug, Error)]
pub enum GraphFileError {
    /// It is no graph.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is one that is not well-formed, or too large.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The op graph that the content of [`GRAPH`] is.
///
/// # Errors
///
/// It is no graph, or one that is not well-formed.
pub fn graph_of(content: &[u8]) -> Result<Graph, GraphFileError> {
    let graph: Graph = serde_json::from_slice(content)?;
    graph.check_network_bounds()?;
    Ok(graph)
}

/// How many nodes that are not known an error names.
const NAMED: usize = 20;

/// A trained network in floating point, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedNetwork {
    /// What the file calls it; may be empty.
    pub name: String,
    /// Batch normalizations are where the file has them.
    pub graph: Graph,
    /// Weights, and statistics of batch normalizations.
    pub weights: FloatWeights,
    /// Whether the file ends with a softmax, which is left out: the output are logits.
    pub softmax: bool,
    /// What is computed otherwise than the file says it, with the same result; a sentence each.
    pub notes: Vec<String>,
}

/// A part of a network that the op graph cannot hold.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{} `{}`: {reason}{}", Escaped(operator), Escaped(shortened(node, 100)), of_all(*.share))]
pub struct UnknownNode {
    /// Its name in the file.
    pub node: String,
    /// The format's name for what it computes.
    pub operator: String,
    /// What of it is not known.
    pub reason: String,
    /// Its share of the network's multiply-adds, where the file says shapes.
    pub share: Option<f64>,
}

impl UnknownNode {
    /// A node whose share is not known.
    pub fn new(node: String, operator: String, reason: String) -> Self {
        Self { node, operator, reason, share: None }
    }

    /// The same with its share of the network's multiply-adds.
    pub fn with_share(self, share: Option<f64>) -> Self {
        Self { share, ..self }
    }
}

fn of_all(share: Option<f64>) -> String {
    share.map(|share| format!(" ({:.1} % of the multiply-adds)", 100.0 * share)).unwrap_or_default()
}

/// Why a network cannot be imported.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ImportError {
    /// The file is damaged, or of another kind.
    #[error("{0}")]
    Unreadable(String),
    /// Nodes that the op graph has nothing for, or not with these attributes.
    #[error("{}", listed(.0))]
    Unknown(Vec<UnknownNode>),
    /// The nodes do not fit together, or are too many.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The runtime of the file's format cannot run it.
    #[error("{0}")]
    Run(String),
}

fn listed(nodes: &[UnknownNode]) -> String {
    let mut text = format!("{} of its nodes cannot be imported", nodes.len());
    nodes.iter().take(NAMED).for_each(|node| text += &format!("\n  {node}"));
    if let Some(more) = nodes.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text += &format!("\n  and {more} more");
    }
    text
}

/// Reads trained networks of one format. The crate that knows the format has one.
pub trait NetworkReader: Send + Sync {
    /// Name of the format, such as `ONNX`.
    fn format(&self) -> &str;

    /// Whether a file is, by its content, one of this format.
    fn recognizes(&self, file: &ModelFile<'_>) -> bool;

    /// The network in a file.
    ///
    /// # Errors
    ///
    /// [`ImportError::Unknown`] names all nodes that are not known, not only the first.
    fn read(&self, file: &ModelFile<'_>, sizes: &OpenSizes)
    -> Result<ImportedNetwork, ImportError>;

    /// The graph of the network in a file, which may be one in integers: all that its latency depends on.
    ///
    /// # Errors
    ///
    /// See [`read`](Self::read).
    fn structure(&self, file: &ModelFile<'_>, sizes: &OpenSizes) -> Result<Graph, ImportError> {
        self.read(file, sizes).map(|network| network.graph)
    }

    /// What the file gives for images, `channels × height × width` each, computed by another program than
    /// Spacewright, to compare with; `None` where there is none for this format.
    fn run(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        images: &[Vec<f32>],
    ) -> Result<Option<Vec<Vec<f32>>>, ImportError> {
        let _ = (file, sizes, images);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_nodes_are_listed_but_not_without_end() {
        let node = |at: usize| {
            let name = format!("n{at}\u{7}");
            UnknownNode::new(name, "Einsum".into(), "it is not known".into())
        };
        let text = |count| ImportError::Unknown((0..count).map(node).collect()).to_string();
        assert_eq!(
            text(1),
            "1 of its nodes cannot be imported\n  Einsum `n0\\u{7}`: it is not known"
        );
        assert!(text(23).ends_with("\n  and 3 more"), "{}", text(23));
        assert!(!text(20).contains("more"));
        let share = node(0).with_share(Some(0.125)).to_string();
        assert!(share.ends_with("it is not known (12.5 % of the multiply-adds)"), "{share}");
    }
}
