//! The networks of published figures, built after their papers. Graphs cannot concatenate, so a
//! network is a list of parts, one for each branch where branches are concatenated; latencies add
//! up. Concatenating is free: each branch writes to its place.

mod efficientnet;
mod inception;
mod mobilenet;
mod resnet;
mod squeezenet;
mod vgg;

pub use efficientnet::{efficientnet_edgetpu_m, efficientnet_edgetpu_s};
pub use inception::inception_v1;
pub use mobilenet::{mobilenet_v1, mobilenet_v2};
pub use resnet::resnet50;
use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Pool, Shape, ValueId},
    latency::{LatencyQuery, Position, Precision},
};
pub use squeezenet::squeezenet;
pub use vgg::{vgg16, vgg19};

const CLASSES: usize = 1000;

/// Parts in their order.
pub struct Network(pub Vec<Graph>);

impl Network {
    pub fn macs(&self) -> f64 {
        self.0.iter().map(|part| part.macs().unwrap() as f64).sum()
    }

    pub fn params(&self) -> f64 {
        self.0.iter().map(|part| part.params().unwrap() as f64).sum()
    }

    /// Questions whose answers add up to the network's latency.
    pub fn queries(&self, precision: Precision) -> Vec<LatencyQuery> {
        let last = self.0.len() - 1;
        let position = |at: usize| match at {
            _ if last == 0 => Position::Whole,
            0 => Position::First,
            at if at == last => Position::Last,
            _ => Position::Inside,
        };
        let query = |(at, graph): (usize, &Graph)| LatencyQuery {
            graph: graph.clone(),
            precision,
            position: position(at),
        };
        self.0.iter().enumerate().map(query).collect()
    }
}

/// A sequence of layers, which are named by their numbers.
struct Layers {
    builder: GraphBuilder,
    value: ValueId,
    count: usize,
}

impl Layers {
    fn new(input: Shape) -> Self {
        let builder = GraphBuilder::new(input);
        Self { value: builder.input(), builder, count: 0 }
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("layer{}", self.count)
    }

    /// A convolution with batch normalization and ReLU.
    fn conv_bn_relu(&mut self, spec: ConvSpec) {
        let name = self.name();
        self.value = self.builder.conv_bn_act(&name, self.value, spec, ActivationKind::Relu);
    }

    /// A convolution with batch normalization.
    fn conv_bn(&mut self, spec: ConvSpec) {
        let name = self.name();
        self.value = self.builder.conv_bn(&name, self.value, spec);
    }

    /// A convolution with bias and ReLU.
    fn conv_relu(&mut self, spec: ConvSpec) {
        let name = self.name();
        self.value = self.builder.conv(&name, self.value, spec.bias());
        self.relu();
    }

    fn relu(&mut self) {
        let name = self.name();
        self.value = self.builder.act(&name, self.value, ActivationKind::Relu);
    }

    fn max_pool(&mut self, kernel: usize, stride: usize, padding: usize) {
        let name = self.name();
        let pool = Op::MaxPool(Pool { kernel, stride, padding });
        self.value = self.builder.node(name, pool, &[self.value]);
    }

    fn global_avg_pool(&mut self) {
        let name = self.name();
        self.value = self.builder.global_avg_pool(&name, self.value);
    }

    fn linear(&mut self, features: usize) {
        let name = self.name();
        self.value = self.builder.linear(&name, self.value, features);
    }

    /// Adds an earlier value.
    fn add(&mut self, shortcut: ValueId) {
        let name = self.name();
        self.value = self.builder.add(&name, self.value, shortcut);
    }

    /// Global average pool and logits.
    fn classify(mut self) -> Graph {
        self.global_avg_pool();
        self.linear(CLASSES);
        self.finish()
    }

    fn finish(self) -> Graph {
        self.builder.finish(self.value)
    }
}
