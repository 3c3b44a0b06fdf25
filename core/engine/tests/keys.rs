//! What makes a step run again, and what is said about it.

mod common;

use std::{
    fs,
    sync::{Arc, Mutex},
};

use common::{Bench, FakeSource, STUDY, Teach, trainer::FakeTrainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::LatencySource,
    quant::{FloatNetwork, IntegerNetwork},
    study::{
        AnyStep, Method, Reference, Referred, Section, Step, StepContext, StepError, StepNeeds,
    },
    target::{
        LoadedModel, ModelInfo, ModelOutputs, Runtime, Target, TargetDescription, TargetError,
    },
    train::{Compute, Device, Trainer},
};
use spacewright_engine::{Change, Inputs, StepState};

/// A runtime that only has a version.
struct VersionedRuntime(String);

impl Runtime for VersionedRuntime {
    fn fingerprint(&self) -> String {
        self.0.clone()
    }

    fn write_float(&self, _: &FloatNetwork, _: &ModelInfo) -> Result<Vec<u8>, TargetError> {
        Err(TargetError::new("", "writes nothing"))
    }

    fn write_integer(
        &self,
        _: &IntegerNetwork,
        _: &ModelInfo,
        _: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        Err(TargetError::new("", "writes nothing"))
    }

    fn load(&self, _: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        Err(TargetError::new("", "loads nothing"))
    }
}

/// A target whose runtime can be updated.
struct VersionedTarget {
    name: &'static str,
    format: &'static str,
    /// Nothing where it has no runtime.
    version: Option<Arc<Mutex<String>>>,
}

impl Target for VersionedTarget {
    fn description(&self) -> TargetDescription {
        TargetDescription::modelled(self.name, "", self.format)
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(FakeSource(Arc::default())))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        match &self.version {
            Some(version) => Ok(Arc::new(VersionedRuntime(version.lock().unwrap().clone()))),
            None => Err(TargetError::new(self.name, "has no runtime")),
        }
    }

    fn has_runtime(&self) -> bool {
        self.version.is_some()
    }
}

/// Model files.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ExportSettings {
    /// Formats besides the target's own.
    formats: Vec<String>,
}

impl Section for ExportSettings {
    const NAME: &'static str = "export";

    fn references(&self) -> Vec<Reference> {
        let format = |name: &String| Reference::new("formats", Referred::Format(name.clone()));
        self.formats.iter().map(format).collect()
    }
}

struct Export;

impl Step for Export {
    const NAME: &'static str = "export";
    const SUMMARY: &'static str = "write files";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds { runtime: true, ..StepNeeds::NOTHING };

    type Settings = ExportSettings;
    type Output = ();

    fn run(&self, _: &dyn StepContext, _: ExportSettings) -> Result<(), StepError> {
        Ok(())
    }
}

struct Exporting;

impl Method for Exporting {
    fn name(&self) -> &str {
        "exporting"
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        vec![Arc::new(Export)]
    }
}

/// Targets `own` (format `a`), `other` (format `b`) and `bare` (format `b`, without a runtime).
fn bench() -> (Bench, [Arc<Mutex<String>>; 2]) {
    let mut bench = Bench::new();
    bench.registry.add_method("exporting", Arc::new(Exporting));
    let version = || Arc::new(Mutex::new("1.0".to_owned()));
    let versions = [version(), version()];
    for (name, format, version) in [
        ("own", "a", Some(versions[0].clone())),
        ("other", "b", Some(versions[1].clone())),
        ("bare", "b", None),
    ] {
        bench.registry.add_target(name, Arc::new(VersionedTarget { name, format, version }));
    }
    (bench, versions)
}

