//! Every file of the corpus, and small changes of it, through the function that it is for.

#[path = "../../core/engine/tests/hostile/guest.rs"]
#[allow(dead_code)]
mod guest;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng, SeedableRng};
use rand_pcg::{Pcg64, Pcg64Mcg};
use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Shape},
    latency::{GraphColumns, Latency, LatencyQuery, Position, Precision},
    operators::{BlockConfig, BlockRequest},
    quant::fold_float,
    sealed::{seal, seal_line},
    target::{ModelInfo, TargetDescription},
};
use spacewright_engine::LatencyCache;
use spacewright_fuzz::{TARGETS, Target};
use spacewright_measure::testing::random_weights;
use spacewright_plugin::{
    About,
    native::protocol::{Answer, Request, encode},
};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// A byte changed, a part cut out or doubled.
fn change(bytes: &mut Vec<u8>, rng: &mut Pcg64Mcg) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..16)).min(bytes.len());
    match rng.random_range(0..4) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => drop(bytes.drain(at..end)),
        _ => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

fn replay(name: &str, changes: usize) {
    let target: Target = TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut rng = Pcg64Mcg::seed_from_u64(0);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        target(&bytes);
        for _ in 0..changes {
            let mut changed = bytes.clone();
            (0..rng.random_range(1..4)).for_each(|_| change(&mut changed, &mut rng));
            target(&changed);
        }
    }
}

#[test]
fn graphs() {
    replay("graph", 400);
}

#[test]
fn hyperspaces() {
    replay("hyperspace", 400);
}

#[test]
fn answers() {
    replay("answer", 2000);
}

#[test]
fn columns() {
    replay("columns", 2000);
}

#[test]
fn spreadsheets() {
    replay("blocks", 1000);
}

#[test]
fn images() {
    replay("image", 300);
}

#[test]
fn sets_of_images() {
    replay("idx", 500);
    replay("cifar", 100);
    replay("shard", 200);
}

#[test]
fn data_bases() {
    replay("latencies", 30);
}

#[test]
fn onnx_files() {
    replay("onnx", 1000);
}

#[test]
fn sealed_bytes() {
    replay("sealed", 2000);
}

#[test]
fn studies() {
    replay("study", 200);
}

#[test]
fn tflite_files() {
    replay("tflite", 1000);
}

#[test]
fn components() {
    replay("component", 60);
}

fn graphs_of_blocks() -> Vec<(String, Graph)> {
    let mut graphs = Vec::new();
    for set in spacewright_operators_cnn::operator_sets() {
        for block in set.block_types() {
            let config = BlockConfig(block.axes.iter().map(|axis| (axis.clone(), 3.0)).collect());
            let request = BlockRequest::probe(&block.name, ActivationKind::HSwish, config);
            if let Ok(mut answer) = set.graphs(&[request]) {
                graphs.push((block.name, answer.remove(0)));
            }
        }
    }
    graphs
}

/// What readers of files begin with.
fn write_files(write: impl Fn(&str, &str, &[u8])) {
    let table = "block,input_hw,cin,cout,kernel,expand,stride,activation,latency_ms\n\
        resnet,14,96,112,5,2.0,1,relu,0.912\n\"MobileNetV1\",\"28\",16,24,3,None,2,h_swish,\"0.1\"\n";
    write("blocks", "plain", table.as_bytes());
    write("blocks", "semicolons", format!("\u{feff}{}", table.replace(',', ";")).as_bytes());
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 12]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 1, 0];
    write("idx", "pair", &[&[labels.len() as u8][..], &labels, &images].concat());
    write("cifar", "record", &[7; 3073]);
    write_images(&write);
    write("sealed", "bytes", &seal(b"content".to_vec()));
    write("sealed", "line", seal_line("[\"a\", 0.5]").as_bytes());
    for study in ["smoke", "quickstart", "spaces"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{study}.toml"));
        write("study", study, &fs::read(file).unwrap());
    }
    let home = tempfile::tempdir().unwrap();
    drop(LatencyCache::open(home.path()).unwrap());
    write("latencies", "empty", &fs::read(home.path().join("latency.sqlite")).unwrap());

    let mut b = GraphBuilder::new(Shape::square(1, 8));
    let x = b.conv_bn_act("first", b.input(), ConvSpec::new(4, 3).stride(2), ActivationKind::Relu);
    let x = b.global_avg_pool("pool", x);
    let x = b.linear("logits", x, 3);
    let graph = b.finish(x);
    let weights = random_weights(&graph, &mut Pcg64::seed_from_u64(1));
    let network = fold_float(&graph, &weights).unwrap();
    let info = ModelInfo { name: "seed".into(), ..ModelInfo::default() };
    write("tflite", "float", &spacewright_tflite::write_float(&network, &info).unwrap());
    let targets = spacewright_host_ort::targets();
    let onnx = targets[0].runtime().unwrap().write_float(&network, &info).unwrap();
    write("onnx", "float", &onnx);
}

fn write_images(write: &impl Fn(&str, &str, &[u8])) {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/data/tests/files");
    for file in fs::read_dir(&files).unwrap() {
        let file = file.unwrap();
        write("image", file.file_name().to_str().unwrap(), &fs::read(file.path()).unwrap());
    }
    let png = fs::read(files.join("palette.png")).unwrap();
    let mut shard = tar::Builder::new(Vec::new());
    for (name, content) in
        [("000.png", &png[..]), ("000.cls", b"1"), ("001.json", b"{\"label\": 0}")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        shard.append_data(&mut header, name, content).unwrap();
    }
    write("shard", "two", &shard.into_inner().unwrap());
}

#[test]
#[ignore = "writes the first files of the corpus anew"]
fn write_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let graphs = graphs_of_blocks();
    for (name, graph) in &graphs {
        write("graph", name, graph.to_string().as_bytes());
    }
    write("component", "latency-source", &guest::Guest::default().component());
    let template = include_str!("../../sdk/templates/rust/hyperspace.toml.in");
    let hyperspace = template.replace("{{word}}", "seed").replace("{{summary}}", "A seed");
    write("hyperspace", "template", hyperspace.as_bytes());
    let about =
        About { name: "seed".into(), version: "1.0.0".into(), summary: "For fuzzing".into() };
    let answers = [
        ("about", Answer::About(about)),
        ("graphs", Answer::Graphs(vec![graphs[0].1.to_string()])),
        ("latencies", Answer::Latencies(vec![Latency::predicted(0.5); 3])),
        ("scales", Answer::Affine(vec![(0.5, -1.0), (0.25, 0.0)])),
        (
            "target",
            Answer::Target(Box::new(TargetDescription::modelled("seed", "A seed", "onnx")), true),
        ),
    ];
    for (name, answer) in answers {
        write("answer", name, &encode(&answer).unwrap());
    }
    write_files(write);
    let query = |(_, graph): &(String, Graph)| LatencyQuery {
        graph: graph.clone(),
        precision: Precision::Int8,
        position: Position::Inside,
    };
    let queries: Vec<LatencyQuery> = graphs.iter().take(3).map(query).collect();
    let batch = GraphColumns::of(&queries).unwrap();
    write("columns", "batch", &encode(&batch).unwrap());
    write("columns", "request", &encode(&Request::Latencies(Box::new(batch))).unwrap());
}
