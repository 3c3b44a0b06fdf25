//! Model files that others wrote: `model inspect` and `target measure` say what is wrong with them,
//! whatever they do to the runtime.

mod import;
mod models;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Ran, command};

/// A folder with model files.
struct Models(tempfile::TempDir);

impl Models {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    /// Runs a command whose last argument is a model.
    fn run(&self, arguments: &str, model: &str) -> Ran {
        self.run_in(Path::new("."), arguments, model)
    }

    fn run_in(&self, folder: &Path, arguments: &str, model: &str) -> Ran {
        let output = command(arguments).arg(self.path(model)).current_dir(folder).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    #[track_caller]
    fn json(&self, arguments: &str, model: &str) -> Value {
        let ran = self.run(&format!("--json --quiet {arguments}"), model);
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{arguments} {model}: {}", ran.stdout);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// What is said of a file that cannot be measured: by `target measure`, with exit code 2 and
    /// within its limits.
    #[track_caller]
    fn refusal(&self, arguments: &str, model: &str) -> String {
        let start = Instant::now();
        let ran = self.run(&format!("target measure --quiet {arguments}"), model);
        assert!(start.elapsed() < Duration::from_secs(60), "{model}: {:?}", start.elapsed());
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{model}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        ran.stderr
    }
}

#[test]
fn weights_in_another_file_are_found_beside_the_model_and_counted() {
    let models = Models::new().with("weights.bin", [0; 900]);
    let models = models.with("m.onnx", models::external("weights.bin", 0, 864));
    let elsewhere = tempfile::tempdir().unwrap();
    let ran = models.run_in(elsewhere.path(), "--json model inspect --no-measuring", "m.onnx");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let model: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(model["constants_bytes"], 864);
    assert_eq!(model["external_files"]["weights.bin"], 864);
    let text = models.run("model inspect --no-measuring", "m.onnx").stdout;
    assert!(text.contains("864 bytes of constants"), "{text}");
    assert!(text.contains("constants in weights.bin: 864 bytes"), "{text}");
}

/// Those of a file of the same name in the current folder are another network's.
#[test]
fn images_are_classified_with_the_weights_beside_the_model() {
    let of_class = |class: usize| (0..3 * 8 * 8).flat_map(move |_| (class as f32).to_le_bytes());
    let weights: Vec<u8> = (0..8).flat_map(of_class).collect();
    let models = Models::new().with("weights.bin", &weights);
    let models = models.with("m.onnx", models::external_classifier("weights.bin"));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("weights.bin"), vec![0; weights.len()]).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(models.path("white.png")).unwrap(), 8, 8);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[255; 3 * 8 * 8]).unwrap();
    let run = |sizes: &[&str]| {
        let output = command("--json model run")
            .args([models.path("m.onnx"), models.path("white.png")])
            .args(sizes)
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for sizes in [&[][..], &["--size", "N=1"]] {
        let (code, text) = run(sizes);
        assert_eq!(code, Some(0), "{text}");
        let report: Value = serde_json::from_str(&text).unwrap();
        let first = &report["images"][0]["classes"][0];
        assert_eq!((&first["class"], first["index"].as_u64()), (&"7".into(), Some(7)), "{text}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let output = command("model run")
            .arg(models.path("m.onnx"))
            .arg(std::ffi::OsStr::from_bytes(b"\xff.jpg"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(".jpg: its name is no UTF-8"), "{text}");
    }
    let (code, text) = run(&["--size", "bogus=7"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no open size is called `bogus`"), "{text}");
}

#[test]
fn weights_that_are_not_there_are_named() {
    let models = Models::new().with("short.bin", [0; 10]);
    let models = models.with("missing.onnx", models::external("not-there.bin", 0, 864));
    let models = models.with("short.onnx", models::external("short.bin", 0, 864));
    let models = models.with("outside.onnx", models::external("../../etc/hostname", 0, 864));
    for (model, expected) in [
        ("missing.onnx", "not-there.bin, which cannot be read"),
        ("short.onnx", "up to byte 864, but that file has 10 bytes"),
        ("outside.onnx", "not below the folder of the model"),
    ] {
        for command in ["model inspect", "target measure"] {
            let ran = models.run(command, model);
            assert_eq!(ran.code, 2, "{command} {model}: {}", ran.stderr);
            assert!(ran.stderr.contains(expected), "{command} {model}: {}", ran.stderr);
            assert!(ran.stderr.contains("`w`"), "{command} {model}: {}", ran.stderr);
        }
    }
}

#[test]
fn damaged_files_are_wrong_input_in_every_command() {
    let models = Models::new().with("no.onnx", b"no model").with("no.tflite", b"no model");
    let models = models.with("empty.onnx", b"").with("cut.onnx", &models::relu(&[1, 4])[..40]);
    let models = models.with("other.bin", models::relu(&[1, 4]));
    let models = models.with("other", models::relu(&[1, 4]));
    fs::create_dir(models.path("folder.onnx")).unwrap();
    for model in ["no.onnx", "no.tflite", "empty.onnx", "cut.onnx", "folder.onnx", "none.onnx"] {
        for command in ["model inspect", "target measure"] {
            let ran = models.run(command, model);
            assert_eq!((ran.code, &*ran.stdout), (2, ""), "{command} {model}: {}", ran.stderr);
        }
    }
    let unknown = models.run("model inspect", "other.bin");
    assert!(unknown.stderr.contains("no target runs `bin` files"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("hint: name a target with --target"), "{}", unknown.stderr);
    let unnamed = models.run("model inspect", "other");
    assert!(unnamed.stderr.contains("other: its name has no extension"), "{}", unnamed.stderr);
    // A target that is named decides, not the name of the file.
    let model = models.json("model inspect --no-measuring --target host-ort", "other.bin");
    assert_eq!(model["kinds"]["Relu"], 1);
}

#[test]
fn foreign_text_is_escaped() {
    let models = Models::new().with("m.onnx", models::evil_names());
    for arguments in ["model inspect --no-measuring", "--json model inspect --no-measuring"] {
        let ran = models.run(arguments, "m.onnx");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let hidden = |letter: char| letter.is_control() && letter != '\n';
        assert!(!ran.stdout.contains(hidden), "{:?}", ran.stdout);
        assert!(!ran.stdout.contains("\nfake line"), "{}", ran.stdout);
        assert!(!ran.stdout.contains('\u{202e}'), "{}", ran.stdout);
    }
    let model = models.json("model inspect --no-measuring", "m.onnx");
    assert_eq!(model["inputs"][0]["name"], models::EVIL);
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn operators_in_real_numbers_are_told_by_types() {
    let models = Models::new().with("half.onnx", models::half_quantized());
    let models = models.with("dynamic.onnx", models::dynamic_quantized());
    let float = |model: &str| {
        let model = models.json("model inspect --no-measuring", model);
        let float = model["float_operators"].as_array().unwrap().clone();
        float.iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let half = float("half.onnx");
    for name in ["float_tanh", "float_conv", "float_softmax"] {
        assert!(half.iter().any(|found| found.contains(name)), "{name}: {half:?}");
    }
    assert!(!half.iter().any(|found| found.contains("conv_int8")), "{half:?}");
    assert_eq!(float("dynamic.onnx"), [""; 0]);
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn sizes_are_checked_before_anything_is_allocated() {
    let models = Models::new().with("zero.onnx", models::relu(&[1, 0, 8]));
    let models = models.with("huge.onnx", models::relu(&[4_000_000_000]));
    let models = models.with("overflow.onnx", models::relu(&[3_037_000_500, 3_037_000_500]));
    let models = models.with("huge.tflite", models::tflite([1 << 20, 1 << 20, 64, 1]));
    for (model, expected) in [
        ("zero.onnx", "`x` has the shape 1×0×8: with a size of 0"),
        ("huge.onnx", "would take 16000000000 bytes; the limit is 1073741824 bytes (1 GiB)"),
        ("overflow.onnx", "would take 36893488148"),
        ("huge.tflite", "would take 281474976710656 bytes; the limit is"),
    ] {
        let error = models.refusal("", model);
        assert!(error.contains(expected), "{model}: {error}");
    }
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn a_constant_of_a_terabyte_ends_at_the_limit_of_memory() {
    let models = Models::new().with("m.onnx", models::huge_constant());
    let error = models.refusal("--memory 1", "m.onnx");
    assert!(error.contains("1099511627776") || error.contains("--memory GIB"), "{error}");
    let ran = models.run("model inspect --quiet --memory 1", "m.onnx");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("not measured: "), "{}", ran.stdout);
}

#[test]
fn a_file_that_needs_much_memory_to_be_read_ends_at_the_limit() {
    let models = Models::new().with("m.onnx", models::empty_nodes(10_000_000));
    for command in ["target measure", "model inspect"] {
        let ran = models.run(&format!("{command} --quiet --memory 1"), "m.onnx");
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("while it was opened: memory allocation of"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("hint: memory is limited to 1 GiB; --memory"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn a_model_that_does_not_end_is_ended() {
    let models = Models::new().with("m.onnx", models::endless());
    let start = Instant::now();
    let error = models.refusal("--limit 2", "m.onnx");
    assert!(error.contains("the limit of 2 s was reached while it first ran"), "{error}");
    assert!(error.contains("`x` float32 4"), "{error}");
    assert!(error.contains("hint: --limit SECONDS"), "{error}");
    let ran = models.run("model inspect --quiet --limit 2", "m.onnx");
    assert!(ran.stdout.contains("not measured: ") && ran.stdout.contains("2 s"), "{}", ran.stdout);
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn open_sizes_are_given_or_named() {
    let models = Models::new().with("m.onnx", models::open_sizes());
    let error = models.refusal("", "m.onnx");
    assert!(error.contains("the file leaves sizes open: `H`, `x:3`"), "{error}");
    assert!(error.contains("hint: say what is to be measured: --size H=N --size x:3=N"), "{error}");
    let error = models.refusal("--size H=8 --size x:3=8 --size D=1", "m.onnx");
    assert!(error.contains("no open size is called `D`"), "{error}");
    // What was tried is said where it fails: a kernel of 3×3 does not fit.
    let error = models.refusal("--size H=2 --size x:3=8", "m.onnx");
    assert!(error.contains("`x` float32 1×3×2×8"), "{error}");
    let measured = models.json("target measure --size H=8 --size x:3=6 --size N=2", "m.onnx");
    assert_eq!(measured["inputs"][0]["shape"], serde_json::json!([2, 3, 8, 6]));
    let text = models.run("target measure --size H=8 --size x:3=6", "m.onnx").stdout;
    assert!(text.contains("input    `x` float32 1×3×8×6"), "{text}");
    assert!(text.contains("taken as 1: `N`"), "{text}");
    let text = models.run("model inspect --no-measuring", "m.onnx").stdout;
    assert!(text.contains("input x: float32 N×3×H×?"), "{text}");
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn files_are_measured_with_as_many_threads_as_asked() {
    let models = Models::new().with("m.onnx", models::relu(&[1, 64]));
    let one = models.json("target measure", "m.onnx");
    assert_eq!(one["machine"]["threads"], "1");
    let two = models.json("target measure --threads 2", "m.onnx");
    assert_eq!(two["machine"]["threads"], "2");
    let inspected = models.json("model inspect --threads 2", "m.onnx");
    assert_eq!(inspected["measured"]["machine"]["threads"], "2");
    let models = models.with("m.tflite", models::tflite([1, 4, 4, 2]));
    let two = models.json("target measure --threads 2", "m.tflite");
    assert_eq!(two["machine"]["threads"], "2");
    // What runtimes say goes to the log.
    assert_eq!(models.run("target measure", "m.tflite").stderr, "");
    let verbose = models.run("target measure --verbose", "m.tflite").stderr;
    assert!(verbose.contains("XNNPACK delegate"), "{verbose}");
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn inputs_of_sixteen_bits_and_of_truth_are_made_up() {
    for element in [9, 10] {
        let models = Models::new().with("m.onnx", models::identity(element));
        let measured = models.json("target measure", "m.onnx");
        assert!(measured["min_ms"].as_f64().unwrap() > 0.0, "{measured}");
    }
}

#[test]
#[cfg_attr(not(have_runtimes), ignore = "no runtimes: run cargo xtask setup")]
fn operators_of_other_libraries_are_named() {
    let models = Models::new().with("m.onnx", models::custom());
    let error = models.refusal("", "m.onnx");
    assert!(error.contains("does not know `my.ops:Magic`"), "{error}");
    let text = models.run("model inspect --quiet", "m.onnx").stdout;
    assert!(text.contains("of other libraries: my.ops:Magic"), "{text}");
}

#[test]
fn weights_that_saturate_without_vnni_are_named() {
    let models = Models::new().with("wide.onnx", models::quantized_convolution(127));
    let models = models.with("narrow.onnx", models::quantized_convolution(63));
    let wide = models.run("model inspect --no-measuring", "wide.onnx").stdout;
    assert!(wide.contains("have weights beyond 7 bits, such as QLinearConv (c)"), "{wide}");
    let narrow = models.run("model inspect --no-measuring", "narrow.onnx").stdout;
    assert!(!narrow.contains("beyond 7 bits"), "{narrow}");
}
