//! Plugins as their authors and users meet them: written from a template, built, checked,
//! installed, used in a study, by the real program.
#![cfg(all(unix, feature = "wasm-plugins"))]

#[path = "../../core/engine/tests/hostile/guest.rs"]
#[allow(dead_code)]
mod guest;
mod place;
mod safety;
mod targets;

use std::fs;

use place::Place;
#[cfg(feature = "torch")]
use serde_json::json;

#[test]
fn a_target_goes_from_template_to_study() {
    let place = Place::new();
    place.study(&[]);
    let guide = include_str!("../../docs/plugins/first-target.md");
    let mut ran = Vec::new();
    // Without a trainer nothing can be run to its end.
    let possible = |command: &&str| cfg!(feature = "torch") || !command.starts_with("run ");
    for command in commands(guide).filter(possible) {
        let output = place.text(command);
        match command {
            "plugin check my-npu/my-npu.wasm" => {
                assert!(output.starts_with("file       my-npu/my-npu.wasm\n"), "{output}")
            }
            "plugin install my-npu/my-npu.wasm" => {
                let installed = "installed `my-npu` 0.1.0 (target)";
                assert_eq!(output.trim(), installed);
                inspected_costs_are_the_same_every_time(&place);
            }
            "plugin doctor" => assert!(output.contains("version 0.1.0, loads in"), "{output}"),
            _ => {}
        }
        ran.push(command);
    }
    assert_eq!(ran.len(), 10 + usize::from(cfg!(feature = "torch")), "{ran:?}");
    let (code, error) = place.failure("measure study.toml --target my-npu");
    assert_eq!(code, 2);
    assert!(error.contains("no target `my-npu`"), "{error}");
}

fn inspected_costs_are_the_same_every_time(place: &Place) {
    let listed = place.json("plugin list");
    let [first, second] = [(); 2].map(|()| place.json("plugin inspect my-npu"));
    assert_eq!(first["sha256"], listed["plugins"][0]["sha256"]);
    assert_eq!(first["interface"], "0.1.0");
    assert!(first["load_ms"].as_f64().unwrap() > 0.0);
    assert!(first["call_ns"]["latencies"].as_u64().unwrap() > 0);
    assert!(first["fuel"]["latencies"].as_u64().unwrap() > 0);
    assert!(first["fuel"].get("prepare").is_none(), "a target has nothing to prepare: {first}");
    assert_eq!(first["fuel"], second["fuel"]);
}

/// The commands of a guide: lines of its shell blocks, without the program's name.
fn commands(guide: &str) -> impl Iterator<Item = &str> {
    let blocks = guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(|line| line.strip_prefix("spacewright ").unwrap())
}

#[test]
fn a_native_library_runs_once_it_is_trusted() {
    let place = Place::new();
    place.study(&[]);
    let file = "my-board/my-board.so";
    let mut guide = commands(include_str!("../../docs/plugins/real-hardware.md"));
    let built = "plugin build my-board";
    guide.by_ref().take_while(|command| *command != built).for_each(|c| drop(place.text(c)));
    assert_eq!(place.json(built)["file"], file);
    let (code, error) = place.failure(&format!("plugin install {file}"));
    assert_eq!(code, 1);
    assert!(error.contains("spacewright plugin trust"), "{error}");
    let (_, error) = place.failure(&format!("plugin trust {file}"));
    assert!(error.contains("--yes"), "{error}");
    let rest: Vec<&str> = guide.inspect(|command| drop(place.text(command))).collect();
    assert_eq!(rest.len(), 4, "{rest:?}");

    let untrusted = place.text(&format!("plugin untrust {file}"));
    assert!(untrusted.starts_with("no longer trusted: "), "{untrusted}");
    let (_, error) = place.failure(&format!("plugin check {file}"));
    assert!(error.contains("a native library that is not trusted"), "{error}");
    let (code, error) = place.failure(&format!("plugin untrust {file}"));
    assert!(code == 2 && error.contains("hint: no library is trusted"), "{error}");
    place.text(&format!("plugin trust {file} --yes"));

    // Another content under the same name is another library.
    let path = place.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    let (_, error) = place.failure(&format!("plugin check {file}"));
    assert!(error.contains("trust"), "{error}");
}

/// Needs `clang` and `wasm-ld`, or pip's `ziglang`.
#[test]
#[cfg_attr(not(spacewright_c_wasm), ignore = "no C compiler for WebAssembly: see `plugin doctor`")]
fn targets_and_scorers_can_be_written_in_c() {
    let place = Place::new();
    for kind in ["target", "scorer"] {
        place.text(&format!("plugin new --kind {kind} --language c c-{kind}"));
    }
    place.copy_example("least-loss");
    for name in ["c-target", "c-scorer", "least-loss"] {
        place.text(&format!("plugin build {name}"));
        place.text(&format!("plugin check {name}/{name}.wasm"));
        place.text(&format!("plugin install {name}/{name}.wasm"));
    }
    let study = place.study(&[]);
    place.text(&format!("measure {} --target c-target", study.display()));
    let (_, error) = place.failure("plugin new --kind quantizer --language c c-quantizer");
    assert!(error.contains("no template in C for the kind `quantizer`"), "{error}");
}

