//! Study files: what is accepted, and what is said about the rest.

mod common;

use common::{Bench, HYPERSPACE, STUDY};
use serde_json::json;
use spacewright_engine::{
    ComputeSettings, FieldOverride, Overrides, Study, engine_sections, study_schema,
};

/// Checks the message and the hint that a study gets.
fn check(text: &str, message: &str, hint: Option<&str>) {
    let error = Bench::new().study(text).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.hint.as_deref()), (message, hint));
}

fn with(line: &str) -> String {
    format!("{line}\n{}", STUDY.trim_start())
}

#[test]
fn fields_that_are_left_out_have_the_described_defaults() {
    let bench = Bench::new();
    let text = "name = \"x\"\nmethod = \"fake\"\nhyperspace = \"tiny\"\ntarget = \"fake-target\"";
    let study = bench.study(text).unwrap();
    let [top, data, compute, cluster] = engine_sections();
    assert_eq!(top.defaults()["seed"], study.seed);
    assert_eq!(top.defaults()["quantizer"], study.quantizer);
    assert_eq!(data.defaults(), serde_json::to_value(&study.data).unwrap());
    assert_eq!(
        compute.defaults(),
        json!({ "device": "auto", "precision": "fp32", "processes": 1 })
    );
    assert_eq!(study.compute, ComputeSettings::default());
    assert_eq!(cluster.defaults(), serde_json::to_value(&study.cluster).unwrap());
    assert_eq!(cluster.defaults()["engine"], "none");
    assert_eq!(top.describe().fields[0].default, None, "a study must have a name");
}

#[test]
fn the_method_and_the_target_have_defaults() {
    let [top, ..] = engine_sections();
    let default = |field: &str| top.defaults()[field].as_str().unwrap().to_owned();
    let message = format!("study.toml: no method `{}`; known are fake", default("method"));
    check("name = \"x\"\nhyperspace = \"tiny\"", &message, None);
    let message = format!("study.toml: no target `{}`; known are fake-target", default("target"));
    let hint = "`spacewright plugin list` shows the plugins that are installed, `spacewright plugin install FILE` \
                installs one";
    check("name = \"x\"\nmethod = \"fake\"\nhyperspace = \"tiny\"", &message, Some(hint));
}

#[test]
fn the_schema_holds_all_sections() {
    let bench = Bench::new();
    let steps = bench.registry.method("fake").unwrap().steps();
    let schema = study_schema(&spacewright_core::study::sections_of(&steps));
    let fields = &schema["properties"];
    assert_eq!(fields["teach"]["properties"]["phase"]["properties"]["steps"]["default"], 0);
    assert_eq!(fields["data"]["properties"]["held_out"]["minimum"], 1);
    assert_eq!(schema["required"], json!(["name"]));
}

#[test]
fn overrides_win() {
    let bench = Bench::new();
    let overrides =
        Overrides { seed: Some(7), target: Some("fake-tarket".into()), ..Overrides::default() };
    let parse = |overrides: &Overrides| {
        Study::parse("study.toml", STUDY, bench.folder.path(), &bench.registry, overrides)
    };
    let error = parse(&overrides).unwrap_err();
    assert_eq!(error.to_string(), "no target `fake-tarket`; known are fake-target");
    assert_eq!(error.hint.as_deref(), Some("did you mean `fake-target`?"));
    assert_eq!(parse(&Overrides { target: None, ..overrides }).unwrap().seed, 7);
}

#[test]
fn the_device_is_the_studys_or_that_of_the_command_line() {
    let text = format!("{STUDY}[compute]\ndevice = \"cuda:1\"\nprecision = \"tf32\"");
    let bench = Bench::new();
    let device = |study: &Study| study.compute.device.to_string();
    assert_eq!(device(&bench.study(&text).unwrap()), "cuda:1");
    let other = |field: &str, value: &str| {
        let (section, field) = ("compute".to_owned(), field.to_owned());
        let fields = vec![FieldOverride { section, field, value: json!(value) }];
        let overrides = Overrides { fields, ..Overrides::default() };
        Study::parse("study.toml", &text, bench.folder.path(), &bench.registry, &overrides)
    };
    assert_eq!(device(&other("device", "auto").unwrap()), "auto");
    let error = other("device", "cpu").unwrap_err();
    let message =
        "study.toml:14: [compute] precision: `tf32` is a format of GPUs, and the CPU computes";
    assert_eq!(error.to_string(), message);
    let hint = error.hint.unwrap();
    assert!(hint.starts_with("take `fp32` or `bf16`, or a GPU"), "{hint}");
    check(
        &text.replace("cuda:1", "gpu"),
        "study.toml:13: [compute] device: `gpu` is no device; allowed are `auto`, `cpu`, `cuda`, and \
         `cuda:1` for the second NVIDIA GPU",
        Some("`spacewright study explain compute` lists the fields and their defaults"),
    );
}

