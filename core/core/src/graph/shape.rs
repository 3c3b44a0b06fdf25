//! Shapes and their inference.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Graph, GraphError, KernelSize, Node, Op, Padding};

/// `channels × height × width` of one image's activation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Shape {
    /// Channels, or features after a linear layer.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A shape of the three sizes.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A square feature map.
    pub const fn square(channels: usize, size: usize) -> Self {
        Self::new(channels, size, size)
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// A text that is no shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a shape like 16x32x32")]
pub struct ParseShapeError {
    /// The text.
    pub text: String,
}

impl FromStr for Shape {
    type Err = ParseShapeError;

    fn from_str(text: &str) -> Result<Self, ParseShapeError> {
        let sizes: Vec<usize> = text.split('x').filter_map(|part| part.parse().ok()).collect();
        match sizes[..] {
            [channels, height, width] if text.split('x').count() == 3 => {
                Ok(Self::new(channels, height, width))
            }
            _ => Err(ParseShapeError { text: text.to_owned() }),
        }
    }
}

impl Graph {
    /// Checks the graph and infers the shape of every value: the input, then each node's output.
    pub fn shapes(&self) -> Result<Vec<Shape>, GraphError> {
        self.check_names()?;
        let mut shapes = Vec::with_capacity(self.nodes.len() + 1);
        shapes.push(self.input);
        let mut inputs = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let structure_error =
                |reason: String| GraphError::Structure { node: node.name.clone(), reason };
            let arity = node.op.arity();
            if !arity.contains(&node.inputs.len()) {
                let more = if arity.start() == arity.end() { "" } else { " or more" };
                return Err(structure_error(format!(
                    "takes {}{more} inputs, got {}",
                    arity.start(),
                    node.inputs.len()
                )));
            }
            if let Some(late) = node.inputs.iter().find(|input| input.index() > index) {
                return Err(structure_error(format!(
                    "reads value {} before it is computed",
                    late.0
                )));
            }
            inputs.clear();
            inputs.extend(node.inputs.iter().map(|value| shapes[value.index()]));
            shapes.push(node.output_shape(&inputs)?);
        }
        if self.output.index() >= shapes.len() {
            return Err(GraphError::Structure {
                node: "output".into(),
                reason: format!("there is no value {}", self.output.0),
            });
        }
        Ok(shapes)
    }

    fn check_names(&self) -> Result<(), GraphError> {
        let mut names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        names.push(Self::INPUT_NAME);
        names.sort_unstable();
        let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) else { return Ok(()) };
        let reason = match pair[0] {
            Self::INPUT_NAME => "the name is that of the graph's input",
            _ => "the name is used twice",
        };
        Err(GraphError::Structure { node: pair[0].to_owned(), reason: reason.into() })
    }
}

impl Node {
    /// Shape of a node's output from those of its inputs, as many as its operator takes. A window gives
    /// ⌊(size + padding − dilation · (kernel − 1) − 1) / stride⌋ + 1 rows and columns, as in ONNX.
    pub fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let shape_error = |reason: String| GraphError::Shape {
            node: self.name.clone(),
            op: self.op.kind().name(),
            reason,
            shapes: inputs.to_vec(),
        };
        let input = inputs[0];
        match &self.op {
            Op::Conv2d(conv) => {
                if conv.groups == 0
                    || !input.channels.is_multiple_of(conv.groups)
                    || !conv.out_channels.is_multiple_of(conv.groups)
                {
                    return Err(shape_error(format!(
                        "{} groups do not divide {} input and {} output channels",
                        conv.groups, input.channels, conv.out_channels
                    )));
                }
                if conv.out_channels == 0 {
                    return Err(shape_error("has no output channels".into()));
                }
                if conv.dilation == 0 {
                    return Err(shape_error("dilation 0 must be positive".into()));
                }
                let window = conv.kernel.dilated(conv.dilation);
                let (height, width) = window_positions(input, window, conv.stride, conv.padding)
                    .map_err(shape_error)?;
                Ok(Shape::new(conv.out_channels, height, width))
            }
            Op::AvgPool(pool) | Op::MaxPool(pool) => {
                if pool.padding > pool.kernel / 2 {
                    return Err(shape_error(format!(
                        "padding {} exceeds half of the window {}",
                        pool.padding, pool.kernel
                    )));
                }
                let padding = Padding::all(pool.padding);
                let (height, width) =
                    window_positions(input, pool.kernel.into(), pool.stride, padding)
                        .map_err(shape_error)?;
                Ok(Shape::new(input.channels, height, width))
            }
            Op::Linear { out_features: 0, .. } => Err(shape_error("has no output features".into())),
            Op::Linear { out_features, .. } => Ok(Shape::new(*out_features, 1, 1)),
            Op::Add if inputs[0] != inputs[1] => {
                Err(shape_error("adds two different shapes".into()))
            }
            Op::Mul if inputs[0] != inputs[1] && inputs[1] != Shape::new(input.channels, 1, 1) => {
                Err(shape_error(format!(
                    "the second factor is neither {input} nor {}x1x1",
                    input.channels
                )))
            }
            Op::Concat
                if inputs.iter().any(|s| (s.height, s.width) != (input.height, input.width)) =>
            {
                Err(shape_error("joins channels of different heights or widths".into()))
            }
            Op::Concat => {
                let sum = |sum: usize, shape: &Shape| sum.checked_add(shape.channels);
                let channels = inputs.iter().try_fold(0, sum);
                let channels = channels.ok_or_else(|| shape_error("too many channels".into()))?;
                Ok(Shape { channels, ..input })
            }
            Op::GlobalAvgPool => Ok(Shape::new(input.channels, 1, 1)),
            Op::BatchNorm { .. }
            | Op::Activation { .. }
            | Op::Add
            | Op::Mul
            | Op::Dropout { .. } => Ok(input),
        }
    }
}

