//! A small method, target and trainer that count what they are asked.
#![allow(dead_code, missing_docs)]

mod stand_ins;
pub mod trainer;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smart_default::SmartDefault;
use spacewright_core::{
    graph::{ConvSpec, Graph, GraphBuilder, OpKind, Shape},
    latency::{Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision},
    quant::{Scheme, WeightRange},
    study::{
        AnyStep, Artifact, EarlierStep, FieldError, FileError, Method, Section, Step, StepContext,
        StepError, StepNeeds, Task, TaskField, TaskFiles,
    },
    target::{Target, TargetDescription, TargetError},
    train::{CurvePoint, Monitor},
};
use spacewright_engine::{
    Engine, EngineError, EngineOptions, Event, Observer, Overrides, Registry, Study, Threads,
};
use tempfile::TempDir;

use trainer::trainers;

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

/// Latencies of kernels.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureSettings {
    /// Sizes of kernels.
    #[default(vec![1, 3, 5])]
    kernels: Vec<usize>,
}

impl Section for MeasureSettings {
    const NAME: &'static str = "measure";
}

/// Some tasks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct TeachSettings {
    /// How many.
    #[default = 4]
    tasks: usize,
    /// A rate.
    #[default = 0.1]
    rate: f64,
    /// A table.
    phase: PhaseSettings,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PhaseSettings {
    /// A number.
    steps: usize,
}

impl Section for TeachSettings {
    const NAME: &'static str = "teach";

    fn check(&self) -> Result<(), FieldError> {
        if self.rate > 0.0 {
            return Ok(());
        }
        let reason = format!("must be positive, not {}", self.rate);
        Err(FieldError::refused(Self::NAME, "rate", reason, "try 0.1"))
    }
}

/// A method of three steps.
pub struct Fake(pub Arc<Controls>);

impl Method for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        let controls = || self.0.clone();
        vec![Arc::new(Measure), Arc::new(Teach(controls())), Arc::new(Report(controls()))]
    }

    fn earlier_steps(&self) -> Vec<EarlierStep> {
        let earlier =
            |name, reads, sections| EarlierStep { name, reads, sections, later_fields: &[] };
        vec![earlier("measure", &[], &["measure"]), earlier("report", &["measure", "teach"], &[])]
    }
}

pub struct Measure;

impl Measure {
    pub const SUM: Artifact<f64> = Artifact::new(Self::NAME, "sum");
}

impl Step for Measure {
    const NAME: &'static str = "measure";
    const SUMMARY: &'static str = "The step measure";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::LATENCIES;

    type Settings = MeasureSettings;
    type Output = f64;

    fn run(&self, context: &dyn StepContext, settings: MeasureSettings) -> Result<f64, StepError> {
        let queries: Vec<LatencyQuery> = settings.kernels.iter().map(|k| query(*k)).collect();
        let latencies = context.latencies(&queries)?;
        let sum: f64 = latencies.iter().map(|latency| latency.ms).sum();
        context.say("measured");
        context.task(Task::new(Self::SUM.task(), move |_, _| Ok(sum)))
    }
}

/// What a task of `teach` leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    pub index: usize,
    pub resumed: bool,
}

pub struct Teach(pub Arc<Controls>);

impl Teach {
    pub fn of(index: usize) -> Artifact<Taught> {
        Artifact::of_task(Self::NAME, format!("t{index}"))
    }

    fn work(
        &self,
        index: usize,
        last: usize,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<Taught, StepError> {
        let (controls, name) = (&self.0, format!("t{index}"));
        let checkpoint = files.scratch.join("checkpoint");
        let resumed = checkpoint.exists();
        std::fs::write(&checkpoint, &name).map_err(FileError::at(&checkpoint))?;
        controls.ran.lock().unwrap().push(name.clone());
        if controls.is(&controls.fail, &name) {
            return Err(StepError::method("out of luck"));
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
        for step in [1, 2, 2] {
            monitor.curve(&CurvePoint {
                phase: "only".into(),
                step,
                loss: Some(1.0 / step as f64),
                learning_rate: 0.1,
                held_out_accuracy: None,
            });
        }
        std::fs::create_dir(&files.output).map_err(FileError::at(&files.output))?;
        let weights = files.output.join("weights");
        std::fs::write(&weights, &name).map_err(FileError::at(&weights))?;
        Ok(Taught { index, resumed })
    }
}

impl Step for Teach {
    const NAME: &'static str = "teach";
    const SUMMARY: &'static str = "The step teach";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const SHARED: bool = true;
    const TASK_FIELDS: &'static [TaskField] = &[TaskField::new(TeachSettings::NAME, "tasks")];

    type Settings = TeachSettings;
    type Output = Vec<Taught>;

    fn run(
        &self,
        context: &dyn StepContext,
        settings: TeachSettings,
    ) -> Result<Vec<Taught>, StepError> {
        assert_eq!(context.train_context()?.images.held_out.len(), 10);
        let task = |index: usize| {
            let last = settings.tasks - index;
            Task::new(Self::of(index).task(), move |files, monitor| {
                self.work(index, last, files, monitor)
            })
        };
        let results = context.tasks_anywhere((0..settings.tasks).map(task).collect(), 2)?;
        let order: Vec<usize> = results.iter().map(|taught| taught.index).collect();
        assert_eq!(order, (0..settings.tasks).collect::<Vec<_>>());
        Ok(results)
    }
}

pub struct Report(pub Arc<Controls>);

impl Step for Report {
    const NAME: &'static str = "report";
    const SUMMARY: &'static str = "The step report";
    const READS: &'static [&'static str] = &[Measure::NAME, Teach::NAME];
    const NEEDS: StepNeeds = StepNeeds::LATENCIES;

    type Settings = ();
    type Output = ();

    fn run(&self, context: &dyn StepContext, (): ()) -> Result<(), StepError> {
        let sum = context.get(&Measure::SUM)?;
        let folder = context.file(&Teach::of(0))?;
        let weights = folder.join("weights");
        let weights = std::fs::read_to_string(&weights).map_err(FileError::at(&weights))?;
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

    fn measures(&self) -> bool {
        true
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
        registry.add_operators("stand-in", stand_ins::operator_set());
        registry.add_quantizer("lsq-plus", stand_ins::quantizer());
        let hyperspace = spacewright_engine::hyperspace::parse(HYPERSPACE, "tiny.toml").unwrap();
        registry.add_hyperspace("tiny", hyperspace);
        registry.add_target("fake-target", Arc::new(FakeTarget(controls.clone())));
        registry.add_method("fake", Arc::new(Fake(controls.clone())));
        registry.trainers.push(Arc::new(trainers));
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
            threads: Threads::InAll(threads),
            home: self.folder.path().join("home"),
            observer: self.controls.clone(),
            cancel: self.controls.cancel.clone(),
            task_command: None,
        };
        Engine::open(self.study(text)?, &self.registry, options)
    }

    pub fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }
}
