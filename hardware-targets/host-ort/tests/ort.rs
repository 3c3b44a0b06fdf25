//! Runs what the writer writes, and compares it with the integer executor operator by operator.

use prost::Message;
use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Padding, Pool, Shape},
    kernel::{KernelReader, Kind},
    latency::Position,
    operators::Operators,
    quant::{Scheme, check, fold_float},
    target::{ModelInfo, ModelOutputs, Runtime, Target},
};
use spacewright_host_ort::{
    HostOrt, OrtRuntime,
    proto::{
        DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto, data_type,
    },
    scheme_7bit, scheme_pairs,
};
use spacewright_measure::testing::{
    block, blocks, branches, check_sum_of_parts, evaluate, joined, quantized, random_image,
    random_weights, rng, windows,
};
use spacewright_sdk::{About, Plugin, conformance};

/// Checks one graph in integers and in floating point; gives the operators left in floating point.
#[track_caller]
fn check_graph(graph: &Graph, scheme: &Scheme, seed: u64) -> Vec<String> {
    let runtime = OrtRuntime::new("test").unwrap();
    let mut rng = rng(seed);
    let weights = random_weights(graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let info = ModelInfo::default();

    let float = fold_float(graph, &weights).unwrap();
    let model = runtime.write_float(&float, &info).unwrap();
    let found = runtime.load(&model).unwrap().run(&image).unwrap();
    let expected = &evaluate(graph, &weights, &image)[graph.output.index()];
    let size = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4 * size, "{found} {expected}\n{graph}");
    }

    let network = quantized(graph, &weights, &image, scheme);
    let write = |outputs| runtime.write_integer(&network, &info, outputs).unwrap();
    let mut model = runtime.load(&write(ModelOutputs::Integers)).unwrap();
    let observed = model.run_integers(&image).unwrap();
    for result in check(&network, &observed).unwrap() {
        assert_eq!(result.wrong, 0, "{result:?} in\n{graph}");
    }
    let executed = network.run(&image).unwrap();
    assert_eq!(executed["input"].integers, observed["input"]);

    let mut plain = runtime.load(&write(ModelOutputs::Result)).unwrap();
    let name = network.graph.value_name(network.graph.output);
    let params = network.values[network.graph.output.index()].unwrap();
    let result: Vec<f32> = observed[name].iter().map(|&q| params.dequantize(q)).collect();
    assert_eq!(plain.run(&image).unwrap(), result, "outputs change the result of\n{graph}");
    let float = plain.float_operators().unwrap();
    assert!(
        !float.iter().any(|op| op.contains("Conv") || op.contains("Gemm") || op.contains("MatMul")),
        "{float:?} in\n{graph}"
    );
    float
}