#[test]
fn a_hyperspace_is_a_name_a_file_or_a_table() {
    let bench = Bench::new();
    std::fs::write(bench.folder.path().join("mine.toml"), HYPERSPACE).unwrap();
    let named = bench.study(STUDY).unwrap().hyperspace;
    let by_path = STUDY.replace("\"tiny\"", "\"mine.toml\"");
    assert_eq!(bench.study(&by_path).unwrap().hyperspace, named);
    let inline = STUDY.replace("hyperspace = \"tiny\"\n", "")
        + "[hyperspace]\n"
        + &HYPERSPACE.replace("[[", "[[hyperspace.");
    assert_eq!(bench.study(&inline).unwrap().hyperspace, named);
}

#[test]
fn settings_of_the_method_are_completed() {
    let study = Bench::new().study(&format!("{STUDY}[teach]\nphase.steps = 3")).unwrap();
    assert_eq!(
        study.sections["teach"],
        json!({ "tasks": 4, "rate": 0.1, "phase": { "steps": 3 } })
    );
}

#[test]
fn unknown_fields_and_sections_are_named_with_their_line() {
    check(
        &with("hyperspcae = \"tiny\""),
        "study.toml:1: no field `hyperspcae` at the top of a study",
        Some(
            "did you mean `hyperspace`? \
             allowed are name, seed, method, hyperspace, target, latency, quantizer, from",
        ),
    );
    check(
        &format!("{STUDY}\n[taech]\nrate = 1.0"),
        "study.toml:13: no section [taech]",
        Some("did you mean `teach`? allowed are data, compute, cluster, measure, teach"),
    );
    check(
        &format!("{STUDY}augmnet = []"),
        "study.toml:12: [data] augmnet: there is no such field",
        Some(
            "did you mean `augment`? allowed are augment, channels, held_out, keep_decoded, \
             layout, on_bad_image, path, set, test_images, train_images, transforms",
        ),
    );
    check(
        &format!("{STUDY}[teach.phase]\nstep = 28"),
        "study.toml:13: [teach] phase.step: there is no such field",
        Some("did you mean `phase.steps`? allowed are phase.steps"),
    );
    check(
        &format!("{STUDY}[teach]\nphase = 28"),
        "study.toml:13: [teach] phase: must be a table",
        Some("`spacewright study explain teach` lists the fields and their defaults"),
    );
}

#[test]
fn wrong_values_are_named_with_their_line() {
    check(
        &format!("{STUDY}[teach]\ntasks = 1\nrate = -1.0"),
        "study.toml:14: [teach] rate: must be positive, not -1",
        Some("try 0.1"),
    );
    let explain = |section| {
        format!("`spacewright study explain {section}` lists the fields and their defaults")
    };
    check(
        &with("seed = \"x\""),
        "study.toml:1: `seed`: invalid type: string \"x\", expected u64",
        Some(&explain("study")),
    );
    check(
        &STUDY.replace("\"synthetic\"", "\"cifar\""),
        "study.toml:8: [data] set: unknown variant `cifar`, \
         expected `fashion-mnist` or `synthetic`",
        Some(&explain("data")),
    );
    check(
        &STUDY.replace("\"fake-target\"", "\"fake-tagret\""),
        "study.toml:5: no target `fake-tagret`; known are fake-target",
        Some("did you mean `fake-target`?"),
    );
    check(
        &STUDY.replace("\"test\"", "\"../test\""),
        "study.toml:2: `name`: `../test` cannot be the name of a run",
        Some(
            "use letters a to z, digits, `-`, `_` and, but not first, `.`; it becomes the name of a folder",
        ),
    );
    check(
        &STUDY.replace("name = \"test\"", ""),
        "study.toml: `name`: is missing",
        Some(&explain("study")),
    );
    check("name = ", "study.toml:1: string values must be quoted, expected literal string", None);
}

#[test]
fn impossible_hyperspaces_are_refused() {
    let refused = |from: &str, to: &str| {
        let bench = Bench::new();
        let path = bench.folder.path().join("mine.toml");
        std::fs::write(path, HYPERSPACE.replace(from, to)).unwrap();
        let study = STUDY.replace("\"tiny\"", "\"mine.toml\"");
        bench.study(&study).unwrap_err().to_string()
    };
    assert_eq!(
        refused("window = 1", "window = 3"),
        "study.toml:4: hyperspace `tiny`: stage[0].window: 3 is not between 1 and the number of widths, 2"
    );
    assert_eq!(
        refused("choices = { kernel = [3, 5] }", "choices = { kernal = [3, 5] }"),
        "study.toml:4: hyperspace `tiny`: candidate[0].choices.kernal: no such axis; \
         the axes of block `mobilenet-v1` are kernel"
    );
    assert_eq!(
        refused("depths = [1, 2]", "depths = [2, 1]"),
        "study.toml:4: hyperspace `tiny`: stage[0].depths: [2, 1] is not a fewest and a most \
         number of blocks, from 1 to 100"
    );
}

#[test]
fn what_is_no_number_is_called_so() {
    let text = format!("{STUDY}[teach]\nrate = nan");
    check(&text, "study.toml:13: `teach.rate` is nan, a number is needed", None);
    let text = format!("{STUDY}[measure]\nkernels = [3, -inf]");
    check(&text, "study.toml:13: `measure.kernels` is -inf, a number is needed", None);
}

#[test]
fn a_key_that_is_given_twice_is_named() {
    let text = format!("{STUDY}[teach]\nrate = 0.1\nrate = 0.2");
    check(&text, "study.toml:14: `rate` is given twice", None);
}
