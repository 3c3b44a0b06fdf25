//! `model import`: networks of others become folders, or it is said what of them is not known.

use std::fs;

use serde_json::Value;
use spacewright_core::graph::Graph;

use super::{Models, models};

/// Names in a folder.
fn names(models: &Models) -> Vec<String> {
    let entries = fs::read_dir(models.path("")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_network_becomes_a_folder() {
    let models = Models::new().with("net.onnx", models::classifier());
    let out = models.path("made/net");
    let import = format!("model import --out {}", out.display());
    let report = models.json(&import, "net.onnx");
    assert_eq!((&report["format"], &report["softmax"]), (&"ONNX".into(), &true.into()));
    assert_eq!((report["params"].as_u64(), report["macs"].as_u64()), (Some(248), Some(7808)));
    let agreement = &report["agreement"];
    assert!(agreement["relative_error"].as_f64().unwrap() <= 1e-4, "{agreement}");
    assert!(agreement["runtime"].as_str().unwrap().starts_with("ONNX Runtime "), "{agreement}");
    let graph = fs::read_to_string(out.join("graph.json")).unwrap();
    let graph: Graph = serde_json::from_str(&graph).unwrap();
    let kinds: Vec<&str> = graph.nodes.iter().map(|node| node.op.kind().name()).collect();
    assert_eq!(kinds, ["conv2d", "swish", "global_avg_pool", "linear"]);
    let weights = fs::read(out.join("weights.safetensors")).unwrap();
    assert!(weights.len() > 4 * 248);
    let page = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(page.starts_with("# case\n") && page.contains("from `net.onnx`"), "{page}");
    assert!(page.contains("what comes out are logits"), "{page}");

    // It is not written over.
    let again = models.run(&import, "net.onnx");
    assert_eq!(again.code, 2, "{}", again.stdout);
    assert!(again.stderr.contains("made/net: it is there already"), "{}", again.stderr);
}

#[test]
fn what_is_not_known_is_named_and_nothing_is_left() {
    let models = Models::new().with("net.onnx", models::unknown_nodes());
    let models = models.with("text.onnx", "no model").with("net.bin", [0; 64]);
    let models = models.with("outside.onnx", models::external("../weights", 0, 864));
    let before = names(&models);
    let refused = |model: &str| {
        let out = models.path("out");
        let ran = models.run(&format!("model import --out {}", out.display()), model);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{model}: {}", ran.stderr);
        ran.stderr
    };
    let text = refused("net.onnx");
    assert!(text.contains("net.onnx: 2 of its nodes cannot be imported"), "{text}");
    assert!(text.contains("LeakyRelu `a`") && text.contains("Tanh `b`"), "{text}");
    assert!(refused("text.onnx").contains("this is no ONNX file"));
    assert!(refused("net.bin").contains("no format that is known: ONNX"));
    assert!(refused("outside.onnx").contains("not below the folder of the model"));
    assert!(refused("not-there.onnx").contains("not-there.onnx: "));
    assert_eq!(names(&models), before);
}

#[test]
fn open_sizes_are_asked_for() {
    let models = Models::new().with("net.onnx", models::open_sizes());
    let out = models.path("out");
    let import = format!("model import --out {}", out.display());
    let text = models.run(&import, "net.onnx").stderr;
    assert!(text.contains("leaves sizes open") && text.contains("--size H=N"), "{text}");
    let report: Value = models.json(&format!("{import} --size H=8 --size x:3=6"), "net.onnx");
    assert_eq!(report["input"], serde_json::json!({"channels": 3, "height": 8, "width": 6}));

    let quantize = format!("model quantize --data . --out {}", models.path("int8").display());
    let refused = models.run(&format!("{quantize} --size H=8 --size x:3=6"), "net.onnx");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("net.onnx: images of 3x8x6"), "{}", refused.stderr);
}
