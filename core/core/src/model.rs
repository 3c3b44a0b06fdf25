//! What a model file holds, whatever its format, and why one cannot be written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::graph::{Graph, GraphError};

/// A model file without the data of its constants.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Extension of its format, such as `onnx`.
    pub format: String,
    /// Name of the graph.
    pub name: String,
    /// What the file says of itself.
    pub metadata: BTreeMap<String, String>,
    /// What goes in.
    pub inputs: Vec<TensorSummary>,
    /// What comes out.
    pub outputs: Vec<TensorSummary>,
    /// In the order of the file.
    pub operators: Vec<OperatorSummary>,
    /// Size of all constants in bytes.
    pub constants_bytes: usize,
    /// Size of the file in bytes.
    pub file_bytes: usize,
}

/// An operator of a model file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OperatorSummary {
    /// The format's name for it.
    pub kind: String,
    /// Its own name, or that of what it makes.
    pub name: String,
    /// What it reads, constants included; optional inputs that are left out are not listed.
    pub inputs: Vec<TensorSummary>,
    /// What it makes.
    pub outputs: Vec<TensorSummary>,
}

/// A tensor of a model file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TensorSummary {
    /// Name.
    pub name: String,
    /// Type of its elements, such as `int8`.
    pub element: String,
    /// Outermost dimension first; −1 where it is open.
    pub shape: Vec<i64>,
    /// Whether its data is in the file.
    pub constant: bool,
    /// Step sizes: none, one, or one per channel.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scales: Vec<f32>,
    /// The integer of real zero.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zero_point: Option<i64>,
}

impl ModelSummary {
    /// Whether any tensor has a scale.
    pub fn is_quantized(&self) -> bool {
        let tensors = |operator: &OperatorSummary| {
            operator.inputs.iter().chain(&operator.outputs).any(|tensor| !tensor.scales.is_empty())
        };
        self.operators.iter().any(tensors)
    }

    /// Operators whose inputs or outputs are real numbers, as `kind (name)`: all of them where
    /// nothing is quantized, else those of which the file tells so. Where a format's operators
    /// convert between real numbers and integers, these count too.
    pub fn float_operators(&self) -> Vec<String> {
        let quantized = self.is_quantized();
        let real = |tensor: &TensorSummary| tensor.element.contains("float");
        let float = |operator: &&OperatorSummary| {
            !quantized || operator.inputs.iter().chain(&operator.outputs).any(real)
        };
        let named = |operator: &OperatorSummary| format!("{} ({})", operator.kind, operator.name);
        self.operators.iter().filter(float).map(named).collect()
    }
}

/// Name of the tensor that goes into a written model.
pub const INPUT: &str = "image";
/// Name of the tensor that comes out of a written model.
pub const OUTPUT: &str = "result";

/// Why a network cannot be written as a model file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The graph itself is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A name that the file needs for itself.
    #[error(
        "node `{node}`: rename it: `image`, `input`, `result` and names with `:` are reserved in \
         {format} files"
    )]
    Name {
        /// Name of the node.
        node: String,
        /// The file format.
        format: &'static str,
    },
    /// Something that the network lacks, or that the format cannot express.
    #[error("node `{node}`: {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
}

/// Checks that no node has a name that written models need for themselves.
pub fn check_names(graph: &Graph, format: &'static str) -> Result<(), WriteError> {
    let reserved = |name: &str| [INPUT, OUTPUT, "input"].contains(&name) || name.contains(':');
    match graph.nodes.iter().find(|node| reserved(&node.name)) {
        Some(node) => Err(WriteError::Name { node: node.name.clone(), format }),
        None => Ok(()),
    }
}
