//! The op graph: every block, teacher, stem, head and whole network is one.
//!
//! A graph has one input, nodes in topological order and one output. Shapes are per image
//! (`channels × height × width`, no batch dimension). See [`GraphBuilder`] for making one.

mod bounds;
mod builder;
mod count;
mod hash;
mod kernel_size;
mod op;
mod shape;
mod text;
mod weights;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use builder::{ConvSpec, GraphBuilder};
pub use hash::GraphHash;
pub use kernel_size::{KernelSize, ParseKernelSizeError};
pub use op::{ActivationKind, Conv2d, Op, OpAttributes, OpError, OpKind, Padding, Pool};
pub use shape::{ParseShapeError, Shape};
pub use text::GraphTextError;
pub(crate) use text::TextAttributes;
pub use weights::{WeightRole, WeightSpec};

/// A value of a graph: `0` is the graph's input, `n` the output of node `n − 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The input of the graph.
    pub const INPUT: Self = Self(0);

    /// The output of the node at `index`.
    pub fn of_node(index: usize) -> Self {
        Self(index as u32 + 1)
    }

    /// Position in arrays that hold one entry per value.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The node that makes this value; `None` for the graph's input.
    pub fn node(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// One operator applied to values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable over all configurations of a block: weights are shared by name.
    pub name: String,
    /// What is computed.
    #[serde(flatten)]
    pub op: Op,
    /// What it is computed from.
    pub inputs: Vec<ValueId>,
}

/// A graph of operators with named weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Shape of the input.
    pub input: Shape,
    /// In topological order.
    pub nodes: Vec<Node>,
    /// The value that is the result.
    pub output: ValueId,
}

/// What is wrong with a graph, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// Shapes of a node's inputs do not fit its operator.
    #[error("node `{node}` ({op}): {reason}; input shapes: {}", shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "))]
    Shape {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What does not fit.
        reason: String,
        /// The shapes that it was given.
        shapes: Vec<Shape>,
    },
    /// The structure itself is wrong.
    #[error("node `{node}`: {reason}")]
    Structure {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// Two graphs cannot be chained.
    #[error("cannot chain graphs: the first gives {first}, the second takes {second}")]
    Chain {
        /// Output of the first graph.
        first: Shape,
        /// Input of the second graph.
        second: Shape,
    },
    /// The text form cannot be read.
    #[error("line {line}: {source}")]
    Text {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: GraphTextError,
    },
}

impl Graph {
    /// What the text form calls the input; no node has this name.
    const INPUT_NAME: &str = "input";

    /// The graph without nodes, whose output is its input.
    pub fn identity(input: Shape) -> Self {
        Self { input, nodes: Vec::new(), output: ValueId::INPUT }
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Result<Shape, GraphError> {
        Ok(self.shapes()?[self.output.index()])
    }

    /// Name of a value: the node that makes it, or `input`; `?` where no node makes it.
    pub fn value_name(&self, value: ValueId) -> &str {
        match value.node() {
            Some(index) => self.nodes.get(index).map_or("?", |node| &node.name),
            None => Self::INPUT_NAME,
        }
    }

    /// For each value the nodes that read it; the graph's output counts as no reader.
    pub fn consumers(&self) -> Vec<Vec<usize>> {
        let mut consumers = vec![Vec::new(); self.nodes.len() + 1];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                consumers[input.index()].push(index);
            }
        }
        consumers
    }

    /// The nodes at these ascending positions as a graph of their own, whose result is that of
    /// the last. All values that come from elsewhere become its input; `None` where they differ in
    /// shape, or where there is no node.
    pub fn part(&self, nodes: &[usize]) -> Result<Option<Self>, GraphError> {
        let shapes = self.shapes()?;
        let mut input = None;
        let mut part = Vec::with_capacity(nodes.len());
        for &index in nodes {
            let mut node = self.nodes[index].clone();
            for value in &mut node.inputs {
                let inside = value.node().and_then(|node| nodes.iter().position(|n| *n == node));
                if let Some(at) = inside {
                    *value = ValueId::of_node(at);
                    continue;
                }
                let shape = shapes[value.index()];
                if *input.get_or_insert(shape) != shape {
                    return Ok(None);
                }
                *value = ValueId::INPUT;
            }
            part.push(node);
        }
        let output = ValueId(part.len() as u32);
        Ok(input.map(|input| Self { input, nodes: part, output }))
    }

    /// The same graph with `prefix` before every node name.
    pub fn prefixed(mut self, prefix: &str) -> Self {
        for node in &mut self.nodes {
            node.name.insert_str(0, prefix);
        }
        self
    }

    /// Appends `next`, whose input becomes this graph's output.
    pub fn then(mut self, next: Graph) -> Result<Self, GraphError> {
        let first = self.output_shape()?;
        if first != next.input {
            return Err(GraphError::Chain { first, second: next.input });
        }
        let offset = self.nodes.len() as u32;
        let joint = self.output;
        let moved = |v: ValueId| if v == ValueId::INPUT { joint } else { ValueId(v.0 + offset) };
        self.output = moved(next.output);
        self.nodes.extend(next.nodes.into_iter().map(|mut node| {
            for input in &mut node.inputs {
                *input = moved(*input);
            }
            node
        }));
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Graph {
        let mut b = GraphBuilder::new(Shape::new(3, 8, 8));
        let x =
            b.conv_bn_act("conv", b.input(), ConvSpec::new(4, 3).stride(2), ActivationKind::Relu);
        b.finish(x)
    }

    #[test]
    fn chaining_checks_shapes() {
        let error = small().then(small().prefixed("b.")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot chain graphs: the first gives 4x4x4, the second takes 3x8x8"
        );
    }

    #[test]
    fn chaining_moves_edges() {
        let mut tail = GraphBuilder::new(Shape::new(4, 4, 4));
        let skip = tail.input();
        let y = tail.conv("pw", skip, ConvSpec::new(4, 1));
        let y = tail.add("sum", y, skip);
        let whole = small().then(tail.finish(y)).unwrap();
        assert_eq!(whole.value_name(whole.nodes[4].inputs[1]), "conv.act");
        assert_eq!(whole.output_shape().unwrap(), Shape::new(4, 4, 4));
    }

    #[test]
    fn json_round_trips() {
        let graph = small();
        let json = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph);
    }
}
