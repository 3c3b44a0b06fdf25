//! Operator sets: block types, each described once as a function from a request to a graph.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    call::{ContractError, Reason},
    graph::{ActivationKind, Graph, GraphError, Shape},
};

/// A block's choices: an ordered map from axis (declared by the block type) to the value chosen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockConfig(pub IndexMap<String, f64>);

impl BlockConfig {
    /// A configuration of `(axis, value)` pairs.
    pub fn of(pairs: &[(&str, f64)]) -> Self {
        Self(pairs.iter().map(|(axis, value)| ((*axis).to_owned(), *value)).collect())
    }

    /// The value of an axis.
    pub fn get(&self, axis: &str) -> Option<f64> {
        self.0.get(axis).copied()
    }
}

impl fmt::Display for BlockConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (axis, value)) in self.0.iter().enumerate() {
            write!(f, "{}{axis}={value}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// A block type of an operator set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockType {
    /// Unique over all operator sets that are loaded, such as `mobilenet-v2-res`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// The elastic axes, in the order of their appearance in encodings.
    pub axes: Vec<String>,
}

/// Everything that determines one block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockRequest {
    /// Name of the block type.
    pub block: String,
    /// Shape of the block's input.
    pub input: Shape,
    /// Width of the block's output.
    pub out_channels: usize,
    /// Down-sampling of the block.
    pub stride: usize,
    /// The block's non-linearity.
    pub activation: ActivationKind,
    /// A value for each axis of the block type.
    pub config: BlockConfig,
}

impl BlockRequest {
    /// A block of ordinary size, to see whether an operator set accepts these choices and what it
    /// makes of them.
    pub fn probe(block: &str, activation: ActivationKind, config: BlockConfig) -> Self {
        Self {
            block: block.to_owned(),
            input: Shape::square(16, 32),
            out_channels: 32,
            stride: 1,
            activation,
            config,
        }
    }

    /// Shape of the block's output, unless it is 1×1 as that of blocks of a head: the channels that
    /// are asked for, and the size of the input divided by the stride, rounded up.
    pub fn usual_output(&self) -> Shape {
        let [height, width] =
            [self.input.height, self.input.width].map(|size| size.div_ceil(self.stride.max(1)));
        Shape::new(self.out_channels, height, width)
    }

    /// That a graph has the input that was asked for, and the [usual
    /// output](Self::usual_output) or one of 1×1.
    pub fn check_answer(&self, graph: &Graph) -> Result<(), GraphError> {
        let output = graph.output_shape()?;
        let reason = if graph.input != self.input {
            format!("asked for an input of {}, got {}", self.input, graph.input)
        } else if output.channels != self.out_channels {
            format!("asked for {} output channels, got {output}", self.out_channels)
        } else {
            let usual = self.usual_output();
            if output == usual || (output.height, output.width) == (1, 1) {
                return Ok(());
            }
            let Shape { height, width, .. } = usual;
            format!("asked for an output of {height}x{width} pixels, got {output}")
        };
        Err(GraphError::Structure { node: graph.value_name(graph.output).to_owned(), reason })
    }

    /// The value of an axis, or an error that names block and axis.
    pub fn axis(&self, axis: &str) -> Result<f64, OperatorError> {
        self.config.get(axis).ok_or_else(|| OperatorError::MissingAxis {
            block: self.block.clone(),
            axis: axis.to_owned(),
        })
    }

    /// The value of an axis that counts something, such as a kernel size.
    pub fn count(&self, axis: &str) -> Result<usize, OperatorError> {
        let value = self.axis(axis)?;
        if value < 1.0 || value.fract() != 0.0 || value > 1e6 {
            return Err(OperatorError::BadChoice {
                block: self.block.clone(),
                axis: axis.to_owned(),
                value,
                allowed: "a positive whole number".into(),
            });
        }
        Ok(value as usize)
    }