/// Runs an export, updates one of the runtimes, and gives what is said then.
fn changes_after_update(target: &str, more: &str, updated: usize) -> (StepState, Vec<Change>) {
    let (mut bench, versions) = bench();
    bench.registry.add_latency_source("elsewhere", Arc::new(FakeSource(Arc::default())));
    let study = STUDY.replace("\"fake\"", "\"exporting\"").replace("fake-target", target);
    let study = match more.starts_with('[') {
        true => format!("{study}{more}"),
        false => format!("{more}\n{study}"),
    };
    bench.engine(&study).run_all().unwrap();
    assert_eq!(bench.engine(&study).status().unwrap()[0].state, StepState::Current);
    *versions[updated].lock().unwrap() = "2.0".into();
    let status = bench.engine(&study).status().unwrap().remove(0);
    (status.state, status.changes)
}

#[test]
fn another_version_of_the_runtime_that_verifies_makes_an_export_stale() {
    let update = |target: &str, was: &str, now: &str| Change::Runtime {
        target: target.into(),
        was: Some(was.into()),
        now: Some(now.into()),
    };
    for (target, more, updated, named) in [
        ("own", "", 0, "own"),
        ("own", "[export]\nformats = [\"b\"]", 1, "other"),
        ("own", "[export]\nformats = [\"all\"]", 1, "other"),
        ("own", "latency = \"elsewhere\"", 0, "own"),
        // It borrows the runtime.
        ("bare", "", 1, "bare"),
    ] {
        let (state, changes) = changes_after_update(target, more, updated);
        assert_eq!(state, StepState::Stale, "{target} {more}");
        assert_eq!(changes, [update(named, "1.0", "2.0")], "{target} {more}");
    }
}

#[test]
fn a_runtime_that_is_not_used_makes_nothing_stale() {
    assert_eq!(changes_after_update("own", "", 1), (StepState::Current, Vec::new()));
}

#[test]
fn unknown_formats_are_refused_with_their_line() {
    let (bench, _) = bench();
    let study = STUDY.replace("\"fake\"", "\"exporting\"").replace("fake-target", "own");
    let error = bench.open(&format!("{study}[export]\nformats = [\"c\"]"), 1).err().unwrap();
    assert_eq!(
        error.to_string(),
        "study.toml:13: [export] formats: nothing here writes and runs `c` files"
    );
    assert_eq!(error.hint.as_deref(), Some("known are a, b, all"));
}

/// What is said about `teach` after it ran with `STUDY` and two threads.
fn said(text: &str, threads: usize) -> Vec<String> {
    let bench = Bench::new();
    bench.engine(STUDY).run_all().unwrap();
    let status = bench.engine_on(text, threads).status().unwrap();
    let teach = status.iter().find(|status| status.step == "teach").unwrap();
    Change::lines(&teach.changes)
}

#[test]
fn why_a_step_runs_again_is_said() {
    assert_eq!(said(STUDY, 1), ["made with 2 threads, now 1; `--threads 2` goes on from it"]);
    let rate = format!("{STUDY}[teach]\nrate = 0.2\nphase = {{ steps = 3 }}");
    let fields = ["[teach] phase.steps was 0, is 3", "[teach] rate was 0.1, is 0.2"];
    assert_eq!(said(&rate, 2), fields);
    let alike = said(&rate, 1);
    assert_eq!(alike, ["made with 2 threads, now 1", fields[0], fields[1]], "no option goes on");
    assert_eq!(said(&format!("seed = 1\n{STUDY}"), 2), ["the seed was 0, is 1"]);
    let images = STUDY.replace("test_images = 20", "test_images = 30");
    assert_eq!(said(&images, 2), ["the images have changed"]);
}

/// A bench whose trainers compute as they are told, on a card of this name; none where it has none.
fn with_card(card: Option<&'static str>) -> Bench {
    with_trainer("fake trainer 1", card)
}

fn with_trainer(program: &'static str, card: Option<&'static str>) -> Bench {
    let mut bench = Bench::new();
    bench.registry.trainers = vec![Arc::new(move |compute: &Compute| {
        let missing =
            (compute.device != Device::Cpu && card.is_none()).then(|| "no card".to_owned());
        let name = format!("{program}, {}", compute.in_keys(card));
        vec![Arc::new(FakeTrainer { name, refusal: missing }) as Arc<dyn Trainer>]
    })];
    bench
}

