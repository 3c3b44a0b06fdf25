//! `model quantize`: networks that no study made.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{Place, tiny};

/// Grey pictures, six of each class to train on and two to test on.
fn write_set(folder: &Path, classes: usize) {
    for index in 0..8 * classes {
        let (class, number) = (index % classes, index / classes);
        let part = if number < 6 { "train" } else { "test" };
        let path = folder.join(format!("{part}/class-{class}/{number}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 24, 24);
        encoder.set_color(png::ColorType::Grayscale);
        let pixel = |at: usize| ((at * (class + 2) + 7 * number) % 256) as u8;
        let pixels: Vec<u8> = (0..24 * 24).map(pixel).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }
}

#[test]
fn a_network_is_quantized_and_stands_beside_what_it_was() {
    let place = Place::new();
    place.finish(&["teach"]);
    let path = |name: &str| place.folder.path().join(name);
    write_set(&path("ten"), 10);
    write_set(&path("four"), 4);
    let run = |data: &str, out: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
        command.args(["--threads", "1", "--quiet", "model", "quantize"]);
        command.arg(place.run_folder().join("teacher"));
        command.arg("--data").arg(path(data)).arg("--out").arg(path(out)).args(more);
        command.env("SPACEWRIGHT_HOME", path("home"));
        command.env("OMP_WAIT_POLICY", "passive").env("OMP_NUM_THREADS", "1");
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let values = ["--mean", "0.5", "--std", "0.25"];
    let json = [&values[..], &["--json", "--calibration-images", "40"]].concat();
    let (code, stdout, stderr) = run("ten", "out", &json);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let number =
        |field: &str| report[field].as_f64().unwrap_or_else(|| panic!("{field}: {report}"));
    assert_eq!((number("images"), number("classes")), (20.0, 10.0));
    assert!(number("identical_predictions") >= 0.8, "{report}");
    assert!((number("fp32_accuracy") - number("int8_accuracy")).abs() <= 0.2, "{report}");
    assert!(number("checked_integers") > 1000.0 && number("int8_bytes") > 1000.0, "{report}");
    assert_eq!(report["wrong_operators"], serde_json::json!([]));
    for latency in ["fp32_latency", "int8_latency"] {
        assert!(report[latency]["min_ms"].as_f64().unwrap() > 0.0, "{report}");
    }
    // The files say how images are prepared.
    let classify = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
        command.args(["--json", "model", "run"]).arg(path("out").join(file));
        let output = command.arg(path("ten/test/class-3/7.png")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["images"][0]["classes"][0]["class"].as_str().unwrap().to_owned()
    };
    assert!(classify("fp32.onnx").starts_with("class-"));
    assert!(classify("int8.onnx").starts_with("class-"));

    // A file of Spacewright's says so to `model quantize`, too.
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    command.args(["--threads", "1", "--quiet", "--json", "model", "quantize"]);
    command.arg(path("out/fp32.onnx")).arg("--data").arg(path("ten"));
    command.arg("--out").arg(path("again")).env("SPACEWRIGHT_HOME", path("home"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    for same in ["preprocessing", "fp32_accuracy"] {
        assert_eq!(again[same], report[same], "{same}");
    }
    assert!(again["calibration_images"].as_u64().unwrap() <= 60, "{again}");

    assert_eq!(
        (&report["classes_by_position"], &again["classes_by_position"]),
        (&true.into(), &false.into())
    );

    // Of a set with some of the classes that the file names, what is right goes by name.
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    command.args(["--threads", "1", "--quiet", "--json", "model", "quantize"]);
    command.arg(path("out/fp32.onnx")).arg("--data").arg(path("four"));
    command.arg("--out").arg(path("some")).env("SPACEWRIGHT_HOME", path("home"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let some: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(some["fp32_accuracy"].is_number(), "{some}");
    let named = |file: &str| {
        let bytes = fs::read(path(file)).unwrap();
        bytes.windows(15).any(|window| window == b"class-8\nclass-9")
    };
    assert!(named("out/fp32.onnx") && named("some/fp32.onnx"));

    // Trained with quantizers, it answers at least about as well; the figures of before are kept.
    let steps = ["--steps", "6", "--batch", "8", "--learning-rate", "1e-4", "--json"];
    let (code, stdout, stderr) = run("ten", "trained", &[&values[..], &steps].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let trained: Value = serde_json::from_str(&stdout).unwrap();
    let before = &trained["before_training"];
    assert!(before["identical_predictions"].as_f64().unwrap() > 0.5, "{trained}");
    assert!(trained["identical_predictions"].as_f64().unwrap() > 0.5, "{trained}");
    assert_eq!(trained["wrong_operators"], serde_json::json!([]));
    assert_ne!(
        fs::read(path("trained/int8.onnx")).unwrap(),
        fs::read(path("out/int8.onnx")).unwrap()
    );
    assert_eq!(
        fs::read(path("trained/fp32.onnx")).unwrap(),
        fs::read(path("out/fp32.onnx")).unwrap()
    );

    // Of other classes nothing can be said to be right.
    let (code, text, stderr) = run("four", "other", &values);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        text.contains("classes  both give the same one to ") && text.contains(" of 8 test images"),
        "{text}"
    );
    let json = [&values[..], &["--json"]].concat();
    let (_, stdout, _) = run("four", "once-more", &json);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["fp32_accuracy"], &report["int8_accuracy"]), (&Value::Null, &Value::Null));

    let (code, _, stderr) = run("ten", "out", &values);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("out: it is there already"), "{stderr}");
    let (code, _, stderr) = run("ten", "new", &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("images are grey, and ImageNet's mean"), "{stderr}");
    assert!(!path("new").exists());
}

#[test]
fn a_rival_stands_beside_the_networks_of_a_study() {
    let place = Place::new();
    place.finish(&["teach"]);
    let path = |name: &str| place.folder.path().join(name);
    let text = fs::read_to_string(tiny()).unwrap();
    fs::copy(tiny().with_file_name("tiny-space.toml"), path("tiny-space.toml")).unwrap();
    // Another run's teacher, as a network that somebody trained for the same classes.
    fs::create_dir(path("rival")).unwrap();
    for name in ["graph.json", "weights.safetensors"] {
        let from = place.run_folder().join("teacher").join(name);
        fs::copy(from, path("rival").join(name)).unwrap();
    }
    let study = path("rivalled.toml");
    let run = |rivals: &str, arguments: &[&str]| {
        let text = text.replace("name = \"tiny\"", "name = \"rivalled\"");
        let phase = "{ steps = 4, batch = 16, learning_rate = 1e-4, checkpoint_steps = 2 }";
        let report = format!("[report]\nrivals = [{rivals}]\nrival_training = {phase}\n");
        fs::write(&study, format!("{text}\n{report}")).unwrap();
        let output = place.command(arguments, &study).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let refused = |rivals: &str, reason: &str| {
        let (code, _, stderr) = run(rivals, &["run"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("[report] rivals: ") && stderr.contains(reason), "{stderr}");
    };
    refused("\"nowhere\"", "there is no file");
    refused("\"rival/graph.json\"", "is a file");
    let graph = fs::read_to_string(path("rival/graph.json")).unwrap();
    let mut other: Value = serde_json::from_str(&graph).unwrap();
    other["nodes"].as_array_mut().unwrap().last_mut().unwrap()["out_features"] = 7.into();
    fs::write(path("rival/graph.json"), other.to_string()).unwrap();
    refused("\"rival\"", "rival: it gives 7x1x1 for 10 classes");
    fs::write(path("rival/graph.json"), graph).unwrap();

    let (code, stdout, stderr) = run("\"rival\"", &["run", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let rival = &report["rivals"][0];
    let number = |field: &str| rival[field].as_f64().unwrap_or_else(|| panic!("{field}: {rival}"));
    assert_eq!((&rival["model"], number("images")), (&"rival".into(), 60.0));
    let teacher = report["teacher_accuracy"].as_f64().unwrap();
    assert!((number("fp32_accuracy") - teacher).abs() < 0.02, "{rival}");
    assert!(number("int8_ms") > 0.0 && number("fp32_ms") > 0.0 && number("checked_integers") > 0.0);
    assert_eq!(rival["wrong_operators"], serde_json::json!([]));
    assert!(rival["before_training"]["int8_accuracy"].is_number(), "{rival}");
    assert!(rival["against"]["at_least"].is_boolean(), "{rival}");
    let table = fs::read_to_string(path("runs/rivalled/networks.csv")).unwrap();
    let own = report["budgets"].as_array().unwrap().len();
    assert_eq!(table.lines().count(), 1 + own + 1, "{table}");
    assert!(table.lines().last().unwrap().starts_with("rival,true,"), "{table}");
    let plot = fs::read_to_string(path("runs/rivalled/networks.svg")).unwrap();
    assert_eq!(plot.matches("<circle").count(), own + 1);

    // Without it nothing but the report is made anew.
    let (code, text, stderr) = run("", &["run"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!text.contains("rivals") && stderr.contains("report: finished"), "{stderr}");
    assert!(!stderr.contains("export: finished"), "{stderr}");
}