fn operators() -> Operators {
    Operators::new(spacewright_operators_cnn::operator_sets()).unwrap()
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn every_block_type_runs_in_integers_as_the_executor_says() {
    let mut seed = 0;
    for graph in blocks(&operators()) {
        for scheme in [scheme_7bit(), scheme_pairs()] {
            seed += 1;
            let float = check_graph(&graph, &scheme, seed);
            let is_function = |op: &Op| {
                matches!(
                    op,
                    Op::Activation { kind: ActivationKind::HSwish | ActivationKind::HSigmoid }
                )
            };
            let functions = graph.nodes.iter().any(|node| is_function(&node.op));
            assert_eq!(float.is_empty(), !functions, "{float:?} in\n{graph}");
        }
    }
}

/// The description's rules against what ONNX Runtime makes of the written file.
#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn kernels_are_those_that_the_runtime_fuses() {
    use ActivationKind::{HSwish, Relu, Relu6, Swish};
    let target = HostOrt::new().description();
    let runtime = OrtRuntime::new("test").unwrap();
    let mut reader = KernelReader::new(&target.fusion);
    let mut rng = rng(5);
    for block_type in operators().block_types() {
        for activation in [Relu, Relu6, HSwish, Swish] {
            let request = block(&block_type.name, Shape::new(16, 13, 12), 16, 1, activation);
            let graph = operators().graph(&request).unwrap();
            let weights = random_weights(&graph, &mut rng);
            let image = random_image(graph.input, &mut rng);
            let network = quantized(&graph, &weights, &image, &target.scheme);
            let info = ModelInfo::default();
            let model = runtime.write_integer(&network, &info, ModelOutputs::Result).unwrap();
            let optimized = runtime.optimized(&model).unwrap();
            let runs = |names: &[&str]| {
                let named = |node: &&NodeProto| names.contains(&node.op_type.as_str());
                optimized.node.iter().filter(named).count()
            };
            let kernels = reader.kernels(&graph, Position::Inside).unwrap();
            let of = |kinds: &[Kind]| kernels.iter().filter(|k| kinds.contains(&k.kind)).count();
            let se = of(&[Kind::Se]);
            let found = [
                runs(&["QLinearConv"]),
                runs(&["QGemm", "QLinearMatMul"]),
                runs(&["QLinearAdd"]),
                runs(&["QLinearGlobalAveragePool"]),
                runs(&["QLinearSigmoid", "HardSigmoid", "HardSwish"]),
                runs(&["Relu", "Clip", "BatchNormalization"]),
            ];
            let expected = [
                of(&[Kind::Conv, Kind::Dwconv]) + 2 * se,
                of(&[Kind::Fc]),
                of(&[Kind::Add]),
                of(&[Kind::Gap]) + se,
                of(&[Kind::Act]) + se,
                0,
            ];
            assert_eq!(found, expected, "{} {activation}\n{graph}", block_type.name);
        }
    }
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
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
    let x = b.conv_bn_act("grouped", x, ConvSpec::new(24, 3).groups(3), ActivationKind::Relu);
    let x = b.node("halve", Op::MaxPool(pool(2, 2, 0)), &[x]);
    let x = b.linear("fc1", x, 20);
    let x = b.act("fc1.act", x, ActivationKind::Relu);
    let x = b.linear("fc2", x, 16);
    let x = b.conv("conv", x, ConvSpec::new(8, 1));
    let float = check_graph(&b.finish(x), &scheme_7bit(), 99);
    assert_eq!(float, Vec::<String>::new());
}

