//! Graphs of operator blocks: every block type alone, and a small network in parts.

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Padding, Pool, Shape},
    latency::{LatencyQuery, LatencySource, Position, Precision},
    operators::{BlockConfig, BlockRequest, Operators},
};

/// A block with kernel 3, expand ratio 2 and, where it has the choice, a depth-wise convolution to start
/// with.
pub fn block(
    name: &str,
    input: Shape,
    out_channels: usize,
    stride: usize,
    activation: ActivationKind,
) -> BlockRequest {
    let config = BlockConfig::of(&[("kernel", 3.0), ("expand", 2.0), ("start", 1.0)]);
    BlockRequest { block: name.into(), input, out_channels, stride, activation, config }
}

/// Every block type with several activations, kernels and strides.
pub fn blocks(operators: &Operators) -> Vec<Graph> {
    use ActivationKind::{HSwish, Relu, Relu6, Swish};
    let mut graphs = Vec::new();
    for block_type in operators.block_types() {
        for (activation, kernel, stride, out) in
            [(Relu, 3.0, 1, 16), (Relu6, 5.0, 2, 24), (HSwish, 7.0, 1, 16), (Swish, 3.0, 2, 40)]
        {
            let shape = Shape::new(16, 13, 12);
            let mut request = block(&block_type.name, shape, out, stride, activation);
            request.config.0.insert("kernel".into(), kernel);
            graphs.push(operators.graph(&request).unwrap());
        }
    }
    graphs
}

/// Branches whose channels are joined: of different scales, of one that is never negative, of pools, of a value
/// that is joined twice, of joined channels, and of linear layers.
pub fn branches() -> Graph {
    let pool = Pool { kernel: 3, stride: 1, padding: 1 };
    let mut b = GraphBuilder::new(Shape::new(6, 11, 9));
    let x = b.conv_bn("x", b.input(), ConvSpec::new(12, 3));
    let one = b.conv_bn_act("one", x, ConvSpec::new(5, 1), ActivationKind::Relu);
    let max = b.node("max", Op::MaxPool(pool), &[one]);
    let positive = b.concat("positive", &[one, max]);
    let squeezed = b.conv_bn_act("squeezed", positive, ConvSpec::new(8, 1), ActivationKind::Relu6);
    let all = b.concat("all", &[squeezed, x, b.input(), positive, squeezed]);
    let average = b.node("average", Op::AvgPool(pool), &[all]);
    let last = b.conv_bn_act("last", average, ConvSpec::new(16, 3), ActivationKind::Swish);
    let pooled = b.global_avg_pool("pooled", last);
    let hidden = b.linear("hidden", pooled, 10);
    let features = b.concat("features", &[hidden, pooled]);
    let y = b.linear("logits", features, 7);
    b.finish(y)
}

/// Convolutions whose windows are not square, or whose pixels lie apart: dense, in groups, depth-wise, with a stride,
/// with padding that differs between sides, and without any.
pub fn windows() -> Graph {
    use ActivationKind::{Relu, Relu6};
    let mut b = GraphBuilder::new(Shape::new(6, 17, 15));
    let x = b.conv_bn_act("wide", b.input(), ConvSpec::new(12, [1, 7]), Relu);
    let x = b.conv_bn_act("tall", x, ConvSpec::new(16, [7, 1]), Relu6);
    let x = b.conv_bn_act("apart", x, ConvSpec::new(16, 3).dilation(2), Relu);
    let x = b.conv_bn_act("grouped", x, ConvSpec::new(16, [3, 5]).groups(4).dilation(2), Relu);
    let depthwise = b.conv_bn_act("depthwise", x, ConvSpec::depthwise(16, 3).dilation(3), Relu);
    let x = b.add("sum", x, depthwise);
    let uneven = Padding { top: 0, left: 1, bottom: 1, right: 0 };
    let spec = ConvSpec::depthwise(16, [2, 3]).stride(2).padding(uneven);
    let x = b.conv_bn("uneven", x, spec);
    let x = b.conv_bn_act("strided", x, ConvSpec::new(12, 3).dilation(2).stride(2), Relu);
    let x = b.conv("bare", x, ConvSpec::new(8, [3, 2]).padding(Padding::default()).bias());
    b.finish(x)
}

/// Stem, two blocks and head: the parts of a network with 32×32 pixels.
pub fn parts(operators: &Operators) -> Vec<Graph> {
    let mut input = Shape::square(3, 32);
    let stages = [("conv", 16, 2), ("mobilenet-v2-res", 24, 2), ("mobilenet-v3-res", 24, 1)];
    let mut parts = Vec::new();
    for (name, out, stride) in stages.into_iter().chain([("feature-mix", 64, 1), ("logits", 10, 1)])
    {
        let request = block(name, input, out, stride, ActivationKind::Relu6);
        let graph = operators.graph(&request).unwrap().prefixed(&format!("{}.", parts.len()));
        input = graph.output_shape().unwrap();
        parts.push(graph);
    }
    parts
}

/// The network of these [`parts`].
pub fn joined(operators: &Operators) -> Graph {
    parts(operators).into_iter().reduce(|whole, part| whole.then(part).unwrap()).unwrap()
}

/// Latencies of the parts of a network must add up to about that of the whole.
#[track_caller]
pub fn check_sum_of_parts(source: &dyn LatencySource, operators: &Operators) {
    for precision in [Precision::Fp32, Precision::Int8] {
        let parts = parts(operators);
        let last = parts.len() - 1;
        let position = |index| match index {
            0 => Position::First,
            _ if index == last => Position::Last,
            _ => Position::Inside,
        };
        let mut queries: Vec<LatencyQuery> = parts
            .into_iter()
            .enumerate()
            .map(|(i, graph)| LatencyQuery { graph, precision, position: position(i) })
            .collect();
        let graph = joined(operators);
        queries.push(LatencyQuery { graph, precision, position: Position::Whole });
        let latencies = source.latencies(&queries).unwrap();
        let sum: f64 = latencies[..=last].iter().map(|latency| latency.ms).sum();
        assert!(latencies.iter().all(|l| l.ms > 0.0 && l.runs >= 50));
        // No bar, only a bound that a busy machine keeps to and a wrong subtraction does not.
        let ratio = sum / latencies[last + 1].ms;
        assert!((0.2..5.0).contains(&ratio), "{precision:?}: {ratio}");
    }
}
