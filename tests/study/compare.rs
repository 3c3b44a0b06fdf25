//! Two runtimes: one study's tables for several targets, networks in both formats, side by side.

use std::{fs, path::Path, slice};

use serde_json::Value;

use super::{Place, check_schema};

fn study(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study").join(format!("{name}.toml"))
}

impl Place {
    /// Runs a command on studies; standard output and standard error.
    fn on(&self, arguments: &[&str], studies: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments, &study(studies[0]));
        command.args(studies[1..].iter().map(|name| study(name)));
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn inspect(&self, file: &Path) -> Value {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_spacewright"))
            .args(["model", "inspect", "--json", "--quiet"])
            .arg(file)
            .env("SPACEWRIGHT_HOME", self.home())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn spaces_for_two_runtimes_and_for_both_stand_side_by_side() {
    let place = Place::new();
    let studies = ["tiny", "tiny-litert", "tiny-both"];
    let (code, stdout, stderr) = place.on(&["study", "compare", "--json"], &studies);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    check_schema("compare", slice::from_ref(&report));
    assert_eq!(report["targets"], serde_json::json!(["host-ort", "host-litert"]));
    let rows = report["studies"].as_array().unwrap();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row["study"], studies[at]);
        assert_eq!(row["stages"].as_array().unwrap().len(), 2);
        for network in row["networks"].as_array().unwrap() {
            for on in network["on"].as_array().unwrap() {
                assert!(on["ms"].as_f64().unwrap() > 0.0, "{on}");
            }
        }
    }
    for (at, matched) in report["matched"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            (&matched["target"], &matched["reference"]),
            (&report["targets"][at], &rows[at]["study"])
        );
        assert!(!matched["limits"].as_array().unwrap().is_empty(), "{matched}");
    }
    assert!(rows[0]["costs"].as_array().unwrap().iter().any(|cost| cost["step"] == "distil"));
    let speed_up = |row: usize, target: usize| &rows[row]["deployed"][target]["speed_up"];
    assert_eq!((speed_up(0, 0), speed_up(1, 1)), (&Value::from(1.0), &Value::from(1.0)));
    let lost = rows[2]["lost"].as_object().unwrap();
    assert_eq!(lost.len(), 2);
    assert!(lost.values().all(|lost| lost.as_f64().unwrap() > -1e-9), "{lost:?}");

    // One teacher, one set of quality tables.
    let runs = place.folder.path().join("runs");
    assert!(runs.join("tiny/teacher/weights.safetensors").exists());
    assert!(!runs.join("tiny-litert/teacher/weights.safetensors").exists());

    let (code, _, stderr) = place.on(&["study", "compare"], &["tiny"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("name another study file"), "{stderr}");

    let (code, stdout, stderr) = place.on(&["study", "blocks", "--json"], &studies);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    check_schema("blocks", slice::from_ref(&report));
    let of_studies = report["studies"].as_array().unwrap();
    for (study, row) in of_studies.iter().zip(rows) {
        assert_eq!((&study["study"], &study["space"]), (&row["study"], &row["space"]));
        assert_eq!(
            study["uniform"].as_array().unwrap().len(),
            report["blocks"].as_array().unwrap().len()
        );
    }
    assert_eq!((of_studies.len(), report["tau"].as_array().unwrap().len()), (3, 3));
    let (code, text, _) = place.on(&["study", "blocks"], &studies);
    assert_eq!(code, 0);
    for shown in ["block type everywhere", "by others", "space found"] {
        assert!(text.contains(shown), "{text}");
    }

    let page = place.folder.path().join("compared.html");
    let html = ["study", "compare", "--quiet", "--html", page.to_str().unwrap()];
    let (code, text, _) = place.on(&html, &studies);
    assert_eq!(code, 0);
    assert!(text.contains("on host-litert") && text.contains("tiny-both"), "{text}");
    assert!(text.contains(&format!("page: {}", page.display())), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<section ").count(), 7);
    assert!(page.contains("tiny-litert") && page.contains("spacewright study compare"), "{page}");
    // That command, and one for the page of each study.
    assert_eq!(page.matches(" --threads 1</code>").count(), 4);
    let nowhere = ["study", "compare", "--html", "there/is/no/folder.html"];
    let (code, _, stderr) = place.on(&nowhere, &studies);
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no folder for it"), "{stderr}");

    let report = fs::read_to_string(runs.join("tiny-litert/report.json"));
    assert!(report.is_err(), "comparing needs no report");
    let (code, _, stderr) = place.on(&["run", "--quiet"], &["tiny-litert"]);
    assert_eq!(code, 0, "{stderr}");
    let report = fs::read_to_string(runs.join("tiny-litert/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    for budget in report["budgets"].as_array().unwrap() {
        assert_eq!(budget["wrong_operators"], Value::Array(Vec::new()), "{budget}");
        assert_eq!(budget["float_operators"], Value::Array(Vec::new()), "{budget}");
        assert!(budget["file"].as_str().unwrap().ends_with(".tflite"));
    }
}

#[test]
fn networks_are_exported_in_every_format_and_can_be_looked_at() {
    let place = Place::new();
    let (code, _, stderr) =
        place.on(&["export", "--with-inputs", "--quiet", "--format", "tflite"], &["tiny"]);
    assert_eq!(code, 0, "{stderr}");
    let run = place.run_folder();
    for (file, kind) in
        [("network-0.int8.tflite", "CONV_2D"), ("network-0.int8.onnx", "QuantizeLinear")]
    {
        let model = place.inspect(&run.join(file));
        assert!(model["kinds"][kind].as_u64().unwrap() > 0, "{model}");
        assert!(model["measured"]["min_ms"].as_f64().unwrap() > 0.0, "{model}");
        assert_eq!(model["metadata"]["spacewright.study"], "tiny");
        assert!(model["metadata"]["spacewright.subnet"].as_str().unwrap().contains("_r"));
        assert_eq!(model["outputs"][0]["name"], "result");
    }
    let model = place.inspect(&run.join("network-0.int8.tflite"));
    assert_eq!(model["float_operators"], Value::Array(Vec::new()));

    let (code, _, stderr) = place.on(&["export", "--quiet", "--format", "caffe"], &["tiny"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("writes and runs `caffe` files"), "{stderr}");
    assert!(stderr.contains("known are"), "{stderr}");
}

#[test]
fn a_study_with_a_teacher_of_its_own_takes_what_knows_none() {
    let place = Place::new();
    let (code, stdout, stderr) =
        place.on(&["study", "blocks", "--json"], &["tiny", "tiny-teacher"]);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["studies"].as_array().unwrap().len(), 2, "{report}");
    let attempts = |name: &str, step: &str| {
        let (code, stdout, stderr) =
            place.on(&["study", "history", "--json", "--step", step], &[name]);
        assert_eq!(code, 0, "{stderr}");
        let history: Value = serde_json::from_str(&stdout).unwrap();
        history["steps"][0]["attempts"].clone()
    };
    for (step, is_taken) in [
        ("tables", true),
        ("train-mixed", true),
        ("teach", false),
        ("distil", false),
        ("correct", false),
    ] {
        let [base, own] = ["tiny", "tiny-teacher"].map(|name| attempts(name, step));
        assert!(!base.as_array().unwrap().is_empty(), "{step}");
        assert_eq!(base == own, is_taken, "{step}: {base} {own}");
    }
}

/// Losses rank block types by how well they copy the teacher, not by how fast they learn, where a study does not say how
/// long it distils.
#[test]
#[cfg_attr(not(spacewright_long), ignore = "takes minutes; SPACEWRIGHT_TEST_LONG asks for it")]
fn distilling_longer_than_by_default_ranks_block_types_alike() {
    let place = Place::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study");
    let at = |name: &str| place.folder.path().join(name);
    fs::copy(tests.join("tiny-space.toml"), at("tiny-space.toml")).unwrap();
    let tiny = fs::read_to_string(tests.join("tiny.toml")).unwrap();
    let (before, rest) = tiny.split_once("[distil]\n").unwrap();
    let (_, after) = rest.split_once("[evolve]\n").unwrap();
    let before = before
        .replace("distil_images = 96\njudge_images = 32", "distil_images = 180\njudge_images = 60");
    let studies = [
        ("brief", "fp32 = { steps = 56, batch = 64 }\nint8 = { steps = 18, batch = 64 }\n"),
        ("default", ""),
        ("long", "fp32 = { steps = 2400, batch = 16 }\nint8 = { steps = 300, batch = 16 }\n"),
    ];
    for (name, phases) in studies {
        let before = before.replace("name = \"tiny\"", &format!("name = \"{name}\""));
        let text = format!("{before}[distil]\n{phases}[evolve]\n{after}");
        fs::write(at(&format!("{name}.toml")), text).unwrap();
    }
    let mut command = place.command(&["study", "blocks", "--json"], &at("brief.toml"));
    let output = command.arg(at("default.toml")).arg(at("long.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tau = |a: usize, b: usize| report["tau"][a][b].as_f64().unwrap();
    let space = |study: usize| &report["studies"][study]["space"];
    assert_eq!((tau(1, 2), space(1)), (1.0, space(2)), "{report}");
    assert!(tau(0, 2) < 1.0, "so few steps should not do on this problem: {report}");
}
