//! The written files in TFLite's Python interpreter, a reader that is not ours: it opens all of
//! them, and its reference kernels give the executor's integers, every one.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use spacewright_core::{
    graph::{ActivationKind, Graph, GraphBuilder, Op, Pool, Shape},
    operators::Operators,
    quant::{IntegerNetwork, Rounding, Scheme, check},
    target::{ModelInfo, ModelOutputs},
};
use spacewright_measure::testing::{
    blocks, branches, quantized, random_image, random_weights, rng, windows,
};
use spacewright_tflite::{scheme, write_integer};

fn graphs() -> Vec<Graph> {
    let mut graphs = blocks(&Operators::new(spacewright_operators_cnn::operator_sets()).unwrap());
    let mut b = GraphBuilder::new(Shape::new(8, 9, 9));
    let pool = Pool { kernel: 3, stride: 1, padding: 1 };
    let x = b.node("avg", Op::AvgPool(pool), &[b.input()]);
    let y = b.node("max", Op::MaxPool(pool), &[x]);
    let y = b.act("relu6", y, ActivationKind::Relu6);
    let y = b.add("sum", x, y);
    graphs.push(b.finish(y));
    graphs.push(branches());
    graphs.push(windows());
    graphs
}

/// One line of output per file.
fn interpret(pairs: &[(String, String)]) -> Vec<BTreeMap<String, Vec<i32>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference.py");
    let mut command = Command::new("python3");
    command.arg(script);
    for (model, image) in pairs {
        command.args([model, image]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[cfg_attr(not(have_litert_python), ignore = "python3 has no ai_edge_litert: cargo xtask test")]
fn reference_kernels_give_the_integers_of_the_executor() {
    let scheme = Scheme { rounding: Rounding::FixedPoint, ..scheme() };
    let folder = tempfile::tempdir().unwrap();
    let mut networks: Vec<IntegerNetwork> = Vec::new();
    let mut pairs = Vec::new();
    let mut inputs = Vec::new();
    for (seed, graph) in graphs().iter().enumerate() {
        let mut rng = rng(seed as u64);
        let weights = random_weights(graph, &mut rng);
        let image = random_image(graph.input, &mut rng);
        let network = quantized(graph, &weights, &image, &scheme);
        let file = write_integer(&network, &ModelInfo::default(), ModelOutputs::Integers).unwrap();
        let input = network.run(&image).unwrap()["input"].integers.clone();
        let Shape { channels, height, width } = graph.input;
        let area = height * width;
        let last = (0..input.len()).map(|i| input[(i % channels) * area + i / channels]);
        let bytes: Vec<u8> = last.map(|q| q.wrapping_sub(128)).collect();
        let path = |ending: &str| folder.path().join(format!("{seed}.{ending}"));
        fs::write(path("tflite"), file).unwrap();
        fs::write(path("bin"), bytes).unwrap();
        let text = |ending: &str| path(ending).to_str().unwrap().to_owned();
        pairs.push((text("tflite"), text("bin")));
        networks.push(network);
        inputs.push(input);
    }
    let found = interpret(&pairs);
    assert_eq!(found.len(), networks.len());
    for ((network, input), values) in networks.iter().zip(inputs).zip(found) {
        let unsigned = |values: Vec<i32>| values.into_iter().map(|q| (q + 128) as u8).collect();
        let mut observed: BTreeMap<String, Vec<u8>> =
            values.into_iter().map(|(name, values)| (name, unsigned(values))).collect();
        observed.insert("input".into(), input);
        for result in check(network, &observed).unwrap() {
            assert_eq!(result.equal, result.elements, "{result:?} in\n{}", network.graph);
        }
    }
}
