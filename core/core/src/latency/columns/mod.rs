//! Batches of questions to a latency source as columns of numbers: the form in which they cross to
//! plugins. Nothing is lost in it.

mod error;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use error::ColumnsError;

use super::{LatencyQuery, ListedOperator, Position, Precision};
use crate::graph::{
    Graph, GraphError, KernelSize, Node, Op, OpAttributes, OpError, OpKind, Padding, Shape, ValueId,
};

/// Stands for the second input of nodes that have one only.
pub const NO_VALUE: u32 = u32::MAX;
/// As many as a column of bytes can tell apart.
const MOST_OPERATORS: usize = 1 << u8::BITS;

/// A batch of graphs as columns, each documented at `latency-source` in `core/plugin/wit/plugin.wit`:
///
/// - per graph: `first_node` to `position`;
/// - per node: `operator` and `first_input` to `parameter`, and a line of `names`;
/// - `operators`: the [`ListedOperator`]s that `operator` refers to, each once;
/// - `padding`: four per node;
/// - `second_input`: one per node, then the further inputs of concatenations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GraphColumns {
    pub first_node: Vec<u32>,
    pub channels: Vec<u32>,
    pub height: Vec<u32>,
    pub width: Vec<u32>,
    pub output: Vec<u32>,
    pub precision: Vec<u8>,
    pub position: Vec<u8>,
    pub names: String,
    pub operator: Vec<u8>,
    pub operators: Vec<String>,
    pub first_input: Vec<u32>,
    pub second_input: Vec<u32>,
    pub out_channels: Vec<u32>,
    pub out_height: Vec<u32>,
    pub out_width: Vec<u32>,
    pub macs: Vec<u64>,
    pub kernel: Vec<u32>,
    pub stride: Vec<u32>,
    pub padding: Vec<u32>,
    pub groups: Vec<u32>,
    pub bias: Vec<u8>,
    pub parameter: Vec<f64>,
}

const POSITIONS: [Position; 4] =
    [Position::Whole, Position::First, Position::Inside, Position::Last];

impl GraphColumns {
    /// The columns of a batch, whose graphs are checked.
    pub fn of(queries: &[LatencyQuery]) -> Result<Self, ColumnsError> {
        let mut columns = Self::default();
        let mut further = Vec::new();
        for (graph, query) in queries.iter().enumerate() {
            let pushed = columns.push(query, &mut further);
            pushed.map_err(|source| ColumnsError::Graph { graph, source })?;
        }
        columns.second_input.extend(further);
        Ok(columns)
    }

    fn push(&mut self, query: &LatencyQuery, further: &mut Vec<u32>) -> Result<(), GraphError> {
        let LatencyQuery { graph, precision, position } = query;
        let shapes = graph.shapes()?;
        self.first_node.push(self.operator.len() as u32);
        self.channels.push(graph.input.channels as u32);
        self.height.push(graph.input.height as u32);
        self.width.push(graph.input.width as u32);
        self.output.push(graph.output.0);
        self.precision.push(index(&Precision::ALL, precision));
        self.position.push(index(&POSITIONS, position));
        for ((node, shape), macs) in
            graph.nodes.iter().zip(&shapes[1..]).zip(graph.macs_of(&shapes))
        {
            self.out_channels.push(shape.channels as u32);
            self.out_height.push(shape.height as u32);
            self.out_width.push(shape.width as u32);
            self.macs.push(macs);
            self.push_node(node, further);
            // Few kinds, but any number of windows.
            if self.operators.len() > MOST_OPERATORS {
                let reason = format!("more than {MOST_OPERATORS} different operators in a batch");
                return Err(GraphError::Structure { node: node.name.clone(), reason });
            }
        }
        Ok(())
    }

