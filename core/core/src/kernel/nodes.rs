//! What fusion needs to know of a graph, whether it is a graph or columns of a batch.

use std::ops::Range;

use crate::{
    graph::{Graph, GraphError, Op, OpKind, Shape},
    latency::{ColumnsError, GraphColumns, ListedOperator, Position},
};

/// Sizes of a value: channels, rows, columns.
pub(super) type Sizes = [u32; 3];

/// One operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub op: OpKind,
    /// Where the values that are read begin and end in [`Nodes::inputs`].
    inputs: (u32, u32),
    pub output: Sizes,
    pub kernel: [u32; 2],
    pub stride: u32,
    pub groups: u32,
}

/// One graph: value 0 is its input, value `n` the output of node `n - 1`.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub input: Sizes,
    pub output: u32,
    pub nodes: Vec<Node>,
    /// What all nodes read.
    inputs: Vec<u32>,
}

fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn sizes(shape: &Shape) -> Sizes {
    [shape.channels, shape.height, shape.width].map(count)
}

impl Nodes {
    /// Sizes of a value.
    pub fn sizes(&self, value: u32) -> Sizes {
        match value {
            0 => self.input,
            value => self.nodes[value as usize - 1].output,
        }
    }

    /// Values that a node reads.
    pub fn inputs(&self, node: &Node) -> &[u32] {
        &self.inputs[node.inputs.0 as usize..node.inputs.1 as usize]
    }

    /// Takes note of what a node reads.
    fn reads(&mut self, values: impl Iterator<Item = u32>) -> (u32, u32) {
        let first = count(self.inputs.len());
        self.inputs.extend(values);
        (first, count(self.inputs.len()))
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.inputs.clear();
    }

    /// Copies a graph, whose shapes are checked.
    pub fn read(&mut self, graph: &Graph) -> Result<(), GraphError> {
        let shapes = graph.shapes()?;
        self.input = sizes(&graph.input);
        self.output = graph.output.0;
        self.clear();
        for (node, shape) in graph.nodes.iter().zip(&shapes[1..]) {
            let (kernel, stride, groups) = match &node.op {
                Op::Conv2d(conv) => (conv.kernel.into(), conv.stride, conv.groups),
                Op::AvgPool(pool) | Op::MaxPool(pool) => ([pool.kernel; 2], pool.stride, 1),
                _ => ([1; 2], 1, 1),
            };
            let inputs = self.reads(node.inputs.iter().map(|value| value.0));
            self.nodes.push(Node {
                op: node.op.kind(),
                inputs,
                output: sizes(shape),
                kernel: kernel.map(count),
                stride: count(stride),
                groups: count(groups),
            });
        }
        Ok(())
    }
}

/// Columns whose lengths and operators have been checked.
pub(super) struct CheckedColumns<'a> {
    columns: &'a GraphColumns,
    operators: Vec<ListedOperator>,
}

impl<'a> CheckedColumns<'a> {
    pub fn new(columns: &'a GraphColumns) -> Result<Self, ColumnsError> {
        let listed = columns.operators.iter().map(|entry| ListedOperator::read(entry));
        let operators = listed.collect::<Result<_, _>>()?;
        columns.check_lengths()?;
        Ok(Self { columns, operators })
    }

    /// How many graphs there are.
    pub fn len(&self) -> usize {
        self.columns.first_node.len()
    }

    /// Copies a graph of the batch into `into`; the answer is where it stands in its network.
    pub fn read(&self, graph: usize, into: &mut Nodes) -> Result<Position, ColumnsError> {
        let c = self.columns;
        let Range { start: first, end } = c.nodes_of(graph);
        if first > end || end > c.operator.len() {
            return Err(ColumnsError::NodeRange { graph, first, end });
        }
        into.input = [c.channels[graph], c.height[graph], c.width[graph]];
        into.output = c.output[graph];
        into.clear();
        for at in first..end {
            let (node, operator) = (at - first, c.operator[at]);
            let not_listed = || ColumnsError::NotListed { graph, node, operator };
            let listed = *self.operators.get(usize::from(operator)).ok_or_else(not_listed)?;
            let op = listed.kind;
            let inputs = into.reads(c.inputs(at));
            let read = &into.inputs[inputs.0 as usize..];
            if read.iter().any(|value| *value as usize > node) {
                return Err(ColumnsError::NotComputed { graph, node });
            }
            let windowed = matches!(op, OpKind::Conv2d | OpKind::AvgPool | OpKind::MaxPool);
            let window = |size: u32| if windowed { size.max(1) } else { 1 };
            into.nodes.push(Node {
                op,
                inputs,
                output: [c.out_channels[at], c.out_height[at], c.out_width[at]],
                kernel: <[usize; 2]>::from(listed.window(c.kernel[at]))
                    .map(|side| window(count(side))),
                stride: window(c.stride[at]),
                groups: window(c.groups[at]),
            });
        }
        if into.output as usize > into.nodes.len() {
            return Err(ColumnsError::NoOutput { graph, value: into.output });
        }
        let (_, position) = c.asked(graph).ok_or_else(|| c.codes_error(graph))?;
        Ok(position)
    }
}