/// One for each kind; the others have tests of their own.
#[test]
fn the_examples_conform() {
    let place = Place::new();
    for name in ["laplace-clip", "roofline"] {
        let file = place.example(name);
        place.text(&format!("plugin check {}", file.display()));
        place.text(&format!("plugin install {}", file.display()));
    }
    let target = "target = \"host-ort\"";
    let other = format!("{target}\nlatency = \"roofline\"\nquantizer = \"laplace-clip\"");
    let study = place.study(&[(target, &other)]);
    place.text(&format!("measure {}", study.display()));
}

#[test]
fn every_kind_has_a_template_that_conforms() {
    let place = Place::new();
    for kind in ["operator-set", "hyperspace", "quantizer", "latency-source", "scorer"] {
        let name = format!("my-{kind}");
        place.text(&format!("plugin new --kind {kind} {name}"));
        place.text(&format!("plugin build {name}"));
        place.text(&format!("plugin check {name}/{name}.wasm"));
        place.text(&format!("plugin install {name}/{name}.wasm"));
    }
    let listed = place.json("plugin list");
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 5);
    let counted = place.text("space count my_hyperspace");
    assert!(counted.contains("has 256 spaces"), "{counted}");
    let (code, error) = place.failure("plugin new --kind scorer my_scorer");
    assert!(code == 2 && error.contains("`my-scorer` is installed already"), "{error}");
}

#[test]
fn nothing_is_overwritten_and_mistakes_are_named() {
    let place = Place::new();
    fs::create_dir(place.path().join("here")).unwrap();
    let (code, error) = place.failure("plugin new --kind scorer here");
    assert_eq!(code, 2);
    assert!(error.contains("here exists already"), "{error}");
    for name in ["../evil", "host-ort", "fn", "spacewright-mine"] {
        let (_, error) = place.failure(&format!("plugin new --kind scorer {name}"));
        assert!(error.contains("cannot be the name of a plugin"), "{error}");
    }
    let (_, error) = place.failure("plugin new --kind teleporter x");
    assert!(error.contains("there are operator-set, hyperspace"), "{error}");
    let (_, error) = place.failure("plugin build here");
    assert!(error.contains("neither Cargo.toml nor plugin.c"), "{error}");
    let (_, error) = place.failure("plugin check nothing.wasm");
    assert!(error.contains("no file nothing.wasm"), "{error}");
    let (_, error) = place.failure("plugin remove nothing");
    assert!(error.contains("no installed plugin `nothing`"), "{error}");
    fs::write(place.path().join("bad.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let (code, error) = place.failure("plugin install bad.wasm");
    assert_eq!(code, 1);
    assert!(error.contains("a WebAssembly module, no component"), "{error}");
}

/// What was computed with a plugin holds for that very content of its file.
#[test]
fn a_new_version_of_a_plugin_is_measured_anew() {
    let place = Place::new();
    // A name of its own: all tests share a folder of built crates.
    place.copy_example("constant-npu");
    place.edit("constant-npu/Cargo.toml", "constant-npu", "changing-npu");
    place.edit("constant-npu/src/lib.rs", "constant-npu", "changing-npu");
    place.text("plugin build constant-npu");
    let install = "plugin install constant-npu/changing-npu.wasm";
    place.text(install);
    let study = place.study(&[]);
    let measure = format!("measure {} --target changing-npu", study.display());
    assert_eq!(place.json(&measure)["skipped"], false);
    assert_eq!(place.json(&measure)["skipped"], true);
    place.edit("constant-npu/src/lib.rs", "predicted(0.1)", "predicted(0.2)");
    place.text("plugin build constant-npu");
    let installed = place.text(install);
    assert!(installed.contains(", instead of 0.1.0 (target), "), "{installed}");
    assert_eq!(place.json(&measure)["skipped"], false);
}

/// A plugin whose file was changed behind the program's back is not used, and everything else is.
#[test]
fn a_changed_file_is_not_used() {
    let place = Place::new();
    let file = place.example("constant-npu");
    place.text(&format!("plugin install {}", file.display()));
    let listed = place.json("plugin list");
    let sha256 = listed["plugins"][0]["sha256"].as_str().unwrap();
    let copy = place.path().join(format!("home/plugins/{sha256}.wasm"));
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&copy, bytes).unwrap();
    let output = place.run("target list");
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("plugin `constant-npu` is not used")
    );
    let (code, error) = place.failure("plugin doctor");
    assert_eq!((code, error.as_str()), (1, ""));
    let (_, error) = place.failure("target inspect constant-npu");
    assert!(error.contains("hint: the plugin `constant-npu` is not used"), "{error}");
}