/// Rows and columns of positions that a window takes in a padded input.
fn window_positions(
    input: Shape,
    window: KernelSize,
    stride: usize,
    pad: Padding,
) -> Result<(usize, usize), String> {
    if window.rows.min(window.columns) == 0 || stride == 0 {
        return Err(format!("kernel {window} and stride {stride} must be positive"));
    }
    let size = |length: usize, window: usize, before: usize, after: usize| {
        let padded = length.checked_add(before).and_then(|length| length.checked_add(after));
        let padded = padded.ok_or_else(|| format!("padding {before} and {after} is too large"))?;
        padded.checked_sub(window).map(|rest| rest / stride + 1).ok_or_else(|| {
            format!("kernel {window} is larger than the padded input of {padded} pixels")
        })
    };
    let height = size(input.height, window.rows, pad.top, pad.bottom)?;
    Ok((height, size(input.width, window.columns, pad.left, pad.right)?))
}

#[cfg(test)]
mod tests {
    use super::super::{ConvSpec, GraphBuilder, ValueId};
    use super::*;

    #[test]
    fn a_stride_halves_and_rounds_up() {
        let mut b = GraphBuilder::new(Shape::square(3, 7));
        let x = b.conv("c", b.input(), ConvSpec::new(8, 3).stride(2));
        assert_eq!(b.finish(x).output_shape().unwrap(), Shape::square(8, 4));
    }

    #[test]
    fn windows_need_not_be_square_or_dense() {
        let output = |spec: ConvSpec| {
            let mut b = GraphBuilder::new(Shape::new(3, 9, 12));
            let x = b.conv("c", b.input(), spec);
            b.finish(x).output_shape()
        };
        let wide = ConvSpec::new(8, [1, 7]);
        assert_eq!(output(wide.clone()).unwrap(), Shape::new(8, 9, 12));
        assert_eq!(output(wide.padding(Padding::default())).unwrap(), Shape::new(8, 9, 6));
        let apart = ConvSpec::new(8, 3).dilation(4);
        assert_eq!(output(apart.clone()).unwrap(), Shape::new(8, 9, 12));
        assert_eq!(output(apart.padding(Padding::default())).unwrap(), Shape::new(8, 1, 4));
        let error = output(ConvSpec::new(8, 3).dilation(0)).unwrap_err().to_string();
        assert!(error.contains("dilation 0 must be positive"), "{error}");
        let error = output(ConvSpec::new(8, [0, 3])).unwrap_err().to_string();
        assert!(error.contains("kernel 0x3 and stride 1 must be positive"), "{error}");
    }

    #[test]
    fn an_error_names_node_and_shapes() {
        let mut b = GraphBuilder::new(Shape::square(6, 8));
        let x = b.input();
        let y = b.conv("down", x, ConvSpec::new(6, 3).stride(2));
        let y = b.add("sum", y, x);
        assert_eq!(
            b.finish(y).shapes().unwrap_err().to_string(),
            "node `sum` (add): adds two different shapes; input shapes: 6x4x4, 6x8x8"
        );
    }

    #[test]
    fn channels_of_equal_maps_are_joined() {
        let mut b = GraphBuilder::new(Shape::square(6, 8));
        let x = b.input();
        let y = b.conv("y", x, ConvSpec::new(4, 3));
        let z = b.concat("all", &[x, y, x]);
        assert_eq!(b.finish(z).output_shape().unwrap(), Shape::square(16, 8));

        let mut b = GraphBuilder::new(Shape::square(6, 8));
        let x = b.input();
        let y = b.conv("y", x, ConvSpec::new(4, 3).stride(2));
        let z = b.concat("all", &[x, y]);
        assert_eq!(
            b.finish(z).shapes().unwrap_err().to_string(),
            "node `all` (concat): joins channels of different heights or widths; \
             input shapes: 6x8x8, 4x4x4"
        );

        let mut b = GraphBuilder::new(Shape::square(6, 8));
        let z = b.concat("one", &[ValueId::INPUT]);
        let error = b.finish(z).shapes().unwrap_err().to_string();
        assert_eq!(error, "node `one`: takes 2 or more inputs, got 1");
    }

    #[test]
    fn groups_must_divide() {
        let mut b = GraphBuilder::new(Shape::square(6, 8));
        let x = b.conv("g", b.input(), ConvSpec::new(8, 3).groups(4));
        assert!(b.finish(x).shapes().unwrap_err().to_string().contains("4 groups do not divide 6"));
    }

    #[test]
    fn a_kernel_larger_than_its_input_is_an_error() {
        let mut b = GraphBuilder::new(Shape::square(1, 2));
        let x = b.conv("big", b.input(), ConvSpec::new(1, 7).padding(Padding::all(1)));
        assert!(b.finish(x).shapes().unwrap_err().to_string().contains("kernel 7 is larger"));
    }
}