    /// The choice for the axis `kernel`, as the side of a kernel with a centre, which keeps the size of
    /// what it slides over.
    pub fn kernel(&self) -> Result<usize, OperatorError> {
        let kernel = self.count("kernel")?;
        if kernel.is_multiple_of(2) {
            return Err(OperatorError::BadChoice {
                block: self.block.clone(),
                axis: "kernel".into(),
                value: kernel as f64,
                allowed: "an odd number: an even kernel has no centre".into(),
            });
        }
        Ok(kernel)
    }
}

/// Why an operator set gave no graph.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OperatorError {
    /// No loaded operator set has the block type.
    #[error("no block type `{block}`; known are {known}")]
    UnknownBlock {
        /// What was asked for.
        block: String,
        /// Comma-separated names.
        known: String,
    },
    /// The configuration lacks an axis.
    #[error("block `{block}` needs a value for its axis `{axis}`")]
    MissingAxis {
        /// Name of the block type.
        block: String,
        /// The axis.
        axis: String,
    },
    /// A value that the block type cannot have.
    #[error("block `{block}`: {axis} = {value} is not {allowed}")]
    BadChoice {
        /// Name of the block type.
        block: String,
        /// The axis.
        axis: String,
        /// The value.
        value: f64,
        /// What is allowed, as words.
        allowed: String,
    },
    /// An answer with too few or too many graphs.
    #[error("the operator set `{set}` gave {given} graphs for {asked} blocks")]
    WrongCount {
        /// Name of the operator set.
        set: String,
        /// How many blocks it was asked for.
        asked: usize,
        /// How many graphs it gave.
        given: usize,
    },
    /// Anything else: see [`other`](Self::other).
    #[error("{0}")]
    Other(Reason),
    /// Two operator sets have a block type of the same name.
    #[error("the operator sets `{first}` and `{second}` both have a block type `{block}`")]
    TwoBlocks {
        /// Name of the block type.
        block: String,
        /// Name of one set.
        first: String,
        /// Name of the other one.
        second: String,
    },
    /// The block's graph is wrong.
    #[error("block `{block}` made a wrong graph: {source}")]
    Graph {
        /// Name of the block type.
        block: String,
        /// What is wrong.
        #[source]
        source: GraphError,
    },
}

impl OperatorError {
    /// An error from a sentence.
    pub fn other(reason: impl Into<Reason>) -> Self {
        Self::Other(reason.into())
    }
}

