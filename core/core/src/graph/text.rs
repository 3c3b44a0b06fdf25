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

use thiserror::Error;

use super::{
    Conv2d, Graph, GraphError, KernelSize, Node, Op, OpAttributes, OpError, Padding,
    ParseShapeError, Shape, ValueId,
};

/// What is wrong with a line of a graph's text form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphTextError {
    /// The line has none of the three forms.
    #[error("`{found}` is none of `input <shape>`, `output <name>`, `<name> = <op>(<inputs>) …`")]
    Form {
        /// The line.
        found: String,
    },
    /// The line reads a value that no line before it makes.
    #[error("no value `{name}` before this line")]
    UnknownValue {
        /// Name of the value.
        name: String,
    },
    /// The shape of the input.
    #[error(transparent)]
    Shape(#[from] ParseShapeError),
    /// The operator or one of its attributes.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The text ends without a line that every graph has.
    #[error("no `{keyword}` line")]
    Missing {
        /// How that line begins: `input` or `output`.
        keyword: &'static str,
    },
}

pub(super) fn write_attributes(text: &mut String, op: &Op) {
    let _ = match op {
        Op::Conv2d(conv) => write_convolution(text, conv),
        Op::Linear { out_features, bias } => write!(text, " out={out_features} bias={bias}"),
        Op::BatchNorm { eps } => write!(text, " eps={eps}"),
        Op::AvgPool(pool) | Op::MaxPool(pool) => {
            write!(text, " kernel={} stride={} pad={}", pool.kernel, pool.stride, pool.padding)
        }
        Op::Dropout { rate } => write!(text, " rate={rate}"),
        Op::Activation { .. } | Op::Add | Op::Mul | Op::Concat | Op::GlobalAvgPool => Ok(()),
    };
}

fn write_convolution(text: &mut String, conv: &Conv2d) -> fmt::Result {
    let Conv2d { out_channels, kernel, stride, dilation, padding: p, groups, bias } = conv;
    write!(text, " out={out_channels} kernel={kernel} stride={stride}")?;
    // Hashes of graphs stay what they were before there were dilations.
    if *dilation != 1 {
        write!(text, " dilation={dilation}")?;
    }
    let Padding { top, left, bottom, right } = p;
    write!(text, " pad={top},{left},{bottom},{right} groups={groups} bias={bias}")
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
        let mut values = HashMap::from([(Self::INPUT_NAME.to_owned(), ValueId::INPUT)]);
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at_line = |source| GraphError::Text { line: index + 1, source };
            // A node, too, may be called `output`.
            if line.contains(" = ") {
                let node = node(&values, line).map_err(at_line)?;
                values.insert(node.name.clone(), ValueId::of_node(nodes.len()));
                nodes.push(node);
            } else if let Some(shape) = line.strip_prefix("input ") {
                let shape = shape.trim().parse::<Shape>();
                input = Some(shape.map_err(|error| at_line(error.into()))?);
            } else if let Some(name) = line.strip_prefix("output ") {
                output = Some(value(&values, name.trim()).map_err(at_line)?);
            } else {
                let found = line.trim().to_owned();
                return Err(at_line(GraphTextError::Form { found }));
            }
        }
        let missing = |keyword| GraphError::Text {
            line: text.lines().count(),
            source: GraphTextError::Missing { keyword },
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

type Values = HashMap<String, ValueId>;

fn value(values: &Values, name: &str) -> Result<ValueId, GraphTextError> {
    let value = values.get(name).copied();
    value.ok_or_else(|| GraphTextError::UnknownValue { name: name.to_owned() })
}

/// The node that a line `name = op(inputs) attributes` describes.
fn node(values: &Values, line: &str) -> Result<Node, GraphTextError> {
    let parts = || {
        let (name, rest) = line.split_once(" = ")?;
        let (op, rest) = rest.split_once('(')?;
        let (inputs, attributes) = rest.split_once(')')?;
        Some((name, op, inputs, attributes))
    };
    let (name, op, inputs, attributes) =
        parts().ok_or_else(|| GraphTextError::Form { found: line.trim().to_owned() })?;
    let inputs = inputs.split(", ").map(|name| value(values, name)).collect::<Result<_, _>>()?;
    let op = Op::read(op, &TextAttributes::new(attributes))?;
    Ok(Node { name: name.to_owned(), op, inputs })
}

/// Attributes written as `name=value`, separated by spaces.
pub(crate) struct TextAttributes<'a>(HashMap<&'a str, &'a str>);

impl<'a> TextAttributes<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect())
    }

    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    fn get<T>(
        &self,
        attribute: &str,
        allowed: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, OpError> {
        let Some(text) = self.0.get(attribute) else {
            return Err(OpError::MissingAttribute { attribute: attribute.to_owned() });
        };
        parse(text).ok_or_else(|| OpError::Attribute {
            attribute: attribute.to_owned(),
            found: (*text).to_owned(),
            allowed,
        })
    }
}

