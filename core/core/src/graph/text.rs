//! The text form: one node a line, values by the name of their node.
//!
//! ```text
//! input 3x32x32
//! conv = conv2d(input) out=16 kernel=3 stride=2 pad=1,1,1,1 groups=1 bias=false
//! conv.bn = batch_norm(conv) eps=0.00001
//! conv.act = relu(conv.bn)
//! output conv.act
//! ```

use std::{
    collections::HashMap,
    fmt::{self, Write},
    str::FromStr,
};

use super::{Conv2d, Graph, GraphError, Node, Op, OpAttributes, Padding, ValueId};

pub(super) fn write_attributes(text: &mut String, op: &Op) {
    let _ = match op {
        Op::Conv2d(Conv2d { out_channels, kernel, stride, padding: p, groups, bias }) => write!(
            text,
            " out={out_channels} kernel={kernel} stride={stride} pad={},{},{},{} groups={groups} bias={bias}",
            p.top, p.left, p.bottom, p.right
        ),
        Op::Linear { out_features, bias } => write!(text, " out={out_features} bias={bias}"),
        Op::BatchNorm { eps } => write!(text, " eps={eps}"),
        Op::AvgPool(pool) | Op::MaxPool(pool) => {
            write!(text, " kernel={} stride={} pad={}", pool.kernel, pool.stride, pool.padding)
        }
        Op::Dropout { rate } => write!(text, " rate={rate}"),
        Op::Activation { .. } | Op::Add | Op::Mul | Op::GlobalAvgPool => Ok(()),
    };
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "input {}", self.input)?;
        for node in &self.nodes {
            let inputs: Vec<&str> = node.inputs.iter().map(|v| self.value_name(*v)).collect();
            let mut attributes = String::new();
            write_attributes(&mut attributes, &node.op);
            let op = node.op.kind().name();
            writeln!(f, "{} = {op}({}){attributes}", node.name, inputs.join(", "))?;
        }
        writeln!(f, "output {}", self.value_name(self.output))
    }
}

impl FromStr for Graph {
    type Err = GraphError;

    fn from_str(text: &str) -> Result<Self, GraphError> {
        let mut input = None;
        let mut output = None;
        let mut nodes: Vec<Node> = Vec::new();
        let mut values = HashMap::from([("input", ValueId::INPUT)]);
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at_line = |reason: String| GraphError::Text { line: index + 1, reason };
            let value = |values: &HashMap<&str, ValueId>, name: &str| {
                values
                    .get(name)
                    .copied()
                    .ok_or_else(|| at_line(format!("no value `{name}` before this line")))
            };
            if let Some(shape) = line.strip_prefix("input ") {
                input = Some(shape.trim().parse().map_err(at_line)?);
            } else if let Some(name) = line.strip_prefix("output ") {
                output = Some(value(&values, name.trim())?);
            } else {
                let (name, rest) = line
                    .split_once(" = ")
                    .ok_or_else(|| at_line("expected `name = op(inputs)`".into()))?;
                let (op, rest) =
                    rest.split_once('(').ok_or_else(|| at_line("missing `(`".into()))?;
                let (inputs, attributes) =
                    rest.split_once(')').ok_or_else(|| at_line("missing `)`".into()))?;
                let inputs = inputs
                    .split(", ")
                    .map(|name| value(&values, name))
                    .collect::<Result<_, _>>()?;
                let op = Op::read(op, &Attributes::new(attributes)).map_err(at_line)?;
                nodes.push(Node { name: name.to_owned(), op, inputs });
                values.insert(name, ValueId::of_node(nodes.len() - 1));
            }
        }
        let missing = |what: &str| GraphError::Text {
            line: text.lines().count(),
            reason: format!("no `{what}` line"),
        };
        let graph = Graph {
            input: input.ok_or_else(|| missing("input"))?,
            nodes,
            output: output.ok_or_else(|| missing("output"))?,
        };
        graph.shapes()?;
        Ok(graph)
    }
}

struct Attributes<'a>(HashMap<&'a str, &'a str>);

impl<'a> Attributes<'a> {
    fn new(text: &'a str) -> Self {
        Self(text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect())
    }

    fn get<T: FromStr>(&self, key: &str) -> Result<T, String> {
        let text = self.0.get(key).ok_or_else(|| format!("missing attribute `{key}`"))?;
        text.parse().map_err(|_| format!("`{key}={text}` cannot be read"))
    }
}

impl OpAttributes for Attributes<'_> {
    fn count(&self, attribute: &str) -> Result<usize, String> {
        self.get(attribute)
    }

    fn flag(&self, attribute: &str) -> Result<bool, String> {
        self.get(attribute)
    }

    fn number(&self, attribute: &str) -> Result<f64, String> {
        self.get(attribute)
    }

    fn padding(&self) -> Result<Padding, String> {
        let text: String = self.get("pad")?;
        let sides: Vec<usize> = text.split(',').filter_map(|side| side.parse().ok()).collect();
        match sides[..] {
            [top, left, bottom, right] => Ok(Padding { top, left, bottom, right }),
            _ => Err(format!("`pad={text}` is not four numbers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ActivationKind, ConvSpec, GraphBuilder, Pool, Shape};
    use super::*;

    fn check_round_trip(graph: &Graph) {
        let text = graph.to_string();
        assert_eq!(&text.parse::<Graph>().unwrap(), graph, "{text}");
    }

    #[test]
    fn every_operator_round_trips() {
        let mut b = GraphBuilder::new(Shape::square(4, 8));
        let mut x = b.conv_bn("c", b.input(), ConvSpec::new(8, 5).stride(2).bias());
        for kind in ActivationKind::ALL {
            x = b.act(kind.name(), x, kind);
        }
        let pool = Pool { kernel: 3, stride: 1, padding: 1 };
        x = b.node("max", Op::MaxPool(pool), &[x]);
        x = b.node("avg", Op::AvgPool(pool), &[x]);
        let gate = b.global_avg_pool("gap", x);
        x = b.mul("gate", x, gate);
        x = b.add("twice", x, x);
        x = b.node("drop", Op::Dropout { rate: 0.2 }, &[x]);
        x = b.linear("fc", x, 10);
        check_round_trip(&b.finish(x));
    }

    #[test]
    fn a_graph_that_is_wrong_can_still_be_shown() {
        let mut graph = Graph::identity(Shape::square(3, 8));
        graph.output = ValueId(7);
        assert_eq!(graph.to_string().lines().last(), Some("output ?"));
    }

    #[test]
    fn errors_name_the_line() {
        let text = "input 3x8x8\nc = conv2d(x) out=4\noutput c";
        assert_eq!(
            text.parse::<Graph>().unwrap_err().to_string(),
            "line 2: no value `x` before this line"
        );
        let text = "input 3x8x8\nc = conv3d(input)\noutput c";
        assert_eq!(
            text.parse::<Graph>().unwrap_err().to_string(),
            "line 2: unknown operator `conv3d`"
        );
    }

    proptest! {
        #[test]
        fn chains_of_convolutions_round_trip(
            layers in prop::collection::vec((1usize..9, 0usize..3, 1usize..3), 1..8)
        ) {
            let mut b = GraphBuilder::new(Shape::square(2, 33));
            let mut x = b.input();
            for (i, (out, half, stride)) in layers.into_iter().enumerate() {
                x = b.conv(&format!("c{i}"), x, ConvSpec::new(out, 2 * half + 1).stride(stride));
            }
            check_round_trip(&b.finish(x));
        }

        #[test]
        fn any_text_is_refused_or_read_without_a_panic(text in ".{0,200}") {
            let _ = text.parse::<Graph>();
        }
    }
}