    fn push_node(&mut self, node: &Node, further: &mut Vec<u32>) {
        self.names.push_str(&node.name);
        self.names.push('\n');
        let operator = ListedOperator::entry(&node.op);
        let known = self.operators.iter().position(|entry| *entry == operator);
        let known = known.unwrap_or_else(|| {
            self.operators.push(operator);
            self.operators.len() - 1
        });
        self.operator.push(known as u8);
        self.first_input.push(node.inputs[0].0);
        self.second_input.push(node.inputs.get(1).map_or(NO_VALUE, |value| value.0));
        let mut window = (0, 0, Padding::default());
        let (mut groups, mut bias, mut parameter) = (0, false, 0.0);
        match &node.op {
            Op::Conv2d(conv) => {
                window = (conv.kernel.rows, conv.stride, conv.padding);
                (groups, bias) = (conv.groups, conv.bias);
            }
            Op::AvgPool(pool) | Op::MaxPool(pool) => {
                window = (pool.kernel, pool.stride, Padding::all(pool.padding));
            }
            Op::Linear { bias: has, .. } => bias = *has,
            Op::BatchNorm { eps } => parameter = *eps,
            Op::Dropout { rate } => parameter = *rate,
            Op::Concat => {
                window.0 = further.len();
                groups = node.inputs.len() - 2;
                further.extend(node.inputs[2..].iter().map(|value| value.0));
            }
            Op::Activation { .. } | Op::Add | Op::Mul | Op::GlobalAvgPool => {}
        }
        let (kernel, stride, p) = window;
        self.kernel.push(kernel as u32);
        self.stride.push(stride as u32);
        self.padding.extend([p.top, p.left, p.bottom, p.right].map(|side| side as u32));
        self.groups.push(groups as u32);
        self.bias.push(u8::from(bias));
        self.parameter.push(parameter);
    }

    /// Precision and position of a graph; `None` if either code is invalid.
    pub fn asked(&self, graph: usize) -> Option<(Precision, Position)> {
        let precision = Precision::ALL.get(usize::from(*self.precision.get(graph)?))?;
        let position = POSITIONS.get(usize::from(*self.position.get(graph)?))?;
        Some((*precision, *position))
    }

    /// The positions of a graph's nodes in the columns of nodes.
    pub fn nodes_of(&self, graph: usize) -> Range<usize> {
        let end = self.first_node.get(graph + 1).map_or(self.operator.len(), |end| *end as usize);
        self.first_node[graph] as usize..end
    }

    /// The values that a node reads, as many as its operator takes.
    pub fn inputs(&self, node: usize) -> impl Iterator<Item = u32> {
        let second = Some(self.second_input[node]).filter(|value| *value != NO_VALUE);
        let first = self.operator.len().saturating_add(self.kernel[node] as usize);
        let further = (0..self.further(node)).map(move |at| {
            self.second_input.get(first.saturating_add(at)).copied().unwrap_or(NO_VALUE)
        });
        std::iter::once(self.first_input[node]).chain(second).chain(further)
    }

    /// How many values a node reads after its second one.
    fn further(&self, node: usize) -> usize {
        let operator = self.operators.get(usize::from(self.operator[node]));
        let concatenates = operator.is_some_and(|name| name == OpKind::Concat.name());
        if concatenates { self.groups[node] as usize } else { 0 }
    }

    /// Elements of a value of a graph: 0 is its input, `n` the output of its node `n - 1`.
    pub fn elements(&self, graph: usize, value: u32) -> u64 {
        let shape = match value as usize {
            0 => [self.channels[graph], self.height[graph], self.width[graph]],
            value => {
                let node = self.first_node[graph] as usize + value - 1;
                [self.out_channels[node], self.out_height[node], self.out_width[node]]
            }
        };
        shape.map(u64::from).iter().product()
    }

    pub(crate) fn codes_error(&self, graph: usize) -> ColumnsError {
        let [precision, position] = [&self.precision, &self.position]
            .map(|codes| codes.get(graph).copied().unwrap_or(u8::MAX));
        ColumnsError::Codes { graph, precision, position }
    }

    /// The batch that these are the columns of. Whether shapes fit is not checked here:
    /// [`Graph::shapes`] does so.
    pub fn queries(&self) -> Result<Vec<LatencyQuery>, ColumnsError> {
        self.check_lengths()?;
        let count = self.operator.len();
        let mut names = self.names.lines();
        let mut queries = Vec::with_capacity(self.first_node.len());
        let ends = self.first_node.iter().skip(1).map(|end| *end as usize).chain([count]);
        let mut next = 0;
        for (at, (first, end)) in self.first_node.iter().zip(ends).enumerate() {
            let first = *first as usize;
            if first != next || end < next || end > count {
                return Err(ColumnsError::NodeRange { graph: at, first, end });
            }
            let mut nodes = Vec::with_capacity(end - next);
            for node in next..end {
                let name = names.next().ok_or(ColumnsError::Names { nodes: count })?;
                let operator = self.operator[node];
                let not_listed =
                    || ColumnsError::NotListed { graph: at, node: node - first, operator };
                let operator = self.operators.get(usize::from(operator)).ok_or_else(not_listed)?;
                nodes.push(self.node(node, name, operator)?);
            }
            let input = [&self.channels, &self.height, &self.width].map(|side| side[at] as usize);
            let [channels, height, width] = input;
            let graph = Graph {
                input: Shape::new(channels, height, width),
                nodes,
                output: ValueId(self.output[at]),
            };
            let (precision, position) = self.asked(at).ok_or_else(|| self.codes_error(at))?;
            queries.push(LatencyQuery { graph, precision, position });
            next = end;
        }
        match names.next() {
            None => Ok(queries),
            Some(_) => Err(ColumnsError::Names { nodes: count }),
        }
    }

