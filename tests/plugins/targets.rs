//! The targets that come with the project, loaded as files, and what predicts their latencies.

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;
use spacewright_core::{
    graph::{ActivationKind, ConvSpec, GraphBuilder, Shape, WeightSpec},
    quant::{FloatNetwork, TensorData},
    target::ModelInfo,
};

use crate::place::Place;

/// The library of a native plugin of this build, trusted and installed.
fn install(place: &Place, name: &str) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_spacewright"));
    let file = format!("lib{}.{}", name.replace('-', "_"), std::env::consts::DLL_EXTENSION);
    let library = program.parent().unwrap().join("deps").join(file);
    place.text(&format!("plugin trust {} --yes", library.display()));
    place.text(&format!("plugin install {}", library.display()));
}

/// Space and encoding of a network of a hyperspace.
fn network(hyperspace: &str) -> &'static str {
    match hyperspace {
        "mini" => {
            "--space mini-4441-1111 \
             d1#1#2#1#1_k3#3#3#3#3#3_w16#20#40#48#96#112_e0#2.0#2.0#1.0#2.0#2.0_r32"
        }
        _ => {
            "--space onnxw-151122-023231 \
             d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3\
             _w16#16#32#32#64#64#112#112#144#144#240#240#320\
             _e0#0.5#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r160"
        }
    }
}

fn share(of: &Value, field: &str) -> f64 {
    of[field].as_f64().unwrap_or_else(|| panic!("no `{field}` in {of}"))
}

fn is_predicted_by_kernels(place: &Place, target: &str) -> Value {
    sums_up(place.json(&format!("target predict {target} {}", network("onnxw"))), 20)
}

/// A prediction whose kernels, more than so many, and rest are the whole.
fn sums_up(predicted: Value, more_than: usize) -> Value {
    let kernels = predicted["kernels"].as_array().unwrap();
    let sum: f64 = kernels.iter().map(|kernel| share(kernel, "ms")).sum();
    let (ms, rest) = (share(&predicted, "ms"), share(&predicted, "rest_ms"));
    assert!(kernels.len() > more_than && (sum + rest - ms).abs() < 1e-9 * ms, "{predicted}");
    predicted
}

#[test]
fn intel_vnni_predicts_and_states_how_well() {
    let place = Place::new();
    install(&place, "intel-vnni");
    let listed = place.text("target list");
    assert!(listed.contains("92.7% within 10%, median 2.2%"), "{listed}");
    let inspected = place.text("target inspect intel-vnni");
    assert!(inspected.contains("with a width that the fit never saw"), "{inspected}");
    let predicted = is_predicted_by_kernels(&place, "intel-vnni");
    let interval = &predicted["interval"];
    assert!(share(interval, "low_ms") < share(&predicted, "ms"));
    assert!(share(&predicted, "ms") < share(interval, "high_ms"));

    // Two published figures; a convolution stands in for the classifier.
    let rows = "block,input_hw,cin,cout,kernel,expand,stride,activation,latency_ms\n\
        FeatureMix,7,1280,1920,1,None,1,hswish,0.291\n\
        FinalExpand,7,320,1280,1,None,1,hswish,0.360\n";
    fs::write(place.path().join("rows.csv"), rows).unwrap();
    let evaluated = place.json("target evaluate intel-vnni --blocks rows.csv");
    assert_eq!(evaluated["rows"], 2);
    assert!(share(&evaluated, "mape") < 0.1, "{evaluated}");
    assert_eq!(evaluated["by"]["feature-mix"]["rows"], 1);
    let (code, error) = place.failure("target evaluate intel-vnni --networks 2 --hyperspace mini");
    assert!(code == 2 && error.contains("does not measure"), "{error}");
    let predict = format!("target predict intel-vnni --precision fp32 {}", network("onnxw"));
    let (code, error) = place.failure(&predict);
    assert!(code == 2 && error.contains("predicts int8 only"), "{error}");
    let (_, error) = place.failure("profile --target intel-vnni");
    assert!(error.contains("known in int8 only"), "{error}");
}

