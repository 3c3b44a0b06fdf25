use proptest::prelude::*;
use spacewright_sdk::prelude::*;

use super::*;
use crate::EDGE_TPU;

/// One operator costs nothing but its cycles.
const BARE: Parameters = Parameters {
    cycles_per_ms: 1.0,
    efficiency: 1.0,
    bytes_per_cycle: 1e9,
    operator_ms: 0.0,
    call_ms: 0.0,
    ..EDGE_TPU
};

fn ms(parameters: Parameters, graph: &Graph, precision: Precision, position: Position) -> f64 {
    let query = LatencyQuery { graph: graph.clone(), precision, position };
    Model(parameters).milliseconds(&GraphColumns::of(&[query]).unwrap()).unwrap()[0]
}

fn inside(graph: &Graph) -> f64 {
    ms(EDGE_TPU, graph, Precision::Int8, Position::Inside)
}

fn layer(input: Shape, layer: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new(input);
    let x = b.input();
    let x = layer(&mut b, x);
    b.finish(x)
}

fn conv(input: Shape, spec: ConvSpec) -> Graph {
    layer(input, |b, x| b.conv("conv", x, spec))
}

#[test]
fn the_array_works_in_tiles() {
    let cycles = |input: Shape, spec: ConvSpec| {
        ms(BARE, &conv(input, spec), Precision::Int8, Position::Inside)
    };
    assert_eq!(cycles(Shape::square(64, 16), ConvSpec::new(64, 1)), 256.0);
    assert_eq!(cycles(Shape::square(64, 16), ConvSpec::new(65, 1)), 512.0);
    assert_eq!(cycles(Shape::square(65, 16), ConvSpec::new(65, 1)), 1024.0);
    assert_eq!(cycles(Shape::square(3, 16), ConvSpec::new(64, 3)), 256.0, "27 rows of 64");
    assert_eq!(cycles(Shape::square(64, 16), ConvSpec::new(64, 3)), 9.0 * 256.0);
    assert_eq!(cycles(Shape::square(128, 7), ConvSpec::new(64, 1)), 128.0, "49 pixels, 64 rows");
    assert_eq!(cycles(Shape::square(128, 16), ConvSpec::new(128, 1).groups(2)), 512.0);
    assert_eq!(cycles(Shape::square(128, 16), ConvSpec::depthwise(128, 3)), 9.0 * 512.0, "lanes");
    let linear = layer(Shape::square(1280, 1), |b, x| b.linear("logits", x, 1000));
    assert_eq!(ms(BARE, &linear, Precision::Int8, Position::Last), 20.0 * 16.0 * 64.0);
}

#[test]
fn other_operators_work_on_lanes_or_wait_for_memory() {
    let sum = layer(Shape::square(64, 16), |b, x| b.add("sum", x, x));
    let sum = |bytes_per_cycle| {
        let parameters = Parameters { bytes_per_cycle, ..BARE };
        ms(parameters, &sum, Precision::Int8, Position::Inside)
    };
    assert_eq!(sum(1e9), 256.0);
    assert_eq!(sum(128.0), 1.5 * 256.0, "two bytes read and one written per element");
    let pool = layer(Shape::square(64, 16), |b, x| {
        let pool = spacewright_sdk::core::graph::Pool { kernel: 3, stride: 2, padding: 1 };
        b.node("pool", Op::MaxPool(pool), &[x])
    });
    assert_eq!(ms(BARE, &pool, Precision::Int8, Position::Inside), 9.0 * 64.0);
}

#[test]
fn parts_add_up() {
    let (first, last) = (
        layer(Shape::square(3, 32), |b, x| {
            b.conv_bn_act("stem", x, ConvSpec::new(16, 3), ActivationKind::Relu)
        }),
        layer(Shape::square(16, 32), |b, x| {
            let x = b.global_avg_pool("pool", x);
            b.linear("logits", x, 10)
        }),
    );
    let parts = ms(EDGE_TPU, &first, Precision::Int8, Position::First)
        + ms(EDGE_TPU, &last, Precision::Int8, Position::Last);
    let whole = first.then(last).unwrap();
    let whole = ms(EDGE_TPU, &whole, Precision::Int8, Position::Whole);
    assert!((parts / whole - 1.0).abs() < 1e-12, "{parts} {whole}");
}

#[test]
fn weights_beyond_the_cache_are_streamed() {
    let graph = layer(Shape::square(1000, 1), |b, x| b.linear("wide", x, 1000));
    let with_cache = |cache_bytes| {
        let parameters = Parameters { cache_bytes, ..EDGE_TPU };
        ms(parameters, &graph, Precision::Int8, Position::Inside)
    };
    let bytes = 1_004_000;
    let streamed = with_cache(bytes - 1000) - with_cache(bytes);
    assert!((streamed - 1000.0 / EDGE_TPU.link_bytes_per_ms).abs() < 1e-12);
    assert_eq!(with_cache(bytes), with_cache(10 * bytes));
}

#[test]
fn activations_that_the_npu_lacks_are_slow() {
    let with = |kind| inside(&layer(Shape::square(64, 28), |b, x| b.act("act", x, kind)));
    assert!(with(ActivationKind::Relu) < with(ActivationKind::Sigmoid));
    assert!(with(ActivationKind::Sigmoid) < with(ActivationKind::Swish));
    assert!(with(ActivationKind::Swish) < EDGE_TPU.fallback_ms);
    assert!(EDGE_TPU.fallback_ms < with(ActivationKind::HSwish));
    assert_eq!(with(ActivationKind::HSigmoid), with(ActivationKind::HSwish));
}

#[test]
fn floating_point_runs_on_the_host() {
    let graph = conv(Shape::square(100, 10), ConvSpec::new(350, 1));
    let host = ms(EDGE_TPU, &graph, Precision::Fp32, Position::Whole);
    assert_eq!(host, 3.5e6 / EDGE_TPU.host_macs_per_ms);
    assert_eq!(host, ms(EDGE_TPU, &graph, Precision::Fp32, Position::Inside));
}

#[test]
fn an_unknown_operator_is_named() {
    let graph = conv(Shape::square(8, 8), ConvSpec::new(8, 1));
    let query = LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside };
    let mut columns = GraphColumns::of(&[query]).unwrap();
    columns.operators[0] = "gelu".into();
    let error = Model(EDGE_TPU).milliseconds(&columns).unwrap_err();
    assert_eq!(error.to_string(), "the model of the NPU has no operator `gelu`");
}

proptest! {
    #[test]
    fn more_work_never_takes_less(
        size in 1usize..40,
        channels in 1usize..300,
        out in 1usize..300,
        kernel in prop::sample::select(vec![1usize, 3, 5]),
    ) {
        let time = |size, channels, out, kernel| {
            inside(&conv(Shape::square(channels, size), ConvSpec::new(out, kernel)))
        };
        let ms = time(size, channels, out, kernel);
        prop_assert!(ms.is_finite() && ms >= EDGE_TPU.operator_ms);
        prop_assert!(ms <= time(size + 1, channels, out, kernel));
        prop_assert!(ms <= time(size, channels + 1, out, kernel));
        prop_assert!(ms <= time(size, channels, out + 1, kernel));
        prop_assert!(ms <= time(size, channels, out, kernel + 2));
    }
}
