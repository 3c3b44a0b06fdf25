//! A small method, target and trainer that count what they are asked.
#![allow(dead_code, missing_docs)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder, OpKind, Shape},
    latency::{Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision},
    method::{Method, SettingsField, SettingsSection, StepContext, StepError, StepSpec, Task},
    quant::{Scheme, WeightRange},
    target::{Target, TargetDescription, TargetError},
    train::{
        DistilJob, DistilReport, EvaluateJob, Evaluator, FeaturesJob, JudgeJob, Monitor,
        SupernetJob, TeachJob, TrainContext, TrainError, TrainReport, Trainer,
    },
};
use spacewright_engine::{
    Engine, EngineError, EngineOptions, Event, Observer, Overrides, Registry, Study,
};
use tempfile::TempDir;

pub const HYPERSPACE: &str = r#"
name = "tiny"
input_channels = 1
classes = 10
resolutions = [32]
table_resolutions = [32]

[[stem]]
name = "stem"
stride = 2
widths = [8]
depths = [1, 1]
block = "conv"
activation = "relu"
choices = { kernel = [3] }

[[candidate]]
block = "mobilenet-v1"
activation = "relu"
choices = { kernel = [3, 5] }

[[stage]]
name = "s1"
stride = 2
widths = [8, 16]
window = 1
depths = [1, 2]

[[head]]
name = "logits"
block = "logits"
activation = "relu"
width = 10
"#;

pub const STUDY: &str = r#"
name = "test"
method = "fake"
hyperspace = "tiny"
target = "fake-target"

[data]
set = "synthetic"
train_images = 100
test_images = 20
held_out = 10
"#;

/// What tests look at and change.
#[derive(Default)]
pub struct Controls {
    /// Tasks that have run, in order.
    pub ran: Mutex<Vec<String>>,
    /// Graphs that the source was asked for.
    pub asked: AtomicUsize,
    /// Number of graphs after which the source fails; 0 for never.
    pub break_after: AtomicUsize,
    /// Task that fails.
    pub fail: Mutex<Option<String>>,
    /// Task in which the user asks to stop.
    pub stop: Mutex<Option<String>>,
    /// Task that panics.
    pub panic: Mutex<Option<String>>,
    /// Fingerprint of the source.
    pub fingerprint: Mutex<String>,
    /// What the target cannot run.
    pub unsupported: Mutex<Vec<OpKind>>,
    /// What was told.
    pub events: Mutex<Vec<Value>>,
    pub cancel: Arc<AtomicBool>,
}

impl Controls {
    pub fn take_ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }

    fn is(&self, which: &Mutex<Option<String>>, task: &str) -> bool {
        which.lock().unwrap().as_deref() == Some(task)
    }
}