    /// That all columns have an entry for each graph, or for each node.
    pub(crate) fn check_lengths(&self) -> Result<(), ColumnsError> {
        let (graphs, nodes) = (self.first_node.len(), self.operator.len());
        for (column, found, needed) in [
            ("channels", self.channels.len(), graphs),
            ("height", self.height.len(), graphs),
            ("width", self.width.len(), graphs),
            ("output", self.output.len(), graphs),
            ("precision", self.precision.len(), graphs),
            ("position", self.position.len(), graphs),
            ("first_input", self.first_input.len(), nodes),
            ("out_channels", self.out_channels.len(), nodes),
            ("out_height", self.out_height.len(), nodes),
            ("out_width", self.out_width.len(), nodes),
            ("macs", self.macs.len(), nodes),
            ("kernel", self.kernel.len(), nodes),
            ("stride", self.stride.len(), nodes),
            ("padding", self.padding.len(), nodes.saturating_mul(4)),
            ("groups", self.groups.len(), nodes),
            ("bias", self.bias.len(), nodes),
            ("parameter", self.parameter.len(), nodes),
        ] {
            if found != needed {
                return Err(ColumnsError::Length { column, found, needed });
            }
        }
        let (column, found) = ("second_input", self.second_input.len());
        let further = (0..nodes).map(|node| self.further(node));
        let needed = further.fold(nodes, usize::saturating_add);
        if found != needed {
            return Err(ColumnsError::Length { column, found, needed });
        }
        Ok(())
    }

    fn node(&self, at: usize, name: &str, operator: &str) -> Result<Node, OpError> {
        let inputs = self.inputs(at).map(ValueId).collect();
        let listed = ListedOperator::read(operator)?;
        let op = Op::read(listed.kind.name(), &NodeColumns { columns: self, listed, at })?;
        Ok(Node { name: name.to_owned(), op, inputs })
    }
}

/// The attributes of the node at one position of columns that have equal lengths.
struct NodeColumns<'a> {
    columns: &'a GraphColumns,
    listed: ListedOperator,
    at: usize,
}

impl OpAttributes for NodeColumns<'_> {
    fn count(&self, attribute: &str) -> Result<usize, OpError> {
        let Self { columns, at, .. } = *self;
        Ok(match attribute {
            "out" => columns.out_channels[at],
            "kernel" => columns.kernel[at],
            "stride" => columns.stride[at],
            "groups" => columns.groups[at],
            "pad" => columns.padding[4 * at],
            _ => return Err(OpError::MissingAttribute { attribute: attribute.to_owned() }),
        } as usize)
    }

    fn kernel(&self) -> Result<KernelSize, OpError> {
        Ok(self.listed.window(self.columns.kernel[self.at]))
    }

    fn dilation(&self) -> Result<usize, OpError> {
        Ok(self.listed.dilation)
    }

    fn flag(&self, _: &str) -> Result<bool, OpError> {
        Ok(self.columns.bias[self.at] != 0)
    }

    fn number(&self, _: &str) -> Result<f64, OpError> {
        Ok(self.columns.parameter[self.at])
    }

    fn padding(&self) -> Result<Padding, OpError> {
        let sides = [0, 1, 2, 3].map(|side| self.columns.padding[4 * self.at + side] as usize);
        let [top, left, bottom, right] = sides;
        Ok(Padding { top, left, bottom, right })
    }
}