impl ContractError for OperatorError {
    fn reason_mut(&mut self) -> Option<&mut Reason> {
        match self {
            Self::Other(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A set of block types. One graph function carries a block through training, latency, export
/// and counting.
///
/// ```
/// use spacewright_core::{
///     graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Shape},
///     operators::{BlockConfig, BlockRequest, BlockType, OperatorError, OperatorSet},
/// };
///
/// struct Plain;
///
/// impl OperatorSet for Plain {
///     fn name(&self) -> &str {
///         "plain"
///     }
///     fn block_types(&self) -> Vec<BlockType> {
///         let axes = vec!["kernel".to_owned()];
///         vec![BlockType { name: "plain-conv".into(), summary: "One convolution".into(), axes }]
///     }
///     fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
///         let graph = |r: &BlockRequest| {
///             let mut b = GraphBuilder::new(r.input);
///             let spec = ConvSpec::new(r.out_channels, r.count("kernel")?).stride(r.stride);
///             let x = b.conv_bn_act("conv", b.input(), spec, r.activation);
///             Ok(b.finish(x))
///         };
///         requests.iter().map(graph).collect()
///     }
/// }
///
/// let request = BlockRequest {
///     block: "plain-conv".into(),
///     input: Shape::square(3, 32),
///     out_channels: 16,
///     stride: 2,
///     activation: ActivationKind::Relu,
///     config: BlockConfig::of(&[("kernel", 3.0)]),
/// };
/// let graph = &Plain.graphs(&[request]).unwrap()[0];
/// assert_eq!(graph.output_shape().unwrap(), Shape::square(16, 16));
/// ```
pub trait OperatorSet: Send + Sync {
    /// Name of the set.
    fn name(&self) -> &str;

    /// The block types, in a fixed order.
    fn block_types(&self) -> Vec<BlockType>;

    /// The graph of each request, in order. Node names must not depend on the configuration:
    /// they name the shared weights of the elastic block.
    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError>;
}

/// All operator sets of a process, found by block type.
#[derive(Clone, Default)]
pub struct Operators {
    sets: Vec<Arc<dyn OperatorSet>>,
    types: HashMap<String, (usize, BlockType)>,
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sets.iter().map(|set| set.name())).finish()
    }
}

impl Operators {
    /// Joins operator sets; an error where two of them have a block type of the same name.
    pub fn new(
        sets: impl IntoIterator<Item = Arc<dyn OperatorSet>>,
    ) -> Result<Self, OperatorError> {
        let mut operators = Self::default();
        sets.into_iter().try_for_each(|set| operators.add(set))?;
        Ok(operators)
    }

    /// Adds an operator set; where a block type of it is there already, nothing is added.
    pub fn add(&mut self, set: Arc<dyn OperatorSet>) -> Result<(), OperatorError> {
        let types = set.block_types();
        if let Some((block, known)) = types.iter().find_map(|t| Some((t, self.types.get(&t.name)?)))
        {
            return Err(OperatorError::TwoBlocks {
                block: block.name.clone(),
                first: self.sets[known.0].name().to_owned(),
                second: set.name().to_owned(),
            });
        }
        let index = self.sets.len();
        self.types.extend(types.into_iter().map(|block| (block.name.clone(), (index, block))));
        self.sets.push(set);
        Ok(())
    }

    /// All block types, by name.
    pub fn block_types(&self) -> Vec<&BlockType> {
        let mut types: Vec<_> = self.types.values().map(|(_, block)| block).collect();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types
    }

    /// The block type of this name.
    pub fn block_type(&self, name: &str) -> Result<&BlockType, OperatorError> {
        self.entry(name).map(|(_, block)| block)
    }

    /// The graph of one block; see [`graphs`](Self::graphs).
    pub fn graph(&self, request: &BlockRequest) -> Result<Graph, OperatorError> {
        let (set, _) = self.entry(&request.block)?;
        ask(self.sets[*set].as_ref(), std::slice::from_ref(request)).map(|mut one| one.remove(0))
    }

    /// The graph of each block, in order, with its shapes checked. Every operator set is asked for
    /// all of its blocks together.
    pub fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let mut positions = vec![Vec::new(); self.sets.len()];
        for (position, request) in requests.iter().enumerate() {
            positions[self.entry(&request.block)?.0].push(position);
        }
        let mut graphs: BTreeMap<usize, Graph> = BTreeMap::new();
        for (set, positions) in self.sets.iter().zip(&positions) {
            for positions in positions.chunks(MOST_REQUESTS) {
                let asked: Vec<BlockRequest> =
                    positions.iter().map(|&position| requests[position].clone()).collect();
                graphs.extend(positions.iter().copied().zip(ask(set.as_ref(), &asked)?));
            }
        }
        Ok(graphs.into_values().collect())
    }

    fn entry(&self, name: &str) -> Result<&(usize, BlockType), OperatorError> {
        self.types.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.block_types().iter().map(|b| b.name.as_str()).collect();
            OperatorError::UnknownBlock { block: name.to_owned(), known: known.join(", ") }
        })
    }
}

/// Most blocks that an operator set is asked for in one call. Plugins have limits of memory,
/// instructions and size of answers per call, however much is asked; a graph takes a few kilobytes.
const MOST_REQUESTS: usize = 1024;

fn ask(set: &dyn OperatorSet, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
    let graphs = set.graphs(requests)?;
    let (asked, given) = (requests.len(), graphs.len());
    if asked != given {
        return Err(OperatorError::WrongCount { set: set.name().to_owned(), asked, given });
    }
    for (request, graph) in requests.iter().zip(&graphs) {
        let graph_error = |source| OperatorError::Graph { block: request.block.clone(), source };
        request.check_answer(graph).map_err(graph_error)?;
    }
    Ok(graphs)
}
