//! Why columns are no batch of graphs.

use thiserror::Error;

use crate::graph::{GraphError, OpError};

/// What a batch in columns contradicts. Positions count from 0, graphs in the batch, nodes in
/// their graph.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ColumnsError {
    /// A graph that was to be written as columns is wrong.
    #[error("graph {graph}: {source}")]
    Graph {
        /// Position of the graph.
        graph: usize,
        /// What is wrong with it.
        source: GraphError,
    },
    /// A column has too few or too many entries.
    #[error("column `{column}` has {found} entries, not {needed}")]
    Length {
        /// The column.
        column: &'static str,
        /// How many entries it has.
        found: usize,
        /// How many it needs: one for each graph or node, four of padding, and one more of
        /// `second_input` for each value that a concatenation reads after its second one.
        needed: usize,
    },
    /// There is not one line in `names` for each node.
    #[error("column `names` does not have one line for each of {nodes} nodes")]
    Names {
        /// How many nodes there are.
        nodes: usize,
    },
    /// The nodes of a graph are not those that follow on the graph before it.
    #[error("graph {graph}: no nodes {first} to {end}")]
    NodeRange {
        /// Position of the graph.
        graph: usize,
        /// Where its nodes begin in the columns of nodes.
        first: usize,
        /// Where they end.
        end: usize,
    },
    /// The code of a precision or of a position stands for none.
    #[error("graph {graph}: no such precision or position: {precision}, {position}")]
    Codes {
        /// Position of the graph.
        graph: usize,
        /// The code that stands for its precision.
        precision: u8,
        /// The code that stands for its position in the network.
        position: u8,
    },
    /// A node's operator is not in the list of operators.
    #[error("graph {graph}, node {node}: operator {operator} is not listed")]
    NotListed {
        /// Position of the graph.
        graph: usize,
        /// Position of the node.
        node: usize,
        /// The place in `operators` that the node names.
        operator: u8,
    },
    /// A node reads a value that no node before it makes.
    #[error("graph {graph}, node {node}: reads a value that is not computed")]
    NotComputed {
        /// Position of the graph.
        graph: usize,
        /// Position of the node.
        node: usize,
    },
    /// The output of a graph is no value of it.
    #[error("graph {graph}: there is no value {value}")]
    NoOutput {
        /// Position of the graph.
        graph: usize,
        /// The value that should be the output.
        value: u32,
    },
    /// An operator is unknown or lacks an attribute.
    #[error(transparent)]
    Op(#[from] OpError),
}
