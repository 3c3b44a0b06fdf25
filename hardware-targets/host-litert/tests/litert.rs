//! Runs what the TFLite writer writes, and compares it with the integer executor operator by
//! operator.

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, OpKind, Padding, Pool, Shape},
    import::{ImportedNetwork, NetworkReader},
    operators::Operators,
    quant::{IntegerNetwork, OperatorCheck, Rounding, Scheme, WeightRange, check, fold_float},
    target::{ModelInfo, ModelOutputs, Runtime, Target},
};
use spacewright_host_litert::{HostLiteRt, Kernels, LiteRtRuntime, TfliteReader};
use spacewright_measure::testing::{
    blocks, branches, check_sum_of_parts, evaluate, joined, quantized, random_image,
    random_weights, rng, windows,
};
use spacewright_sdk::{About, Plugin, conformance};
use spacewright_tflite::scheme;

fn runtime() -> LiteRtRuntime {
    LiteRtRuntime::new("test").unwrap()
}

/// A random network of a graph, one image, and what the runtime makes of it in integers.
fn observed(
    runtime: &LiteRtRuntime,
    graph: &Graph,
    scheme: &Scheme,
    seed: u64,
) -> (IntegerNetwork, Vec<f32>, std::collections::BTreeMap<String, Vec<u8>>) {
    let mut rng = rng(seed);
    let weights = random_weights(graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let network = quantized(graph, &weights, &image, scheme);
    let info = ModelInfo::default();
    let file = runtime.write_integer(&network, &info, ModelOutputs::Integers).unwrap();
    let observed = runtime.load(&file).unwrap().run_integers(&image).unwrap();
    (network, image, observed)
}

/// Checks one graph in integers and in floating point.
#[track_caller]
fn check_graph(graph: &Graph, seed: u64) {
    let runtime = runtime();
    let info = ModelInfo::default();
    let mut rng = rng(seed);
    let weights = random_weights(graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let float = fold_float(graph, &weights).unwrap();
    let file = runtime.write_float(&float, &info).unwrap();
    let found = runtime.load(&file).unwrap().run(&image).unwrap();
    let expected = &evaluate(graph, &weights, &image)[graph.output.index()];
    let size = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4 * size, "{found} {expected}\n{graph}");
    }

    check_import(&file, &image, expected);

    let (network, image, observed) = observed(&runtime, graph, &scheme(), seed);
    for result in check(&network, &observed).unwrap() {
        assert_eq!(result.wrong, 0, "{result:?} in\n{graph}");
    }
    let executed = network.run(&image).unwrap();
    assert_eq!(executed["input"].integers, observed["input"]);

    let file = runtime.write_integer(&network, &info, ModelOutputs::Result).unwrap();
    let structure =
        TfliteReader.structure(&ModelFile::in_memory(&file), &OpenSizes::new()).unwrap();
    assert_eq!(structure.output_shape(), graph.output_shape(), "in\n{structure}");
    let mut plain = runtime.load(&file).unwrap();
    let name = network.graph.value_name(network.graph.output);
    let params = network.values[network.graph.output.index()].unwrap();
    let result: Vec<f32> = observed[name].iter().map(|&q| params.dequantize(q)).collect();
    assert_eq!(plain.run(&image).unwrap(), result, "outputs change the result of\n{graph}");
    assert_eq!(plain.float_operators().unwrap(), Vec::<String>::new());
}

/// What is read out of a file gives what the file gives.
#[track_caller]
fn check_import(file: &[u8], image: &[f32], expected: &[f32]) {
    let file = ModelFile::in_memory(file);
    let network = TfliteReader.read(&file, &OpenSizes::new()).unwrap();
    let ImportedNetwork { graph, weights, .. } = &network;
    let found = &evaluate(graph, weights, image)[graph.output.index()];
    let size = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4 * size, "{found} {expected}\n{graph}");
    }
}

