//! A network in the making, for which tensors of a file are asked by name and shape.
//!
//! A tensor that is missing or has another shape is remembered, and building goes on with what should
//! be there, so that one try names all differences between a file and a family of networks. Data are
//! decoded only for the draft that fits.

use std::collections::BTreeSet;

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Padding, Pool, Shape, ValueId},
    import::{ImportError, UnknownNode},
    quant::{FloatWeights, TensorData},
};

use crate::tensors::{Tensor, Tensors};

/// The last part of the name of what counts training steps, which inference does not need.
const COUNTER: &str = "num_batches_tracked";

/// How a network was trained, as far as it matters for inference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// Whether convolutions pad as TensorFlow's `SAME`: the output has ⌈size / stride⌉ rows, and
    /// where the padding is odd, the larger half is below and to the right.
    pub same: bool,
    /// Added to variances.
    pub eps: f64,
}

impl Rules {
    /// PyTorch's defaults.
    pub(crate) const PLAIN: Self = Self { same: false, eps: 1e-5 };
    /// Those of networks that were trained with TensorFlow.
    pub(crate) const TENSORFLOW: Self = Self { same: true, eps: 1e-3 };

    /// Padding of a convolution, and the side of its output.
    fn padding(self, side: usize, kernel: usize, stride: usize) -> (Padding, usize) {
        let (stride, out) = (stride.max(1), side.div_ceil(stride.max(1)));
        if !self.same {
            return (Padding::same(kernel), out);
        }
        let all = (out.saturating_sub(1) * stride + kernel).saturating_sub(side);
        let (before, after) = (all / 2, all - all / 2);
        (Padding { top: before, left: before, bottom: after, right: after }, out)
    }
}

/// A size that a tensor should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Whatever the file has.
    Any,
    Exactly(usize),
}

/// A value of the network: square maps of some channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maps {
    pub value: ValueId,
    /// As far as they are known: a tensor that tells may be missing.
    pub channels: Size,
    pub side: usize,
}

/// A convolution to be added, with its tensor's name without the last part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution<'n> {
    pub name: &'n str,
    pub out: Size,
    pub kernel: usize,
    pub stride: usize,
    /// One kernel for each channel.
    pub depthwise: bool,
    pub bias: bool,
}

impl<'n> Convolution<'n> {
    /// A dense convolution without bias.
    pub(crate) fn dense(name: &'n str, out: Size, kernel: usize, stride: usize) -> Self {
        Self { name, out, kernel, stride, depthwise: false, bias: false }
    }
}

/// Asks for tensors while a graph is built.
pub(crate) struct Draft<'t, 'f> {
    tensors: &'t Tensors<'f>,
    family: &'static str,
    rules: Rules,
    builder: GraphBuilder,
    used: BTreeSet<String>,
    /// Which tensor is which weight of the graph.
    plan: Vec<(String, String)>,
    wrong: Vec<UnknownNode>,
}

/// A draft that has its output.
pub(crate) struct Drafted {
    graph: Graph,
    plan: Vec<(String, String)>,
    /// In what the file differs from the family.
    pub wrong: Vec<UnknownNode>,
}

impl<'t, 'f> Draft<'t, 'f> {
    /// A draft of a network of this family, and its input.
    pub(crate) fn new(
        tensors: &'t Tensors<'f>,
        family: &'static str,
        rules: Rules,
        (channels, side): (usize, usize),
    ) -> (Self, Maps) {
        let builder = GraphBuilder::new(Shape::square(channels, side));
        let input = Maps { value: builder.input(), channels: Size::Exactly(channels), side };
        let (used, plan, wrong) = (BTreeSet::new(), Vec::new(), Vec::new());
        (Self { tensors, family, rules, builder, used, plan, wrong }, input)
    }

    fn say(&mut self, tensor: &str, reason: String) {
        let (node, operator) = (tensor.to_owned(), "tensor".to_owned());
        self.wrong.push(UnknownNode::new(node, operator, reason));
    }