/// `STUDY`, computed so.
fn computed(device: &str, precision: &str) -> String {
    format!("{STUDY}[compute]\ndevice = \"{device}\"\nprecision = \"{precision}\"")
}

#[test]
fn another_device_or_precision_makes_trainings_stale() {
    let bench = with_card(Some("Card 1"));
    bench.engine(&computed("cpu", "fp32")).run_all().unwrap();
    let said = |device: &str, precision: &str, threads: usize| {
        let status = bench.engine_on(&computed(device, precision), threads).status().unwrap();
        let states: Vec<StepState> = status.iter().map(|step| step.state).collect();
        assert_eq!(states[0], StepState::Current, "measure trains nothing");
        Change::lines(&status[1].changes)
    };
    assert!(said("cpu", "fp32", 2).is_empty());
    let device = "made on cpu, now cuda; `--device cpu` goes on from it";
    assert_eq!(said("cuda", "fp32", 2), [device]);
    assert_eq!(said("cuda", "fp32", 1), [device]);
    let precision = "made with fp32, now bf16; `--precision fp32` goes on from it";
    assert_eq!(said("cpu", "bf16", 2), [precision]);

    bench.engine(&computed("cuda", "tf32")).run_all().unwrap();
    assert!(said("cuda:1", "tf32", 1).is_empty(), "neither its number nor threads matter");
    let back = [
        "made on cuda, now cpu; `--device cuda` goes on from it",
        "made with tf32, now fp32; `--precision tf32` goes on from it",
    ];
    assert_eq!(said("cpu", "fp32", 2), back);
    let registry = with_card(Some("Card 2")).registry;
    let mut other = Bench { registry, ..bench };
    let status = other.engine(&computed("cuda", "tf32")).status().unwrap();
    assert_eq!(
        Change::lines(&status[1].changes),
        ["the trainer was `fake trainer 1, cuda, Card 1, tf32`, \
             is `fake trainer 1, cuda, Card 2, tf32`"]
    );
    other.registry = with_trainer("fake trainer 2", Some("Card 1")).registry;
    let status = other.engine(&computed("cuda", "fp32")).status().unwrap();
    assert_eq!(
        Change::lines(&status[1].changes),
        [
            "made with tf32, now fp32",
            "the trainer was `fake trainer 1, cuda, Card 1, tf32`, \
             is `fake trainer 2, cuda, Card 1`"
        ]
    );
}

#[test]
fn a_device_that_is_not_there_is_refused_before_anything_runs() {
    let bench = with_card(None);
    let study = computed("cuda", "fp32");
    let error = bench.engine(&study).run_all().unwrap_err();
    assert_eq!(error.to_string(), "cannot compute on `cuda:0`: no card");
    assert_eq!(error.hint.as_deref(), Some("buy one"));
    assert!(bench.controls.take_ran().is_empty());
    // What trains nothing needs no card, and a run can be looked at without one.
    bench.engine(&study).run_step("measure", Inputs::Run).unwrap();
    let states = bench.engine(&study).status().unwrap();
    let states: Vec<StepState> = states.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Current, StepState::Missing, StepState::Missing]);
    bench.engine(&computed("auto", "fp32")).run_all().unwrap();
}

#[test]
fn why_a_step_runs_again_is_told_before_it_runs() {
    let bench = Bench::new();
    bench.engine(STUDY).run_all().unwrap();
    bench.controls.events.lock().unwrap().clear();
    *bench.controls.fingerprint.lock().unwrap() = "another machine".into();
    bench.engine(STUDY).run_all().unwrap();
    let events = bench.controls.events.lock().unwrap();
    let started = |step: &str| {
        events.iter().find(|e| e["event"] == "step_started" && e["step"] == step).unwrap()
    };
    assert_eq!(started("measure")["changes"][0]["change"], "latencies");
    assert_eq!(started("measure")["changes"][0]["now"], "another machine");
    assert!(!events.iter().any(|e| e["event"] == "step_started" && e["step"] == "teach"));
    // Its own latencies have changed; that its input has too goes without saying.
    assert_eq!(started("report")["changes"].as_array().unwrap().len(), 1);
}

