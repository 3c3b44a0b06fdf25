//! Runs what the writer writes, and compares it with the integer executor operator by operator.

mod support;

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Op, Padding, Pool, Shape},
    latency::{LatencyQuery, Position, Precision},
    operators::{BlockConfig, BlockRequest, Operators},
    quant::{Scheme, check, fold_float},
    target::{ModelInfo, ModelOutputs, Runtime, Target},
};
use spacewright_host_ort::{HostOrt, OrtRuntime, scheme_7bit, scheme_pairs};
use support::{evaluate, quantized, random_image, random_weights, rng};

/// Checks one graph in integers and in floating point; gives the operators left in floating point
/// and the number of rounding ties.
#[track_caller]
fn check_graph(graph: &Graph, scheme: &Scheme, seed: u64) -> (Vec<String>, usize) {
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
    let mut ties = 0;
    for result in check(&network, &observed).unwrap() {
        assert_eq!(result.wrong, 0, "{result:?} in\n{graph}");
        ties += result.ties;
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
    (float, ties)
}

fn operators() -> Operators {
    Operators::new(spacewright_operators_cnn::operator_sets())
}

fn block(name: &str, input: Shape, out: usize, stride: usize, act: ActivationKind) -> BlockRequest {
    let config = BlockConfig::of(&[("kernel", 3.0), ("expand", 2.0)]);
    BlockRequest { block: name.into(), input, out_channels: out, stride, activation: act, config }
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn every_block_type_runs_in_integers_as_the_executor_says() {
    use ActivationKind::{HSwish, Relu, Relu6, Swish};
    let operators = operators();
    let mut seed = 0;
    for block_type in operators.block_types() {
        for (activation, kernel, stride, out) in
            [(Relu, 3, 1, 16), (Relu6, 5, 2, 24), (HSwish, 7, 1, 16), (Swish, 3, 2, 40)]
        {
            for scheme in [scheme_7bit(), scheme_pairs()] {
                seed += 1;
                let shape = Shape::new(16, 13, 12);
                let mut request = block(&block_type.name, shape, out, stride, activation);
                request.config = BlockConfig::of(&[("kernel", kernel as f64), ("expand", 2.0)]);
                let graph = operators.graph(&request).unwrap();
                let (float, _) = check_graph(&graph, &scheme, seed);
                let functions = graph
                    .nodes
                    .iter()
                    .any(|node| matches!(node.op, Op::Activation { kind } if [HSwish, ActivationKind::HSigmoid].contains(&kind)));
                assert_eq!(float.is_empty(), !functions, "{float:?} in\n{graph}");
            }
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
    check_graph(&b.finish(x), &scheme_7bit(), 99);
}

#[test]
#[cfg_attr(not(have_ort), ignore = "no ONNX Runtime: run cargo xtask setup")]
fn a_sum_and_its_relu_are_one_operator() {
    let mut b = GraphBuilder::new(Shape::square(8, 6));
    let x = b.input();
    let y = b.conv_bn("a", x, ConvSpec::new(8, 3));
    let y = b.add("sum", y, x);
    let y = b.act("act", y, ActivationKind::Relu);
    let (float, _) = check_graph(&b.finish(y), &scheme_7bit(), 5);
    assert_eq!(float, Vec::<String>::new());
}