impl Observer for Controls {
    fn event(&self, event: &Event<'_>) {
        self.events.lock().unwrap().push(serde_json::to_value(event).unwrap());
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TeachSettings {
    tasks: usize,
    rate: f64,
    phase: Phase,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Phase {
    steps: usize,
}

impl Default for TeachSettings {
    fn default() -> Self {
        Self { tasks: 4, rate: 0.1, phase: Phase::default() }
    }
}

pub struct Fake(pub Arc<Controls>);

impl Method for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn steps(&self) -> Vec<StepSpec> {
        let step = |name: &str, after: &[&str], settings: &[&str], trains| StepSpec {
            name: name.into(),
            summary: format!("The step {name}"),
            after: after.iter().map(|s| (*s).to_owned()).collect(),
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            trains,
            extra: false,
            shared: name == "teach",
        };
        vec![
            step("measure", &[], &["measure"], false),
            step("teach", &[], &["teach"], true),
            step("report", &["measure", "teach"], &[], false),
        ]
    }

    fn sections(&self) -> Vec<SettingsSection> {
        let section = |name: &str, fields: &[(&str, &str)]| SettingsSection {
            name: name.into(),
            summary: String::new(),
            fields: fields
                .iter()
                .map(|(name, default)| SettingsField {
                    name: (*name).into(),
                    default: (*default).into(),
                    summary: String::new(),
                })
                .collect(),
        };
        vec![
            section("measure", &[("kernels", "[1, 3, 5]")]),
            section("teach", &[("tasks", "4"), ("rate", "0.1"), ("phase.steps", "0")]),
        ]
    }

    fn check_settings(&self, section: &str, value: &Value) -> Result<Value, StepError> {
        if section == "measure" {
            return Ok(
                json!({ "kernels": value.get("kernels").cloned().unwrap_or(json!([1, 3, 5])) }),
            );
        }
        let settings: TeachSettings = serde_json::from_value(value.clone())?;
        if settings.rate <= 0.0 {
            return Err(StepError::Study {
                message: format!("`rate` must be positive, not {}", settings.rate),
                hint: "try 0.1".into(),
            });
        }
        Ok(serde_json::to_value(settings)?)
    }

    fn run(&self, step: &str, context: &dyn StepContext) -> Result<(), StepError> {
        match step {
            "measure" => self.measure(context),
            "teach" => self.teach(context),
            _ => self.report(context),
        }
    }
}

impl Fake {
    fn measure(&self, context: &dyn StepContext) -> Result<(), StepError> {
        let kernels: Vec<usize> =
            serde_json::from_value(context.settings("measure")?["kernels"].clone())?;
        let queries: Vec<LatencyQuery> = kernels.iter().map(|k| query(*k)).collect();
        let latencies = context.latencies(&queries)?;
        let sum: f64 = latencies.iter().map(|latency| latency.ms).sum();
        context.tasks(vec![Task::new("sum", move |_, _| Ok(json!(sum)))], 1)?;
        context.say("measured");
        Ok(())
    }

    fn teach(&self, context: &dyn StepContext) -> Result<(), StepError> {
        let settings: TeachSettings = serde_json::from_value(context.settings("teach")?)?;
        assert_eq!(context.train_context()?.held_out.len(), 10);
        let task = |index: usize| {
            let name = format!("t{index}");
            let controls = self.0.clone();
            let last = settings.tasks - index;
            let work = move |files: &spacewright_core::method::TaskFiles, monitor: &dyn Monitor| {
                let name = format!("t{index}");
                let checkpoint = files.scratch.join("checkpoint");
                let resumed = checkpoint.exists();
                std::fs::write(&checkpoint, &name).unwrap();
                controls.ran.lock().unwrap().push(name.clone());
                if controls.is(&controls.fail, &name) {
                    return Err(StepError::Failed("out of luck".into()));
                }
                if controls.is(&controls.stop, &name) {
                    controls.cancel.store(true, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(5 * last as u64));
                assert!(!controls.is(&controls.panic, &name), "a bug");
                if monitor.cancelled() {
                    return Err(StepError::Cancelled);
                }
                monitor.progress(1, 1, "done");
                std::fs::create_dir(&files.output).unwrap();
                std::fs::write(files.output.join("weights"), &name).unwrap();
                Ok(json!({ "index": index, "resumed": resumed }))
            };
            Task::new(name, work)
        };
        let results = context.tasks((0..settings.tasks).map(task).collect(), 2)?;
        let order: Vec<u64> = results.iter().map(|r| r["index"].as_u64().unwrap()).collect();
        assert_eq!(order, (0..settings.tasks as u64).collect::<Vec<_>>());
        Ok(())
    }

    fn report(&self, context: &dyn StepContext) -> Result<(), StepError> {
        let sum = context.result("measure/sum")?;
        let weights = std::fs::read_to_string(context.path("teach/t0")?.join("weights")).unwrap();
        let steps: Vec<String> = context.seconds()?.into_keys().collect();
        self.0.ran.lock().unwrap().push("report".into());
        context.publish("reports/report.txt", format!("{sum} {weights} {steps:?}").as_bytes())?;
        Ok(())
    }
}

pub fn conv(kernel: usize) -> Graph {
    let mut b = GraphBuilder::new(Shape::square(3, 8));
    let x = b.conv("conv", b.input(), ConvSpec::new(4, kernel));
    b.finish(x)
}

pub fn query(kernel: usize) -> LatencyQuery {
    LatencyQuery { graph: conv(kernel), precision: Precision::Int8, position: Position::Inside }
}

pub struct FakeTarget(pub Arc<Controls>);

impl Target for FakeTarget {
    fn description(&self) -> TargetDescription {
        TargetDescription {
            scheme: Scheme {
                fused: Vec::new(),
                decomposed: Vec::new(),
                ..Scheme::common("fake", WeightRange::Bits8)
            },
            unsupported: self.0.unsupported.lock().unwrap().clone(),
            ..TargetDescription::modelled("fake-target", "", "fake")
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(FakeSource(self.0.clone())))
    }
}

pub struct FakeSource(pub Arc<Controls>);

impl LatencySource for FakeSource {
    fn name(&self) -> &str {
        "fake-source"
    }

    fn fingerprint(&self) -> String {
        self.0.fingerprint.lock().unwrap().clone()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let asked = self.0.asked.fetch_add(queries.len(), Ordering::Relaxed) + queries.len();
        let limit = self.0.break_after.load(Ordering::Relaxed);
        if limit > 0 && asked > limit {
            return Err(LatencyError::of(&queries[0], "out of reach"));
        }
        let answer =
            |query: &LatencyQuery| Latency::predicted(query.graph.macs().unwrap() as f64 / 3e6);
        Ok(queries.iter().map(answer).collect())
    }
}

pub struct FakeTrainer;

fn nothing<T>() -> Result<T, TrainError> {
    Err(TrainError::Other("trains nothing".into()))
}

impl Trainer for FakeTrainer {
    fn fingerprint(&self) -> String {
        "fake trainer 1".into()
    }

    fn teach(
        &self,
        _: &TrainContext,
        _: &TeachJob,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<TrainReport, TrainError> {
        nothing()
    }

    fn features(
        &self,
        _: &TrainContext,
        _: &FeaturesJob,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<f64, TrainError> {
        nothing()
    }

    fn distil(
        &self,
        _: &TrainContext,
        _: &DistilJob,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<DistilReport, TrainError> {
        nothing()
    }

    fn judge(
        &self,
        _: &TrainContext,
        _: &JudgeJob,
        _: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError> {
        nothing()
    }

    fn train(
        &self,
        _: &TrainContext,
        _: &SupernetJob,
        _: &Path,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        nothing()
    }

    fn evaluator(
        &self,
        _: &TrainContext,
        _: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError> {
        nothing()
    }
}

/// A folder with a registry of the fakes.
pub struct Bench {
    pub folder: TempDir,
    pub controls: Arc<Controls>,
    pub registry: Registry,
}

impl Bench {
    pub fn new() -> Self {
        let controls = Arc::new(Controls::default());
        let mut registry = Registry::default();
        for set in spacewright_operators_cnn::operator_sets() {
            registry.add_operators(set.name().to_owned(), set);
        }
        for quantizer in spacewright_quantizers::quantizers() {
            registry.add_quantizer(quantizer.name().to_owned(), quantizer);
        }
        let hyperspace = spacewright_engine::hyperspace::parse(HYPERSPACE, "tiny.toml").unwrap();
        registry.add_hyperspace("tiny", hyperspace);
        registry.add_target("fake-target", Arc::new(FakeTarget(controls.clone())));
        registry.add_method("fake", Arc::new(Fake(controls.clone())));
        registry.trainers.push(Arc::new(|_| vec![Arc::new(FakeTrainer) as Arc<dyn Trainer>]));
        Self { folder: tempfile::tempdir().unwrap(), controls, registry }
    }

    pub fn study(&self, text: &str) -> Result<Study, EngineError> {
        Study::parse("study.toml", text, self.folder.path(), &self.registry, &Overrides::default())
    }

    pub fn engine(&self, text: &str) -> Engine {
        self.engine_on(text, 2)
    }

    pub fn engine_on(&self, text: &str, threads: usize) -> Engine {
        self.open(text, threads).unwrap()
    }

    pub fn open(&self, text: &str, threads: usize) -> Result<Engine, EngineError> {
        self.controls.cancel.store(false, Ordering::Relaxed);
        let options = EngineOptions {
            runs: self.runs(),
            threads,
            home: self.folder.path().join("home"),
            observer: self.controls.clone(),
            cancel: self.controls.cancel.clone(),
        };
        Engine::open(self.study(text)?, &self.registry, options)
    }

    pub fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }
}
