//! Questions to a latency source as columns, without loss.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{LatencyQuery, Position, Precision};
use crate::graph::{Graph, Node, Op, OpAttributes, Padding, Shape, ValueId};

/// Stands for the second input of nodes that have one only.
pub const NO_VALUE: u32 = u32::MAX;

/// A batch of graphs as columns: see `latency-source` in the SDK's `wit/plugin.wit` for each of
/// them.
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

const TOO_FEW_NAMES: &str = "a node has no name";
const POSITIONS: [Position; 4] =
    [Position::Whole, Position::First, Position::Inside, Position::Last];

impl GraphColumns {
    /// The columns of a batch; an error names a graph that is wrong.
    pub fn of(queries: &[LatencyQuery]) -> Result<Self, String> {
        let mut columns = Self::default();
        for query in queries {
            columns.push(query).map_err(|reason| format!("graph {}: {reason}", query.graph))?;
        }
        Ok(columns)
    }

    fn push(&mut self, query: &LatencyQuery) -> Result<(), String> {
        let LatencyQuery { graph, precision, position } = query;
        let shapes = graph.shapes().map_err(|error| error.to_string())?;
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
            self.push_node(node);
        }
        Ok(())
    }

    fn push_node(&mut self, node: &Node) {
        self.names.push_str(&node.name);
        self.names.push('\n');
        let operator = node.op.kind().name();
        let known = self.operators.iter().position(|name| name == operator);
        let known = known.unwrap_or_else(|| {
            self.operators.push(operator.into());
            self.operators.len() - 1
        });
        self.operator.push(known as u8);
        self.first_input.push(node.inputs[0].0);
        self.second_input.push(node.inputs.get(1).map_or(NO_VALUE, |value| value.0));
        let mut window = (0, 0, Padding::default());
        let (mut groups, mut bias, mut parameter) = (0, false, 0.0);
        match &node.op {
            Op::Conv2d(conv) => {
                window = (conv.kernel, conv.stride, conv.padding);
                (groups, bias) = (conv.groups, conv.bias);
            }
            Op::AvgPool(pool) | Op::MaxPool(pool) => {
                window = (pool.kernel, pool.stride, Padding::all(pool.padding));
            }
            Op::Linear { bias: has, .. } => bias = *has,
            Op::BatchNorm { eps } => parameter = *eps,
            Op::Dropout { rate } => parameter = *rate,
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

    /// Precision and position of a graph; `None` where its numbers stand for none.
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

    /// The batch that these are the columns of; an error says what they contradict. Whether shapes
    /// fit is left to who asks for them.
    pub fn queries(&self) -> Result<Vec<LatencyQuery>, String> {
        self.check_lengths()?;
        let count = self.operator.len();
        let mut names = self.names.lines();
        let mut queries = Vec::with_capacity(self.first_node.len());
        let ends = self.first_node.iter().skip(1).map(|end| *end as usize).chain([count]);
        let mut next = 0;
        for (at, (first, end)) in self.first_node.iter().zip(ends).enumerate() {
            if *first as usize != next || end < next || end > count {
                return Err(format!("graph {at}: no nodes {first} to {end}"));
            }
            let mut nodes = Vec::with_capacity(end - next);
            for node in next..end {
                nodes.push(self.node(node, names.next().ok_or(TOO_FEW_NAMES)?)?);
            }
            let input = [&self.channels, &self.height, &self.width].map(|side| side[at] as usize);
            let [channels, height, width] = input;
            let graph = Graph {
                input: Shape::new(channels, height, width),
                nodes,
                output: ValueId(self.output[at]),
            };
            let Some((precision, position)) = self.asked(at) else {
                return Err(format!("graph {at}: no such precision or position"));
            };
            queries.push(LatencyQuery { graph, precision, position });
            next = end;
        }
        match names.next() {
            None => Ok(queries),
            Some(_) => Err(format!("columns of {count} nodes have more names than that")),
        }
    }

    /// That all columns have an entry for each graph, or for each node.
    pub(crate) fn check_lengths(&self) -> Result<(), String> {
        let graphs = [
            self.channels.len(),
            self.height.len(),
            self.width.len(),
            self.output.len(),
            self.precision.len(),
            self.position.len(),
        ];
        let nodes = [
            self.first_input.len(),
            self.second_input.len(),
            self.out_channels.len(),
            self.out_height.len(),
            self.out_width.len(),
            self.macs.len(),
            self.kernel.len(),
            self.stride.len(),
            self.groups.len(),
            self.bias.len(),
            self.parameter.len(),
            self.padding.len() / 4,
            self.padding.len().div_ceil(4),
        ];
        for (what, count, lengths) in [
            ("graphs", self.first_node.len(), &graphs[..]),
            ("nodes", self.operator.len(), &nodes[..]),
        ] {
            if lengths.iter().any(|length| *length != count) {
                return Err(format!("columns of {count} {what} have lengths {lengths:?}"));
            }
        }
        Ok(())
    }

    fn node(&self, at: usize, name: &str) -> Result<Node, String> {
        let inputs = match self.second_input[at] {
            NO_VALUE => vec![ValueId(self.first_input[at])],
            second => vec![ValueId(self.first_input[at]), ValueId(second)],
        };
        let op = self.op(at).map_err(|reason| format!("node `{name}`: {reason}"))?;
        Ok(Node { name: name.to_owned(), op, inputs })
    }

    fn op(&self, at: usize) -> Result<Op, String> {
        let operator = self.operators.get(usize::from(self.operator[at]));
        let name = operator.ok_or("its operator is not listed")?;
        Op::read(name, &Row { columns: self, at })
    }
}

/// The attributes of one node, in columns of one length.
struct Row<'a> {
    columns: &'a GraphColumns,
    at: usize,
}

