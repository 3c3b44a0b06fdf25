//! What a model file holds, whatever its format, and why one cannot be written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    foreign::shortened,
    graph::{Graph, GraphError},
};

/// A model file without the data of its constants. It grows with the file: a tensor is described
/// once, however many operators use it.
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
    /// All tensors that operators use.
    pub tensors: Vec<TensorSummary>,
    /// Operators that compute with real numbers as far as the file tells, as `kind (name)`.
    /// Conversions at the inputs and outputs do not count.
    pub float_operators: Vec<String>,
    /// Operators, as `kind (name)`, whose sums of two products can saturate on x86 processors
    /// without VNNI, which add them in 16 bits; empty where the format's runtime has no such
    /// kernels.
    #[serde(default)]
    pub saturating_operators: Vec<String>,
    /// Operators that the format does not define, by kind.
    #[serde(default)]
    pub custom_operators: Vec<String>,
    /// Other files that hold constants, with the bytes that are used of each.
    #[serde(default)]
    pub external_files: BTreeMap<String, u64>,
    /// Size of all constants in bytes, those in other files included.
    pub constants_bytes: u64,
    /// Size of the file in bytes.
    pub file_bytes: u64,
}

/// An operator of a model file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OperatorSummary {
    /// The format's name for it.
    pub kind: String,
    /// Its own name; empty where it has none.
    pub name: String,
    /// What it reads, constants included, as positions in [`ModelSummary::tensors`]; optional
    /// inputs that are left out are not listed.
    pub inputs: Vec<usize>,
    /// What it makes, as positions in [`ModelSummary::tensors`].
    pub outputs: Vec<usize>,
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
    /// Names that the file gives to open sizes, by dimension.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub size_names: BTreeMap<usize, String>,
    /// Whether it is a constant.
    pub constant: bool,
    /// Step sizes, where it is quantized.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scales: Option<Scales>,
    /// The integer of real zero.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zero_point: Option<i64>,
}

/// The step sizes of a tensor: one, or one per channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scales {
    /// How many there are.
    pub count: usize,
    /// The smallest.
    pub smallest: f32,
    /// The largest.
    pub largest: f32,
}

impl Scales {
    /// The smallest and largest of these; none where there are none.
    pub fn of(scales: impl IntoIterator<Item = f32>) -> Option<Self> {
        let add = |known: Option<Self>, scale: f32| {
            let Self { count, smallest, largest } =
                known.unwrap_or(Self { count: 0, smallest: scale, largest: scale });
            let (smallest, largest) = (smallest.min(scale), largest.max(scale));
            Some(Self { count: count + 1, smallest, largest })
        };
        scales.into_iter().fold(None, add)
    }
}

impl TensorSummary {
    /// The shape as text, such as `1×3×H×W`; sizes without a name are `?`.
    pub fn sizes(&self) -> String {
        joined(&self.shape, |axis, size| match self.size_names.get(&axis) {
            Some(name) if size < 0 => shortened(name, SHOWN_NAME).into_owned(),
            _ if size < 0 => "?".into(),
            _ => size.to_string(),
        })
    }

    /// What an open size is called: its name in the file, else `TENSOR:DIMENSION`, counted from 0;
    /// nothing where the size is not open.
    pub fn size_name(&self, axis: usize) -> Option<String> {
        let open = *self.shape.get(axis)? < 0;
        let named = || self.size_names.get(&axis).cloned();
        open.then(|| named().unwrap_or_else(|| format!("{}:{axis}", self.name)))
    }

    /// Whether its elements are real numbers.
    pub fn is_real(&self) -> bool {
        self.element.contains("float") || self.element.contains("complex")
    }
}

/// Dimensions of a tensor that are shown.
const SHOWN_SIZES: usize = 8;
/// Characters of a foreign name that are shown.
const SHOWN_NAME: usize = 100;

impl ModelSummary {
    /// Whether any tensor has a scale.
    pub fn is_quantized(&self) -> bool {
        self.tensors.iter().any(|tensor| tensor.scales.is_some())
    }

    /// The name of an operator, else that of what it makes.
    pub fn name_of<'s>(&'s self, operator: &'s OperatorSummary) -> &'s str {
        let made = || operator.outputs.first().and_then(|place| self.tensors.get(*place));
        match operator.name.as_str() {
            "" => made().map_or("", |tensor| &tensor.name),
            name => name,
        }
    }
}

/// A shape as text, such as `1×3×32×32`.
pub fn sizes_as_text(shape: &[i64]) -> String {
    joined(shape, |_, size| size.to_string())
}

fn joined(shape: &[i64], text: impl Fn(usize, i64) -> String) -> String {
    let shown = shape.iter().take(SHOWN_SIZES).enumerate();
    let mut sizes: Vec<String> = shown.map(|(axis, size)| text(axis, *size)).collect();
    if shape.len() > SHOWN_SIZES {
        sizes.push(format!("… ({} dimensions)", shape.len()));
    }
    sizes.join("×")
}

/// An operator in lists, as `kind (name)`; long names are cut.
pub fn operator_label(kind: &str, name: &str) -> String {
    format!("{} ({})", shortened(kind, SHOWN_NAME), shortened(name, SHOWN_NAME))
}

/// The name of a model's metadata that hold the name of its study.
pub const STUDY_KEY: &str = "spacewright.study";
/// The name of a model's metadata that hold the encoding of its space.
pub const SPACE_KEY: &str = "spacewright.space";
/// The name of a model's metadata that hold the encoding of its subnet.
pub const SUBNET_KEY: &str = "spacewright.subnet";
/// The name of a model's metadata that hold the name of the scheme under which it was quantized.
pub const SCHEME_KEY: &str = "spacewright.scheme";

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