#[test]
#[cfg_attr(
    not(spacewright_tables),
    ignore = "SPACEWRIGHT_TABLES does not name the folder that holds spaceevo-block-lut"
)]
fn the_same_scorer_in_every_carrier_finds_the_same_spaces() {
    let place = Place::new();
    let file = place.example("q-t-guest");
    place.text(&format!("plugin install {}", file.display()));
    let tables = option_env!("SPACEWRIGHT_TABLES").unwrap_or_default();
    // Drawn scores are the same bit for bit; exact ones are rounded as the processor does.
    let options = r#"{"mode":"monte-carlo","draws":500}"#;
    let search = |scorer: &str| {
        let found = place.json(&format!(
            "space search --hyperspace onnxw --tables {tables}/spaceevo-block-lut --constraint 10 \
             --evaluations 60 --scorer {scorer} --options {options}"
        ));
        (found["best"].clone(), found["score"].clone(), found["top"].clone())
    };
    let built_in = search("q-t");
    assert_eq!(search("q-t-guest"), built_in);
    let exact = |scorer: &str| {
        let scored = place.json(&format!(
            "space score onnxw-151122-023231 --tables {tables}/spaceevo-block-lut --constraint 10 \
             --scorer {scorer}"
        ));
        scored["spaces"][0]["score"].as_f64().unwrap()
    };
    assert!((exact("q-t-guest") / exact("q-t") - 1.0).abs() < 1e-6);
    let library = place.json("plugin build q-t-guest --carrier native");
    let library = library["file"].as_str().unwrap();
    place.text(&format!("plugin trust {library} --yes"));
    let installed = place.json(&format!("plugin install {library}"));
    assert_eq!(installed["replaced"]["carrier"], "wasm");
    assert_eq!(search("q-t-guest"), built_in);
}

#[cfg(feature = "torch")]
mod studies {
    use super::*;

    #[test]
    fn one_line_of_a_study_swaps_the_score() {
        let place = Place::new();
        place.text("plugin new --kind scorer my-score");
        place.text("plugin build my-score");
        place.text("plugin install my-score/my-score.wasm");
        let study = place.study(&[("score = { top = 1000 }", "scorer = \"my-score\"")]);
        let report = place.json(&format!("run {} --threads 1", study.display()));
        // The template calls every space feasible and punishes none; Q-T does not.
        for part in report["space"]["constraints"].as_array().unwrap() {
            assert_eq!((&part["feasible"], &part["penalty"]), (&json!(1.0), &json!(1.0)));
            assert_eq!(part["score"].as_f64().unwrap(), 1.0 / part["loss"].as_f64().unwrap());
        }
        place.text("plugin remove my-score");
        let (code, error) = place.failure(&format!("run {} --threads 1", study.display()));
        assert_eq!(code, 2);
        assert!(error.contains("my-score"), "{error}");
    }

    /// The proof of the design: one graph function carries a new block through everything.
    #[test]
    fn a_new_block_goes_from_plugin_to_integer_model() {
        let place = Place::new();
        let guide = include_str!("../../docs/plugins/new-block.md");
        place.copy_example("universal-bottleneck");
        for command in commands(guide) {
            place.text(command);
        }
        let study = place.study(&[("hyperspace = ", "hyperspace = \"uib\" #")]);
        let report = place.json(&format!("run {} --threads 1", study.display()));
        assert!(report["space"]["space"].as_str().unwrap().starts_with("uib-"), "{report}");
        for network in report["budgets"].as_array().unwrap() {
            let encoding = network["encoding"].as_str().unwrap();
            assert!(
                encoding.contains("_a.start=") && encoding.contains("_a.middle="),
                "{encoding}"
            );
            assert_eq!(network["wrong_operators"], json!([]));
            assert!(network["checked_integers"].as_u64().unwrap() > 0);
        }
        let measured = place.json("target measure runs/tiny/network-0.int8.onnx");
        let ms = |field: &str| measured[field].as_f64().unwrap();
        assert!(0.0 < ms("min_ms") && ms("min_ms") <= ms("p10_ms"), "{measured}");
        assert!(ms("p10_ms") <= ms("median_ms") && ms("drift") >= 1.0, "{measured}");
        assert!(measured["runs"].as_u64().unwrap() >= 50, "{measured}");
        assert_eq!(measured["machine"]["threads"], "1");
    }
}