impl OpAttributes for Row<'_> {
    fn count(&self, attribute: &str) -> Result<usize, String> {
        let Self { columns, at } = *self;
        Ok(match attribute {
            "out" => columns.out_channels[at],
            "kernel" => columns.kernel[at],
            "stride" => columns.stride[at],
            "groups" => columns.groups[at],
            "pad" => columns.padding[4 * at],
            _ => return Err(format!("no column of `{attribute}`")),
        } as usize)
    }

    fn flag(&self, _: &str) -> Result<bool, String> {
        Ok(self.columns.bias[self.at] != 0)
    }

    fn number(&self, _: &str) -> Result<f64, String> {
        Ok(self.columns.parameter[self.at])
    }

    fn padding(&self) -> Result<Padding, String> {
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
            bn = batch_norm(c) eps=0.001\n\
            a = relu(bn)\nb = relu6(a)\nd = h_swish(b)\ne = swish(d)\nf = h_sigmoid(e)\n\
            g = sigmoid(f)\n\
            max = max_pool(g) kernel=3 stride=1 pad=1\n\
            avg = avg_pool(max) kernel=2 stride=1 pad=0\n\
            gap = global_avg_pool(avg)\n\
            gate = mul(avg, gap)\n\
            twice = add(gate, gate)\n\
            drop = dropout(twice) rate=0.2\n\
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
    fn contradictions_are_named() {
        let query = LatencyQuery {
            graph: every_operator(),
            precision: Precision::Int8,
            position: Position::Whole,
        };
        let columns = GraphColumns::of(&[query]).unwrap();
        let error = |spoil: fn(&mut GraphColumns)| {
            let mut columns = columns.clone();
            spoil(&mut columns);
            columns.queries().unwrap_err()
        };
        assert_eq!(
            error(|c| c.operators[0] = "conv3d".into()),
            "node `c`: unknown operator `conv3d`"
        );
        assert_eq!(error(|c| c.first_node[0] = 1000), "graph 0: no nodes 1000 to 15");
        assert_eq!(error(|c| c.precision[0] = 7), "graph 0: no such precision or position");
        assert!(error(|c| c.names.push_str("more\n")).starts_with("columns of 15 nodes"));
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