    /// Takes the tensor `<layer>.<part>` as the weight `<layer>.<role>`; its outermost size, if it
    /// is there.
    fn take(&mut self, layer: &str, part: &str, role: &str, expected: &[Size]) -> Size {
        let name = format!("{layer}.{part}");
        let found = self.tensors.get(&name);
        self.used.insert(name.clone());
        let family = self.family;
        let Some(tensor) = found else {
            let reason = format!("it is missing; {family} has it as {}", shown(expected));
            self.say(&name, reason);
            return expected.first().copied().unwrap_or(Size::Any);
        };
        let (shape, element) = (tensor.shape(), tensor.element());
        let fits = shape.len() == expected.len()
            && shape.iter().zip(expected).all(|(size, expected)| match expected {
                Size::Any => true,
                Size::Exactly(expected) => size == expected,
            });
        if !fits {
            let reason = format!("it is {shape:?}; {family} has it as {}", shown(expected));
            self.say(&name, reason);
        } else if !element.is_real() {
            let reason = format!("it holds {}; real numbers are expected", element.name());
            self.say(&name, reason);
        }
        let first = shape.first().map_or(Size::Any, |size| Size::Exactly(*size));
        self.plan.push((format!("{layer}.{role}"), name));
        match expected.first() {
            Some(Size::Exactly(expected)) => Size::Exactly(*expected),
            _ => first,
        }
    }

    /// A convolution.
    pub(crate) fn conv(&mut self, x: Maps, conv: Convolution<'_>) -> Maps {
        let Convolution { name, out, kernel, stride, depthwise, bias } = conv;
        let (out, inputs) =
            if depthwise { (x.channels, Size::Exactly(1)) } else { (out, x.channels) };
        let side = Size::Exactly(kernel);
        let channels = self.take(name, "weight", "weight", &[out, inputs, side, side]);
        let (padding, side) = self.rules.padding(x.side, kernel, stride);
        let spec = match channels {
            Size::Exactly(channels) if depthwise => ConvSpec::depthwise(channels, kernel),
            Size::Exactly(channels) => ConvSpec::new(channels, kernel),
            Size::Any => ConvSpec::new(1, kernel),
        };
        let mut spec = spec.stride(stride).padding(padding);
        if bias {
            self.take(name, "bias", "bias", &[channels]);
            spec = spec.bias();
        }
        Maps { value: self.builder.conv(name, x.value, spec), channels, side }
    }

    /// A batch normalization.
    pub(crate) fn norm(&mut self, x: Maps, name: &str) -> Maps {
        let parts = [
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "mean"),
            ("running_var", "var"),
        ];
        for (part, role) in parts {
            self.take(name, part, role, &[x.channels]);
        }
        let op = Op::BatchNorm { eps: self.rules.eps };
        Maps { value: self.builder.node(name, op, &[x.value]), ..x }
    }

    /// A convolution, its batch normalization, and the activation `<convolution>.act`, if any.
    pub(crate) fn conv_norm(
        &mut self,
        x: Maps,
        conv: Convolution<'_>,
        norm: &str,
        act: Option<ActivationKind>,
    ) -> Maps {
        let y = self.conv(x, conv);
        let y = self.norm(y, norm);
        match act {
            Some(act) => self.act(y, &format!("{}.act", conv.name), act),
            None => y,
        }
    }

    /// An activation.
    pub(crate) fn act(&mut self, x: Maps, name: &str, kind: ActivationKind) -> Maps {
        Maps { value: self.builder.act(name, x.value, kind), ..x }
    }

    /// A sum of two values of one shape.
    pub(crate) fn add(&mut self, a: Maps, b: Maps, name: &str) -> Maps {
        Maps { value: self.builder.add(name, a.value, b.value), ..a }
    }

    /// A product with one number for each channel.
    pub(crate) fn scale(&mut self, a: Maps, b: Maps, name: &str) -> Maps {
        Maps { value: self.builder.mul(name, a.value, b.value), ..a }
    }

    /// Maximum over 3 × 3 positions with stride 2.
    pub(crate) fn max_pool(&mut self, x: Maps, name: &str) -> Maps {
        let pool = Op::MaxPool(Pool { kernel: 3, stride: 2, padding: 1 });
        Maps { value: self.builder.node(name, pool, &[x.value]), side: x.side.div_ceil(2), ..x }
    }

    /// Average over all positions.
    pub(crate) fn mean(&mut self, x: Maps, name: &str) -> Maps {
        Maps { value: self.builder.global_avg_pool(name, x.value), side: 1, ..x }
    }

    /// A linear layer with bias, to as many classes as the file has.
    pub(crate) fn classes(&mut self, x: Maps, name: &str) -> Maps {
        let channels = self.take(name, "weight", "weight", &[Size::Any, x.channels]);
        self.take(name, "bias", "bias", &[channels]);
        let features = match channels {
            Size::Exactly(features) => features,
            Size::Any => 1,
        };
        Maps { value: self.builder.linear(name, x.value, features), channels, side: 1 }
    }

    /// Ends the draft. Tensors that nothing asked for are differences, too.
    pub(crate) fn finish(mut self, output: Maps) -> Drafted {
        let tensors = self.tensors;
        for name in tensors.names() {
            let counts = name.rsplit('.').next() == Some(COUNTER);
            if !counts && !self.used.contains(name) {
                self.say(name, format!("no layer of {} uses it", self.family));
            }
        }
        let Self { builder, plan, wrong, .. } = self;
        Drafted { graph: builder.finish(output.value), plan, wrong }
    }
}