impl OpAttributes for TextAttributes<'_> {
    fn count(&self, attribute: &str) -> Result<usize, OpError> {
        self.get(attribute, "a whole number from 0", |text| text.parse().ok())
    }

    fn kernel(&self) -> Result<KernelSize, OpError> {
        self.get("kernel", "a whole number, or two like 1x7", |text| text.parse().ok())
    }

    fn dilation(&self) -> Result<usize, OpError> {
        if self.has("dilation") { self.count("dilation") } else { Ok(1) }
    }

    fn flag(&self, attribute: &str) -> Result<bool, OpError> {
        self.get(attribute, "`true` or `false`", |text| text.parse().ok())
    }

    fn number(&self, attribute: &str) -> Result<f64, OpError> {
        self.get(attribute, "a number", |text| text.parse().ok())
    }

    fn padding(&self) -> Result<Padding, OpError> {
        self.get("pad", "four whole numbers: top, left, bottom, right", |text| {
            let sides = text.split(',').map(|side| side.parse().ok());
            match sides.collect::<Option<Vec<usize>>>()?[..] {
                [top, left, bottom, right] => Some(Padding { top, left, bottom, right }),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ActivationKind, ConvSpec, GraphBuilder, Pool};
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
        x = b.conv("wide", x, ConvSpec::new(8, [1, 7]));
        x = b.conv("apart", x, ConvSpec::new(8, [3, 2]).dilation(2));
        let pool = Pool { kernel: 3, stride: 1, padding: 1 };
        x = b.node("max", Op::MaxPool(pool), &[x]);
        x = b.node("avg", Op::AvgPool(pool), &[x]);
        let gate = b.global_avg_pool("gap", x);
        x = b.mul("gate", x, gate);
        x = b.add("twice", x, x);
        x = b.concat("thrice", &[x, x, x]);
        x = b.node("drop", Op::Dropout { rate: 0.2 }, &[x]);
        x = b.linear("output", x, 10);
        check_round_trip(&b.finish(x));
    }

    #[test]
    fn a_graph_that_is_wrong_can_still_be_shown() {
        let mut graph = Graph::identity(Shape::square(3, 8));
        graph.output = ValueId(7);
        assert_eq!(graph.to_string().lines().last(), Some("output ?"));
    }

    #[test]
    fn errors_name_the_line_and_what_is_allowed() {
        let conv = |line: &str| format!("input 3x8x8\n{line}\noutput c");
        let attributes = "out=4 kernel=3 stride=1 groups=1 bias=false";
        for (text, message) in [
            (conv("c = conv2d(x) out=4"), "line 2: no value `x` before this line"),
            (
                conv("c = conv3d(input)"),
                "line 2: unknown operator `conv3d`; known are conv2d, linear, batch_norm, relu, \
                 relu6, h_swish, swish, h_sigmoid, sigmoid, add, mul, avg_pool, max_pool, \
                 global_avg_pool, dropout, concat",
            ),
            (conv("c = linear(input) bias=true"), "line 2: missing attribute `out`"),
            (
                conv("c = linear(input) out=many bias=true"),
                "line 2: `out=many` is not a whole number from 0",
            ),
            (
                conv(&format!("c = conv2d(input) {attributes} pad=1,1,x,1,1")),
                "line 2: `pad=1,1,x,1,1` is not four whole numbers: top, left, bottom, right",
            ),
            (
                conv("c = conv2d(input) out=4 kernel=1x stride=1"),
                "line 2: `kernel=1x` is not a whole number, or two like 1x7",
            ),
            (
                conv("c = linear input"),
                "line 2: `c = linear input` is none of `input <shape>`, `output <name>`, \
                 `<name> = <op>(<inputs>) …`",
            ),
            (
                conv("c"),
                "line 2: `c` is none of `input <shape>`, `output <name>`, `<name> = <op>(<inputs>) …`",
            ),
            (
                "input 3x8x8\ninput = relu(input)\noutput input".into(),
                "node `input`: the name is that of the graph's input",
            ),
            ("input 3x8\n".into(), "line 1: `3x8` is not a shape like 16x32x32"),
            ("input 3x8x8".into(), "line 1: no `output` line"),
        ] {
            assert_eq!(text.parse::<Graph>().unwrap_err().to_string(), message);
        }
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
