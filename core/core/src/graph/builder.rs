//! Making graphs.

use super::{ActivationKind, Conv2d, Graph, KernelSize, Node, Op, Padding, Shape, ValueId};

/// Attributes of a convolution, with the usual defaults: stride 1, dilation 1, padding of half the
/// window, which keeps the size where the kernel is odd, one group, no bias.
#[derive(Debug, Clone)]
pub struct ConvSpec(Conv2d);

impl ConvSpec {
    /// A dense convolution.
    pub fn new(out_channels: usize, kernel: impl Into<KernelSize>) -> Self {
        let kernel = kernel.into();
        let padding = Padding::same(kernel);
        Self(Conv2d {
            out_channels,
            kernel,
            stride: 1,
            dilation: 1,
            padding,
            groups: 1,
            bias: false,
        })
    }

    /// A depth-wise convolution of `channels` channels.
    pub fn depthwise(channels: usize, kernel: impl Into<KernelSize>) -> Self {
        Self::new(channels, kernel).groups(channels)
    }

    /// Sets the stride.
    pub fn stride(mut self, stride: usize) -> Self {
        self.0.stride = stride;
        self
    }

    /// Sets the dilation, and padding of half the window that it makes.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.0.dilation = dilation;
        self.0.padding = Padding::same(self.0.kernel.dilated(dilation));
        self
    }

    /// Sets the number of groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.0.groups = groups;
        self
    }

    /// Sets the padding.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.0.padding = padding;
        self
    }

    /// Adds a bias.
    pub fn bias(mut self) -> Self {
        self.0.bias = true;
        self
    }
}

impl From<ConvSpec> for Op {
    fn from(spec: ConvSpec) -> Self {
        Self::Conv2d(spec.0)
    }
}

/// Builds a graph node by node; shapes are checked by [`Graph::shapes`].
///
/// ```
/// use spacewright_core::graph::{ActivationKind, ConvSpec, GraphBuilder, Shape};
///
/// let mut b = GraphBuilder::new(Shape::square(16, 32));
/// let x = b.input();
/// let y = b.conv_bn_act("expand", x, ConvSpec::new(64, 1), ActivationKind::Relu);
/// let y = b.conv_bn("project", y, ConvSpec::new(16, 1));
/// let y = b.add("sum", y, x);
/// let graph = b.finish(y);
/// assert_eq!(graph.output_shape().unwrap(), Shape::square(16, 32));
/// assert_eq!(graph.macs().unwrap(), 2 * 16 * 64 * 32 * 32);
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// Starts a graph with an input of this shape.
    pub fn new(input: Shape) -> Self {
        Self { graph: Graph::identity(input) }
    }

    /// The graph's input.
    pub fn input(&self) -> ValueId {
        ValueId::INPUT
    }

    /// Appends a node and returns its output.
    pub fn node(&mut self, name: impl Into<String>, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec() });
        ValueId::of_node(self.graph.nodes.len() - 1)
    }

    /// A convolution.
    pub fn conv(&mut self, name: &str, x: ValueId, spec: ConvSpec) -> ValueId {
        self.node(name, spec.into(), &[x])
    }

    /// A batch normalization (eps 1e-5).
    pub fn batch_norm(&mut self, name: &str, x: ValueId) -> ValueId {
        self.node(name, Op::BatchNorm { eps: 1e-5 }, &[x])
    }

    /// A convolution and its [`batch_norm`](Self::batch_norm) `<name>.bn`.
    pub fn conv_bn(&mut self, name: &str, x: ValueId, spec: ConvSpec) -> ValueId {
        let y = self.conv(name, x, spec);
        self.batch_norm(&format!("{name}.bn"), y)
    }

    /// [`conv_bn`](Self::conv_bn) and the activation `<name>.act`.
    pub fn conv_bn_act(
        &mut self,
        name: &str,
        x: ValueId,
        spec: ConvSpec,
        kind: ActivationKind,
    ) -> ValueId {
        let y = self.conv_bn(name, x, spec);
        self.act(&format!("{name}.act"), y, kind)
    }

    /// An activation.
    pub fn act(&mut self, name: &str, x: ValueId, kind: ActivationKind) -> ValueId {
        self.node(name, Op::Activation { kind }, &[x])
    }

    /// A sum.
    pub fn add(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        self.node(name, Op::Add, &[a, b])
    }

    /// A product; `b` may be `c×1×1`.
    pub fn mul(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        self.node(name, Op::Mul, &[a, b])
    }

    /// The channels of these values, one after the other.
    pub fn concat(&mut self, name: &str, values: &[ValueId]) -> ValueId {
        self.node(name, Op::Concat, values)
    }

    /// A global average pool.
    pub fn global_avg_pool(&mut self, name: &str, x: ValueId) -> ValueId {
        self.node(name, Op::GlobalAvgPool, &[x])
    }

    /// A linear layer with bias.
    pub fn linear(&mut self, name: &str, x: ValueId, out_features: usize) -> ValueId {
        self.node(name, Op::Linear { out_features, bias: true }, &[x])
    }

    /// The graph with `output` as its result.
    pub fn finish(self, output: ValueId) -> Graph {
        Graph { output, ..self.graph }
    }
}