#[test]
#[cfg_attr(
    not(spacewright_tables),
    ignore = "SPACEWRIGHT_TABLES names no folder of published tables"
)]
fn predictions_are_near_what_was_published() {
    let tables = PathBuf::from(option_env!("SPACEWRIGHT_TABLES").unwrap_or_default());
    let place = Place::new();
    install(&place, "intel-vnni");
    install(&place, "pixel-arm");
    let file = tables.join("vnni-block-latency.csv");
    let vnni = place.json(&format!("target evaluate intel-vnni --blocks {}", file.display()));
    assert_eq!(vnni["rows"], 50_380);
    assert!(share(&vnni, "within_10") >= 0.92 && share(&vnni, "median_error") <= 0.023, "{vnni}");
    let folder = tables.join("spaceevo-block-lut");
    let pixel = place.json(&format!(
        "target evaluate pixel-arm --tables {} --hyperspace mobilew",
        folder.display()
    ));
    assert_eq!(pixel["rows"], 178_232);
    assert!(share(&pixel, "within_10") >= 0.995, "{pixel}");
    assert!(share(&pixel, "median_error") <= 0.005, "{pixel}");
}

#[test]
fn pixel_arm_measures_on_a_phone_and_predicts_without() {
    let place = Place::new();
    install(&place, "pixel-arm");
    is_predicted_by_kernels(&place, "pixel-arm");
    let model = [b"\0\0\0\0TFL3".as_slice(), &[0; 64]].concat();
    fs::write(place.path().join("model.tflite"), model).unwrap();
    let output = place
        .command("target measure model.tflite --target pixel-arm")
        .env("SPACEWRIGHT_ADB", place.path().join("no-adb"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("no-adb"), "{error}");
}

#[test]
fn networks_from_outside_are_predicted() {
    let place = Place::new();
    install(&place, "intel-vnni");
    let mut b = GraphBuilder::new(Shape::square(16, 28));
    let x = b.conv("expand", b.input(), ConvSpec::new(64, 1).bias());
    let x = b.act("act", x, ActivationKind::Relu);
    let x = b.conv("project", x, ConvSpec::new(24, 3).stride(2).bias());
    let graph = b.finish(x);
    let zeros = |spec: WeightSpec| {
        (spec.name.clone(), TensorData { data: vec![0.0; spec.elements()], shape: spec.shape })
    };
    let weights = graph.weights().unwrap().into_iter().map(zeros).collect();
    let network = FloatNetwork { graph, weights };
    let file = spacewright_host_ort::writer::write_float(&network, &ModelInfo::default());
    fs::write(place.path().join("net.onnx"), file.unwrap()).unwrap();
    let of_file = sums_up(place.json("target predict intel-vnni net.onnx"), 1);
    assert_eq!((&of_file["network"], &of_file["space"]), (&"net.onnx".into(), &Value::Null));
    place.text("model import net.onnx --out net");
    let of_folder = place.json("target predict intel-vnni net");
    assert_eq!(of_folder["ms"], of_file["ms"]);
    let (code, error) = place.failure("target predict intel-vnni not-there.onnx");
    assert!(code == 2 && error.contains("not-there.onnx: there is no such file"), "{error}");
}

#[test]
fn pixel_npu_is_marked_as_modelled() {
    let place = Place::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hardware-targets/pixel-npu");
    let built = place.json(&format!("plugin build {}", folder.display()));
    place.text(&format!("plugin install {}", built["file"].as_str().unwrap()));
    let listed = place.json("target list");
    let targets = listed["targets"].as_array().unwrap();
    let npu = targets.iter().find(|target| target["name"] == "pixel-npu").unwrap();
    assert_eq!(
        (&npu["latency"], npu["held_out"][0]["accuracy"]["rows"].as_u64()),
        (&"modelled".into(), Some(7))
    );
    is_predicted_by_kernels(&place, "pixel-npu");
    let text = place.text(&format!("target predict pixel-npu {}", network("onnxw")));
    assert!(text.contains("pixel-npu (modelled)"), "{text}");

    // A profile of predicted latencies takes no time.
    let profile =
        place.json("profile --quick --target pixel-npu --hyperspace mobilew --output out");
    let row = &profile["rows"][0];
    for field in ["fp32_ms", "int8_ms", "ratio"] {
        assert!(share(row, field) > 0.0);
    }
    let paragraph = profile["paragraph"].as_str().unwrap();
    assert!(paragraph.contains("mobilew") && paragraph.contains("pixel-npu (modelled)"));
    let lines = fs::read_to_string(place.path().join("out/profile.csv")).unwrap().lines().count();
    let rows = |of: &str| profile[of].as_array().unwrap().len();
    assert_eq!(lines, 1 + rows("rows") + rows("widths"));
    for plot in ["operators.svg", "widths.svg"] {
        let text = fs::read_to_string(place.path().join("out").join(plot)).unwrap();
        assert!(text.starts_with("<svg") && text.contains("pixel-npu (modelled)"), "{plot}");
    }
}

#[test]
fn measurements_become_a_target() {
    let place = Place::new();
    let mut rows =
        "block,input_hw,cin,cout,kernel,expand,stride,activation,latency_ms\n".to_owned();
    for width in (8..260).step_by(4) {
        for size in [7, 14] {
            let ms = 0.01 + (width * width * size * size) as f64 / 1e7;
            writeln!(rows, "conv,{size},{width},{width},1,None,1,relu,{ms}").unwrap();
        }
    }
    fs::write(place.path().join("rows.csv"), rows).unwrap();
    let fitted = place.json("target fit my-chip --blocks rows.csv --hardware chip --output models");
    assert_eq!(fitted["rows"], 126);
    assert!(share(&fitted["held_out"][0]["accuracy"], "within_10") > 0.9, "{fitted}");
    place.text("plugin new --kind target --model models/my-chip.int8.json my-chip");
    place.text("plugin build my-chip");
    place.text("plugin check my-chip/my-chip.wasm");
    place.text("plugin install my-chip/my-chip.wasm");
    let listed = place.text("target list");
    let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let is_listed = listed.lines().any(|line| words(line) == "my-chip fitted");
    assert!(is_listed, "{listed}");
    let evaluated = place.json("target evaluate my-chip --blocks rows.csv");
    assert!(share(&evaluated, "within_10") > 0.9, "{evaluated}");
    let (code, error) = place.failure("plugin new --kind scorer --model rows.csv other");
    assert!(code == 2 && error.contains("--model is for targets"), "{error}");
    let (code, error) = place.failure("plugin new --kind target --model rows.csv other");
    assert!(code == 2 && error.contains("rows.csv: not a latency model"), "{error}");
}

#[cfg(feature = "torch")]
#[test]
fn this_machine_is_measured_and_fitted() {
    let place = Place::new();
    let predict = format!("target predict host-ort {}", network("mini"));
    let (code, error) = place.failure(&predict);
    assert!(code == 2 && error.contains("target fit host-ort --hyperspace"), "{error}");
    let fit = "target fit host-ort --hyperspace mini --validation 8 --most 72 --goal 1.5";
    let fitted = place.json(fit);
    assert_eq!((&fitted["ended"], &fitted["rows"]), (&"most".into(), &144.into()));
    assert_eq!(fitted["files"].as_array().unwrap().len(), 2);
    // What was measured is not measured again, and gives the same.
    let again = place.json(fit);
    assert_eq!(again["held_out"], fitted["held_out"]);
    let predicted = place.json(&predict);
    assert!(share(&predicted, "ms") > 0.0 && share(&predicted, "rest_ms") > 0.0, "{predicted}");
    assert_eq!(predicted["latency"], "fitted");
    let networks = place.json("target evaluate host-ort --networks 2 --hyperspace mini");
    assert_eq!((&networks["rows"], &networks["by"]["fp32"]["rows"]), (&4.into(), &2.into()));
    assert!(networks["bias"].is_number() && networks["spread"].is_number());

    // A predictor of another machine is not used silently.
    let file = "home/models/host-ort.int8.json";
    let text = fs::read_to_string(place.path().join(file)).unwrap();
    let model: Value = serde_json::from_str(&text).unwrap();
    let here = model["fingerprint"].as_str().unwrap();
    place.edit(file, here, "another machine");
    let (code, error) = place.failure(&predict);
    assert!(code == 2 && error.contains("fitted: another machine"), "{error}");
    let inspected = place.text("target inspect host-ort");
    assert!(inspected.contains("not usable, the predictor"), "{inspected}");
    for (wrong, reason) in [("--budget nan", "positive number"), ("--most 8", "leaves nothing")] {
        let (code, error) = place
            .failure(&format!("{fit} {wrong}").replace("--most 72 --goal 1.5 --most", "--most"));
        assert!(code == 2 && error.contains(reason), "{error}");
    }
}