fn index<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|item| item == one).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests {
    use crate::graph::{ConvSpec, GraphBuilder};
    use proptest::prelude::*;

    use super::*;

    /// Each operator once, and each attribute.
    fn every_operator() -> Graph {
        let text = "input 4x8x8\n\
            c = conv2d(input) out=8 kernel=5 stride=2 pad=2,1,1,2 groups=2 bias=true\n\
            wide = conv2d(c) out=8 kernel=1x3 stride=1 dilation=2 pad=0,2,0,2 groups=1 bias=false\n\
            bn = batch_norm(wide) eps=0.001\n\
            a = relu(bn)\nb = relu6(a)\nd = h_swish(b)\ne = swish(d)\nf = h_sigmoid(e)\n\
            g = sigmoid(f)\n\
            max = max_pool(g) kernel=3 stride=1 pad=1\n\
            avg = avg_pool(max) kernel=2 stride=1 pad=0\n\
            gap = global_avg_pool(avg)\n\
            gate = mul(avg, gap)\n\
            twice = add(gate, gate)\n\
            two = concat(twice, gate)\n\
            five = concat(two, avg, twice, gate, avg)\n\
            six = concat(five, two, two)\n\
            drop = dropout(six) rate=0.2\n\
            fc = linear(drop) out=10 bias=true\n\
            output fc";
        text.parse().unwrap()
    }

    fn round_trip(queries: &[LatencyQuery]) {
        assert_eq!(GraphColumns::of(queries).unwrap().queries().unwrap(), queries);
    }

    #[test]
    fn every_operator_precision_and_position_survives() {
        let graphs = [every_operator(), Graph::identity(Shape::square(3, 5))];
        let queries: Vec<LatencyQuery> = graphs
            .into_iter()
            .flat_map(|graph| {
                Precision::ALL.iter().flat_map(move |&precision| {
                    let graph = graph.clone();
                    POSITIONS.iter().map(move |&position| LatencyQuery {
                        graph: graph.clone(),
                        precision,
                        position,
                    })
                })
            })
            .collect();
        round_trip(&queries);
        round_trip(&[]);
    }

    #[test]
    fn a_batch_has_as_many_operators_as_a_byte_tells_apart() {
        let columns = |windows: usize| {
            let mut b = GraphBuilder::new(Shape::square(1, 8));
            let mut x = b.input();
            for dilation in 1..=windows {
                x = b.conv(&format!("c{dilation}"), x, ConvSpec::new(1, 3).dilation(dilation));
            }
            let (precision, position) = (Precision::Int8, Position::Whole);
            GraphColumns::of(&[LatencyQuery { graph: b.finish(x), precision, position }])
        };
        let read = columns(256).unwrap().queries().unwrap();
        assert_eq!(GraphColumns::of(&read), columns(256));
        let error = columns(257).unwrap_err().to_string();
        assert!(error.contains("more than 256 different operators"), "{error}");
    }

    #[test]
    fn contradictions_are_named() {
        let query = LatencyQuery {
            graph: every_operator(),
            precision: Precision::Int8,
            position: Position::Whole,
        };
        let columns = GraphColumns::of(&[query]).unwrap();
        let check = |spoil: fn(&mut GraphColumns), message: &str| {
            let mut columns = columns.clone();
            spoil(&mut columns);
            assert_eq!(columns.queries().unwrap_err().to_string(), message);
        };
        check(|c| c.first_node[0] = 1000, "graph 0: no nodes 1000 to 19");
        check(|c| c.precision[0] = 7, "graph 0: no such precision or position: 7, 0");
        check(|c| c.operator[3] = 99, "graph 0, node 3: operator 99 is not listed");
        let names = "column `names` does not have one line for each of 19 nodes";
        check(|c| c.names.push_str("more\n"), names);
        check(|c| c.names.clear(), names);
        check(|c| c.kernel.truncate(2), "column `kernel` has 2 entries, not 19");
        check(|c| c.padding.truncate(59), "column `padding` has 59 entries, not 76");
        check(|c| c.second_input.truncate(19), "column `second_input` has 19 entries, not 23");
        let concat = columns.groups.iter().rposition(|further| *further == 1).unwrap();
        assert_eq!(columns.inputs(concat).collect::<Vec<_>>(), [16, 15, 15]);
        let mut astray = columns.clone();
        astray.kernel[concat] = 4;
        let graph = &astray.queries().unwrap()[0].graph;
        assert!(graph.shapes().unwrap_err().to_string().contains("before it is computed"));
        let mut unknown = columns.clone();
        unknown.operators[0] = "conv3d".into();
        let error = OpError::UnknownOperator { name: "conv3d".into() };
        assert_eq!(unknown.queries(), Err(error.into()));
    }

    proptest! {
        #[test]
        fn chains_of_convolutions_survive(
            layers in prop::collection::vec((1usize..9, 0usize..3, 1usize..3), 1..8)
        ) {
            let mut b = GraphBuilder::new(Shape::square(2, 33));
            let mut x = b.input();
            for (i, (out, half, stride)) in layers.into_iter().enumerate() {
                x = b.conv(&format!("c{i}"), x, ConvSpec::new(out, 2 * half + 1).stride(stride));
            }
            let graph = b.finish(x);
            round_trip(&[LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside }]);
        }
    }
}