fn operators() -> Operators {
    Operators::new(spacewright_operators_cnn::operator_sets()).unwrap()
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn every_block_type_runs_in_integers_as_the_executor_says() {
    for (seed, graph) in blocks(&operators()).iter().enumerate() {
        check_graph(graph, seed as u64);
    }
}

/// TFLite's own kernels, where they are those of its specification: gemmlowp's fixed point.
#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn fixed_point_is_that_of_tflites_own_kernels() {
    let runtime = runtime().with(Kernels::Builtin);
    let scheme = Scheme { rounding: Rounding::FixedPoint, ..scheme() };
    let mut seen = std::collections::BTreeSet::new();
    let graphs = blocks(&operators()).into_iter().chain([branches(), windows()]);
    for (seed, graph) in graphs.enumerate() {
        let graph = &graph;
        let (network, _, observed) = observed(&runtime, graph, &scheme, seed as u64);
        for result in check(&network, &observed).unwrap() {
            let kind = kind(&network, &result);
            let exact = [
                OpKind::Add,
                OpKind::Mul,
                OpKind::Linear,
                OpKind::HSwish,
                OpKind::HSigmoid,
                OpKind::Sigmoid,
                OpKind::Concat,
            ];
            if exact.contains(&kind) {
                assert_eq!(result.equal, result.elements, "{kind:?} {result:?} in\n{graph}");
                seen.insert(kind);
            }
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

/// The operator that makes a value, before what is fused with it.
fn kind(network: &IntegerNetwork, check: &OperatorCheck) -> OpKind {
    let nodes = &network.graph.nodes;
    let mut node = nodes.iter().find(|node| node.name == check.value).unwrap();
    while let Op::Activation { .. } = node.op
        && network.values[node.inputs[0].index()].is_none()
    {
        node = &nodes[node.inputs[0].node().unwrap()];
    }
    node.op.kind()
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn operators_that_no_block_has() {
    let pool = |kernel, stride, padding| Pool { kernel, stride, padding };
    let mut b = GraphBuilder::new(Shape::new(3, 20, 18));
    let padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    let spec = ConvSpec::new(12, 3).stride(2).padding(padding);
    let x = b.conv_bn_act("stem", b.input(), spec, ActivationKind::Relu6);
    let y = b.node("max", Op::MaxPool(pool(3, 1, 1)), &[x]);
    let z = b.node("avg", Op::AvgPool(pool(3, 1, 1)), &[x]);
    let x = b.add("sum", y, z);
    let x = b.act("sigmoid", x, ActivationKind::Sigmoid);
    let x = b.mul("product", x, y);
    let x = b.conv_bn_act("wider", x, ConvSpec::new(24, 3).groups(12), ActivationKind::Relu);
    let x = b.conv_bn_act("grouped", x, ConvSpec::new(24, 3).groups(3), ActivationKind::Relu);
    let x = b.node("padded", Op::MaxPool(pool(3, 2, 1)), &[x]);
    let x = b.linear("fc1", x, 20);
    let x = b.act("fc1.act", x, ActivationKind::Relu);
    let x = b.linear("fc2", x, 16);
    let x = b.conv("conv", x, ConvSpec::new(8, 1));
    check_graph(&b.finish(x), 99);
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn joined_channels_come_to_one_scale() {
    for seed in 0..8 {
        check_graph(&branches(), seed);
    }
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn windows_that_are_not_square_or_dense_run_as_the_executor_says() {
    for seed in 0..4 {
        check_graph(&windows(), seed);
    }
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn activations_between_two_quantizers_are_operators() {
    for kind in ActivationKind::ALL {
        let mut b = GraphBuilder::new(Shape::square(8, 6));
        let x = b.conv("a", b.input(), ConvSpec::new(8, 3));
        let y = b.act("act", x, kind);
        let y = b.mul("product", y, x);
        check_graph(&b.finish(y), 6);
    }
}

/// A network that was quantized for another runtime: scales that TFLite's operators do not have
/// are put in behind them, which rounds twice.
#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn networks_of_other_schemes_run_in_integers() {
    let runtime = runtime();
    let other = Scheme::common("other", WeightRange::Bits7);
    let mut b = GraphBuilder::new(Shape::square(8, 6));
    let x = b.conv_bn_act("a", b.input(), ConvSpec::new(8, 3), ActivationKind::Swish);
    let x = b.node("avg", Op::AvgPool(Pool { kernel: 2, stride: 2, padding: 0 }), &[x]);
    let graph = b.finish(x);
    let (network, image, observed) = observed(&runtime, &graph, &other, 3);
    let executed = network.run(&image).unwrap();
    for (name, value) in &executed {
        let found = &observed[name];
        let near = value.integers.iter().zip(found).all(|(a, b)| a.abs_diff(*b) <= 2);
        assert!(near, "{name}: {:?} {found:?}", value.integers);
    }
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn a_whole_network_gives_the_result_of_the_executor() {
    let graph = joined(&operators());
    check_graph(&graph, 11);
    let (network, image, observed) = observed(&runtime(), &graph, &scheme(), 12);
    let name = network.graph.value_name(network.graph.output);
    let executed = &network.run(&image).unwrap()[name].integers;
    let near = executed.iter().zip(&observed[name]).all(|(a, b)| a.abs_diff(*b) <= 2);
    assert!(near, "{executed:?} {:?}", observed[name]);
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn latencies_of_parts_have_a_sum() {
    let source = HostLiteRt::new().latency_source().unwrap();
    assert!(source.fingerprint().contains("; LiteRT 2."), "{}", source.fingerprint());
    check_sum_of_parts(&*source, &operators());
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn files_are_measured() {
    let runtime = runtime();
    let graph = joined(&operators());
    let mut rng = rng(1);
    let weights = random_weights(&graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let network = quantized(&graph, &weights, &image, &scheme());
    let info = ModelInfo::default();
    let file = runtime.write_integer(&network, &info, ModelOutputs::Result).unwrap();
    let measured = runtime.measure(&file).unwrap();
    assert!(measured.min_ms > 0.0 && measured.min_ms <= measured.p10_ms, "{measured:?}");
    assert!(measured.p10_ms <= measured.median_ms && measured.runs >= 50, "{measured:?}");
    assert!(measured.machine["runtime"].starts_with("LiteRT "), "{measured:?}");
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn errors_say_what_is_wrong() {
    let runtime = runtime();
    let refused = runtime.load(b"no model").err().unwrap().to_string();
    assert!(refused.starts_with("target `test`: this is no TFLite file"), "{refused}");

    let graph = joined(&operators());
    let (network, image, _) = observed(&runtime, &graph, &scheme(), 1);
    let info = ModelInfo::default();
    let file = runtime.write_integer(&network, &info, ModelOutputs::Result).unwrap();
    let cut = runtime.load(&file[..file.len() / 2]).err().unwrap().to_string();
    assert!(cut.contains("this TFLite file is damaged"), "{cut}");
    let mut model = runtime.load(&file).unwrap();
    let error = model.run(&image[1..]).unwrap_err().to_string();
    assert!(error.contains("[1, 32, 32, 3]"), "{error}");
    let error = model.run_integers(&image).unwrap_err().to_string();
    assert!(error.contains("without the integers"), "{error}");
}

#[test]
#[cfg_attr(not(have_litert), ignore = "no LiteRT: run cargo xtask setup")]
fn the_target_conforms() {
    let about = About {
        name: "host-litert".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        summary: "This machine".into(),
    };
    conformance::check(&Plugin::new(about).target(HostLiteRt::new())).assert_good();
}
