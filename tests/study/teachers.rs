//! Teachers from outside.

use std::{fs, path::Path};

use serde_json::Value;

use crate::Place;

/// Names of the network's nodes, and others of the same length, by which no study calls its own.
const NAMES: [(&str, &str); 4] = [
    ("first_conv", "convolve_1"),
    ("stage1", "layers"),
    ("stage2", "blocks"),
    ("logits", "answer"),
];

/// Puts others into the place of names of the same length.
fn renamed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (name, other) in NAMES {
        let starts: Vec<usize> = bytes
            .windows(name.len())
            .enumerate()
            .filter_map(|(at, window)| (window == name.as_bytes()).then_some(at))
            .collect();
        for at in starts {
            bytes[at..at + name.len()].copy_from_slice(other.as_bytes());
        }
    }
    bytes
}

/// A trained network for seven classes: a study's teacher under other names, whose last layer is another's.
fn network(place: &Place, folder: &Path) {
    place.finish(&["teach"]);
    let teacher = place.run_folder().join("teacher");
    fs::create_dir(folder).unwrap();
    let weights = fs::read(teacher.join("weights.safetensors")).unwrap();
    fs::write(folder.join("weights.safetensors"), renamed(&weights)).unwrap();
    let graph = renamed(&fs::read(teacher.join("graph.json")).unwrap());
    let mut graph: Value = serde_json::from_slice(&graph).unwrap();
    let nodes = graph["nodes"].as_array_mut().unwrap();
    let last = nodes.last_mut().unwrap();
    assert_eq!(last["op"], "linear");
    last["out_features"] = 7.into();
    fs::write(folder.join("graph.json"), graph.to_string()).unwrap();
}

#[test]
fn a_network_for_other_classes_is_fine_tuned_and_teaches() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study");
    let text = fs::read_to_string(folder.join("tiny.toml")).unwrap();
    fs::copy(folder.join("tiny-space.toml"), place.folder.path().join("tiny-space.toml")).unwrap();
    network(&place, &place.folder.path().join("network"));
    let study = place.folder.path().join("outside.toml");
    let with = |more: &str| {
        let fields = format!("[teach]\nmodel = \"network\"\n{more}");
        let text = text.replace("name = \"tiny\"", "name = \"outside\"");
        fs::write(&study, text.replace("[teach]\nwidths = [16, 24]\n", &fields)).unwrap();
        let output = place.command(&["run", "--json"], &study).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, refused) = with("stages = [\"a\", \"b\", \"c\"]\n");
    assert_eq!(code, Some(2), "{refused}");
    assert!(refused.contains("[teach] stages: the network has no node `a`"), "{refused}");

    let phase = "steps = 30, batch = 32, learning_rate = 0.05, checkpoint_steps = 5";
    let (code, report, said) = with(&format!("finetune = {{ {phase} }}\n"));
    assert_eq!(code, Some(0), "{said}");
    let ends = "its stem and stages end with convolve_1.0.conv.act, layers.1.sum, blocks.0.sum";
    assert!(said.contains(ends), "{said}");
    let line = |start: &str| -> f64 {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let (before, after) = (line("teacher before fine-tuning: "), line("teacher: "));
    assert!(before < 40.0 && after > before + 20.0, "{said}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let held_out = report["teacher_held_out_accuracy"].as_f64().unwrap();
    assert!((100.0 * held_out - after).abs() < 0.01, "{said}");
    let held_out_before = report["teacher_before"]["held_out"].as_f64().unwrap();
    assert!((100.0 * held_out_before - before).abs() < 0.01, "{said}");
    assert!(!report["budgets"].as_array().unwrap().is_empty());
}