/// Each input has its own scale, and the result another one; values that pass through, too.
#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn joined_channels_run_in_integers_as_the_executor_says() {
    for seed in 0..8 {
        let float = check_graph(&branches(), &scheme_7bit(), seed);
        assert_eq!(float, Vec::<String>::new());
    }
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn windows_that_are_not_square_or_dense_run_as_the_executor_says() {
    for seed in 0..4 {
        let float = check_graph(&windows(), &scheme_7bit(), seed);
        assert_eq!(float, Vec::<String>::new());
    }
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn a_relu_between_two_quantizers_is_a_conversion() {
    let mut b = GraphBuilder::new(Shape::square(8, 6));
    let x = b.conv("a", b.input(), ConvSpec::new(8, 3));
    let y = b.act("act", x, ActivationKind::Relu);
    let y = b.mul("product", y, x);
    let float = check_graph(&b.finish(y), &scheme_7bit(), 6);
    assert_eq!(float.len(), 2, "{float:?}");
    assert!(float[0].starts_with("DequantizeLinear") && float[1].starts_with("QuantizeLinear"));
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn a_sum_and_its_relu_are_one_operator() {
    let mut b = GraphBuilder::new(Shape::square(8, 6));
    let x = b.input();
    let y = b.conv_bn("a", x, ConvSpec::new(8, 3));
    let y = b.add("sum", y, x);
    let y = b.act("act", y, ActivationKind::Relu);
    let float = check_graph(&b.finish(y), &scheme_7bit(), 5);
    assert_eq!(float, Vec::<String>::new());
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn a_whole_network_gives_the_result_of_the_executor() {
    let graph = joined(&operators());
    check_graph(&graph, &scheme_7bit(), 11);

    let mut rng = rng(12);
    let weights = random_weights(&graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let network = quantized(&graph, &weights, &image, &scheme_pairs());
    let runtime = HostOrt::pairs().runtime().unwrap();
    let model =
        runtime.write_integer(&network, &ModelInfo::default(), ModelOutputs::Result).unwrap();
    let found = runtime.load(&model).unwrap().run(&image).unwrap();
    let step = network.values[network.graph.output.index()].unwrap().scale;
    for (found, expected) in found.iter().zip(network.result(&image).unwrap()) {
        assert!((found - expected).abs() < 2.5 * step, "{found} {expected}");
    }
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn latencies_of_parts_have_a_sum() {
    let source = HostOrt::new().latency_source().unwrap();
    assert!(source.fingerprint().contains("threads=1"), "{}", source.fingerprint());
    check_sum_of_parts(&*source, &operators());
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn errors_say_what_is_wrong() {
    let runtime = OrtRuntime::new("host-ort").unwrap();
    let refused = runtime.load(b"no model").err().unwrap().to_string();
    assert!(
        refused.starts_with("target `host-ort`: this is no ONNX file, or it is damaged"),
        "{refused}"
    );

    let graph = joined(&operators());
    let mut rng = rng(1);
    let weights = random_weights(&graph, &mut rng);
    let image = random_image(graph.input, &mut rng);
    let network = quantized(&graph, &weights, &image, &scheme_7bit());
    let model = runtime.write_integer(&network, &ModelInfo::default(), ModelOutputs::Result);
    let mut model = runtime.load(&model.unwrap()).unwrap();
    let error = model.run(&image[1..]).unwrap_err().to_string();
    assert!(error.contains("[1, 3, 32, 32]"), "{error}");
    let error = model.run_integers(&image).unwrap_err().to_string();
    assert!(error.contains("without the integers"), "{error}");
}

/// Tokens and a mask besides an image, with sizes left open: what other tools export.
#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn any_model_is_measured() {
    let value = |name: &str, elem_type, dims: &[Option<i64>]| {
        let dim =
            dims.iter().map(|&dim_value| DimensionProto { dim_value, dim_param: None }).collect();
        let shape = Some(TensorShapeProto { dim });
        let tensor_type = Some(TensorTypeProto { elem_type, shape });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    };
    let node = |op: &str, input: &[&str], output: &str| NodeProto {
        input: input.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: op.into(),
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: "several".into(),
        node: vec![node("Where", &["mask", "tokens", "tokens"], "result")],
        input: vec![
            value("tokens", data_type::INT64, &[None, Some(3)]),
            value("mask", data_type::BOOL, &[None, Some(3)]),
        ],
        output: vec![value("result", data_type::INT64, &[None, Some(3)])],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    let model = ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import: vec![opset],
        ..ModelProto::default()
    };
    let runtime = OrtRuntime::new("host-ort").unwrap();
    let measured = runtime.measure(&model.encode_to_vec()).unwrap();
    assert!(measured.min_ms > 0.0 && measured.min_ms <= measured.p10_ms, "{measured:?}");
    assert!(measured.p10_ms <= measured.median_ms && measured.runs >= 50, "{measured:?}");
    let open = "open sizes that were taken as 1: `mask:0`, `tokens:0`";
    assert!(measured.warnings.iter().any(|warning| warning.starts_with(open)), "{measured:?}");
    assert!(measured.machine["runtime"].starts_with("ONNX Runtime "), "{measured:?}");
    let error = runtime.measure(b"no model").unwrap_err().to_string();
    assert!(error.contains("this is no ONNX file"), "{error}");
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn both_targets_conform() {
    for target in [HostOrt::new(), HostOrt::pairs()] {
        let about = About {
            name: "host-ort".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "This machine".into(),
        };
        conformance::check(&Plugin::new(about).target(target)).assert_good();
    }
}