impl Drafted {
    /// The graph with its weights, if nothing is wrong.
    pub(crate) fn complete(
        self,
        tensors: &Tensors<'_>,
    ) -> Result<(Graph, FloatWeights), ImportError> {
        let Self { graph, plan, mut wrong } = self;
        if !wrong.is_empty() {
            return Err(ImportError::Unknown(wrong));
        }
        graph.check_network_bounds()?;
        let mut weights = FloatWeights::new();
        for (weight, name) in plan {
            match tensors
                .get(&name)
                .ok_or("it is missing")
                .and_then(|tensor| decoded(tensor, &weight))
            {
                Ok(data) => drop(weights.insert(weight, data)),
                Err(reason) => {
                    let (operator, reason) = ("tensor".to_owned(), reason.to_owned());
                    wrong.push(UnknownNode::new(name, operator, reason));
                }
            }
        }
        match wrong.is_empty() {
            true => Ok((graph, weights)),
            false => Err(ImportError::Unknown(wrong)),
        }
    }
}

/// The numbers of a weight.
fn decoded(tensor: &Tensor<'_>, weight: &str) -> Result<TensorData, &'static str> {
    let data = tensor.reals().ok_or("it holds no real numbers")?;
    if !data.iter().all(|number| number.is_finite()) {
        return Err("it holds numbers that are not finite");
    }
    if weight.ends_with(".var") && data.iter().any(|number| *number < 0.0) {
        return Err("it holds variances below 0");
    }
    Ok(TensorData { shape: tensor.shape().to_vec(), data })
}

/// A shape of which some sizes do not matter.
fn shown(sizes: &[Size]) -> String {
    let size = |size: &Size| match size {
        Size::Any => "any".to_owned(),
        Size::Exactly(size) => size.to_string(),
    };
    format!("[{}]", sizes.iter().map(size).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensorflow_pads_below_and_to_the_right() {
        let check = |side, kernel, stride, before, after, out| {
            let (padding, found) = Rules::TENSORFLOW.padding(side, kernel, stride);
            assert_eq!((padding.top, padding.right, found), (before, after, out));
            assert_eq!((padding.left, padding.bottom), (before, after));
        };
        check(224, 3, 2, 0, 1, 112);
        check(15, 5, 2, 2, 2, 8);
        check(14, 5, 2, 1, 2, 7);
        check(7, 3, 1, 1, 1, 7);
        check(4, 1, 2, 0, 0, 2);
        assert_eq!(Rules::PLAIN.padding(15, 5, 2), (Padding::all(2), 8));
    }
}