#[test]
fn tasks_stay_finished_where_others_are_asked_for() {
    let bench = Bench::new();
    let of = |tasks: usize, rate: f64| format!("{STUDY}[teach]\ntasks = {tasks}\nrate = {rate}\n");
    let run = |text: &str| {
        bench.engine(text).run_all().unwrap();
        bench.controls.take_ran()
    };
    run(&of(2, 0.1));
    assert_eq!(run(&of(4, 0.1)), ["report", "t2", "t3"]);
    let said = serde_json::to_string(&*bench.controls.events.lock().unwrap()).unwrap();
    assert!(said.contains("finished before, and taken over: 2 of 4 tasks"), "{said}");
    let engine = bench.engine(&of(4, 0.1));
    assert_eq!(engine.get(&Teach::of(1)).unwrap().index, 1);
    let history = engine.history("teach").unwrap().unwrap();
    let curves: Vec<&str> = history.curves.iter().map(|curve| curve.task.as_str()).collect();
    assert_eq!(curves, ["t0", "t1", "t2", "t3"]);
    assert_eq!(run(&of(3, 0.1)), ["report"]);
    assert_eq!(bench.engine(&of(3, 0.1)).tasks("teach").unwrap(), ["t0", "t1", "t2"]);

    *bench.controls.fail.lock().unwrap() = Some("t4".into());
    bench.engine(&of(5, 0.1)).run_all().unwrap_err();
    *bench.controls.fail.lock().unwrap() = None;
    bench.controls.take_ran();
    let states: Vec<StepState> =
        bench.engine(&of(5, 0.1)).status().unwrap().iter().map(|step| step.state).collect();
    assert_eq!(states[1], StepState::Missing, "it was stopped, and nothing has changed since");
    assert!(run(&of(3, 0.1)).is_empty(), "nothing is done anew, nor checkpoints removed");
    assert_eq!(run(&of(6, 0.1)), ["report", "t4", "t5"]);
    let engine = bench.engine(&of(6, 0.1));
    assert!(engine.get(&Teach::of(4)).unwrap().resumed, "checkpoints are kept");

    let weights = engine.file(&Teach::of(0)).unwrap().join("weights");
    fs::write(&weights, "damaged").unwrap();
    assert_eq!(run(&of(7, 0.1)), ["report", "t0", "t6"], "what is damaged is made anew");
    assert_eq!(run(&of(2, 0.2)), ["report", "t0", "t1"], "another rate makes other tasks");
}

#[test]
fn a_run_of_the_first_format_is_taken_over() {
    let bench = Bench::new();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/run-format-1");
    copy(kept.as_ref(), &bench.runs().join("test"));
    let status = bench.engine(STUDY).status().unwrap();
    // Images were prepared otherwise.
    let taken: Vec<bool> = status.iter().map(|step| step.taken_over).collect();
    assert_eq!(taken, [true, false, false]);
    let outcomes = bench.engine(STUDY).run_all().unwrap();
    assert!(outcomes.iter().all(|outcome| !outcome.skipped));
    let again = bench.engine(STUDY).run_all().unwrap();
    assert!(again.iter().all(|outcome| outcome.skipped));
}

#[test]
fn a_run_of_the_first_format_with_other_settings_is_not_taken_over() {
    let bench = Bench::new();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/run-format-1");
    copy(kept.as_ref(), &bench.runs().join("test"));
    let status = bench.engine(&format!("{STUDY}[teach]\nrate = 0.2")).status().unwrap();
    let taken: Vec<bool> = status.iter().map(|step| step.taken_over).collect();
    assert_eq!(taken, [true, false, false]);
    assert_eq!(status[1].changes, [Change::Untold]);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        match entry.is_dir() {
            true => copy(&entry, &target),
            false => drop(fs::copy(&entry, &target).unwrap()),
        }
    }
}
