//! Study files.

use std::{fs, path::Path};

use super::{json, refusal, text};

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let studies = entries.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    studies.map(|path| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn all_examples_are_valid_studies() {
    let runs = tempfile::tempdir().unwrap();
    let examples = examples();
    assert!(examples.len() >= 3);
    for example in examples {
        let study = json(&format!("study show {example} --runs {}", runs.path().display()));
        let steps = study["steps"].as_array().unwrap();
        let of_a_run = steps.iter().filter(|step| step["extra"] == false).count();
        assert_eq!((of_a_run, steps.len()), (8, 12), "{example}");
    }
}

#[test]
fn every_field_is_explained() {
    let sections = json("study schema")["sections"].as_array().unwrap().clone();
    assert!(sections.len() >= 9);
    for section in &sections {
        for field in section["fields"].as_array().unwrap() {
            assert!(!field["summary"].as_str().unwrap().is_empty(), "{section}");
        }
    }
    assert!(text("study explain train").contains("teacher_share"));
    assert!(refusal("study explain trian").contains("no section `trian`"));
}

#[test]
fn mistakes_in_a_study_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.toml");
    let check = |from: &str, to: &str, part: &str| {
        let example = include_str!("../../examples/smoke.toml");
        fs::write(&path, example.replace(from, to)).unwrap();
        let error = refusal(&format!("study show {}", path.display()));
        assert!(error.contains(part), "{error}");
    };
    check("population = 6", "poplation = 6", "poplation");
    check("[teach]", "[taech]", "taech");
    check("target = \"host-ort\"", "target = \"host-otr\"", "did you mean `host-ort`?");
    check("evaluations = 100", "evaluations = 100\nstrategy = \"luck\"", "[evolve] strategy");
    check(
        "score = { draws",
        "score = { drows",
        "[evolve] score: options of `q-t`: unknown field `drows`",
    );
    check("check_images = 2", "post_training = \"magic\"", "[export] post_training");
    check("phase = { steps = 40 }", "phase = { steps = 0 }", "`phase.steps` must be at least 1");
    check("phase = { steps = 40 }", "block = \"resnte\"", "resnte");
    check("[search]", "[rivals]\nrandom = \"mini-99-00\"\n[search]", "[rivals]: `mini-99-00`");
    check("[search]", "[rivals]\nmanual = [\"resnte\"]\n[search]", "[rivals]: no block type");
    check("held_out = 200", "held_out = 0", "`held_out` of [data] must be positive");
}

#[test]
fn targets_say_what_they_are() {
    let targets = json("target list")["targets"].as_array().unwrap().clone();
    let names: Vec<&str> = targets.iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["host-litert", "host-ort", "host-ort-pairs"]);
    let target = json("target inspect host-ort");
    assert_eq!(target["target"]["scheme"]["dense_weights"], "bits7");
}
