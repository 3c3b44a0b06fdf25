//! Plugins as native libraries, through the same doors as in the program.

#![cfg(feature = "native-plugins")]

mod libraries;

/// The code of one of the libraries, linked into this test.
#[path = "../fixtures/native/good.rs"]
mod good;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use spacewright_engine::{
    EngineError, ErrorKind, Origin, Registry,
    plugins::{Limits, Loaded, Loader, PluginFile, PluginStore, Trust},
};
use spacewright_sdk::{
    Kind,
    core::{
        operators::Operators,
        quant::{IntegerNetwork, Rounding},
        target::{ModelInfo, ModelOutputs},
    },
    prelude::*,
    serde_json::json,
};
use tempfile::TempDir;

use crate::libraries::library;

/// A program's home.
struct Home {
    folder: TempDir,
    trust: Trust,
    loader: Loader,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::new(folder.path());
        let loader = Loader { trust: Some(trust.clone()), ..Loader::default() };
        Self { folder, trust, loader }
    }

    fn load(&self, name: &str) -> Result<Loaded, EngineError> {
        let path = library(name);
        self.trust.trust(&path, &PluginFile::read(&path).unwrap())?;
        self.loader.load(&path)
    }

    fn refusal(&self, name: &str) -> String {
        let error = self.load(name).err().expect("it loads");
        assert_eq!(error.kind, ErrorKind::Plugin);
        assert!(!error.to_string().contains('\n') && error.to_string().len() < 900, "{error}");
        error.to_string()
    }
}

fn registry_of(loaded: &Loaded) -> Registry {
    let mut registry = Registry::default();
    let taken = registry.add_plugin(&loaded.origin, &loaded.plugin);
    assert!(taken.is_empty(), "{taken:?}");
    registry
}

fn request(kernel: f64) -> BlockRequest {
    BlockRequest {
        block: "native-conv".into(),
        input: Shape::square(3, 32),
        out_channels: 8,
        stride: 2,
        activation: ActivationKind::HSwish,
        config: BlockConfig::of(&[("kernel", kernel)]),
    }
}

fn query(kernel: f64) -> LatencyQuery {
    let graph = good::Operators.graphs(&[request(kernel)]).unwrap().remove(0);
    LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside }
}

fn statistics(max: f32) -> TensorStats {
    TensorStats { min: -0.1, max, mean_abs: max / 7.0 }
}

fn problem() -> ScoreProblem {
    let hyperspace = spacewright_engine::hyperspace::parse(good::HYPERSPACE, "test").unwrap();
    let rows = |start: f64| ScoreColumns {
        loss: (1..50).map(|at| start / f64::from(at)).collect(),
        latency_ms: (1..50).map(|at| start + f64::from(at).sqrt()).collect(),
        ..ScoreColumns::default()
    };
    let cells = [(0, 0.1), (1, 0.7)]
        .map(|(window, start)| (Cell { stage: 0, block: 0, window }, rows(start)));
    ScoreProblem {
        hyperspace,
        cells: BTreeMap::from(cells),
        fixed: FixedLatency::PerResolution(BTreeMap::from([(32, 0.1)])),
        constraints_ms: vec![0.3, 1.0 / 3.0],
        composition: Composition::Consistent,
    }
}

#[test]
fn a_library_answers_like_the_same_code_linked_in() {
    let loaded = Home::new().load("good").unwrap();
    assert_eq!(loaded.origin.to_string(), "plugin `good` 1.2.3");
    assert_eq!(loaded.interface, spacewright_sdk::INTERFACE);
    let kinds = good::plugin().kinds();
    assert_eq!(loaded.plugin.kinds(), kinds);
    let registry = registry_of(&loaded);

    let set = registry.operator_set("native-operators").unwrap();
    assert_eq!(set.block_types(), good::Operators.block_types());
    let requests = [request(3.0), request(5.0)];
    assert_eq!(set.graphs(&requests).unwrap(), good::Operators.graphs(&requests).unwrap());
    assert_eq!(
        set.graphs(&[request(1.5)]).unwrap_err().to_string(),
        "plugin `good` 1.2.3, `graphs`: block `native-conv`: kernel = 1.5 is not a positive whole number"
    );

    let hyperspace = registry.hyperspaces.get("native_toy").unwrap();
    hyperspace.validate(&Operators::new([set]).unwrap()).unwrap();

    let quantizer = registry.quantizer("thirds").unwrap();
    assert!(quantizer.learnable());
    let channels = [statistics(0.3), statistics(f32::MIN_POSITIVE)];
    let items = channels.map(|channel| (channel, ActivationRange::default()));
    assert_eq!(quantizer.activations(&items), good::Thirds.activations(&items));
    let range = WeightRange::PairAware8;
    assert_eq!(quantizer.weights(&channels, range), good::Thirds.weights(&channels, range));
    let error = quantizer.weights(&[], range).unwrap_err().to_string();
    assert_eq!(
        error,
        "quantizer `thirds`: plugin `good` 1.2.3, `weights`: a tensor without channels"
    );

    let target = registry.target("native-npu").unwrap();
    assert_eq!(target.description(), good::Npu.description());
    let source = target.latency_source().unwrap();
    let queries = [query(3.0), query(5.0), query(7.0)];
    assert_eq!(source.latencies(&queries), good::Npu.latencies(&queries));
    assert!(source.fingerprint().ends_with("; 1 GMAC/s"), "{}", source.fingerprint());

    let costs = loaded.meter.costs();
    assert!(costs["weights"].calls >= 2 && costs["graphs"].total_ns > 0, "{costs:?}");
    assert_eq!(costs["latencies"].fuel, 0);
    (loaded.ping)().unwrap();
}

#[test]
fn a_librarys_scores_are_those_of_the_same_code_bit_for_bit() {
    let loaded = Home::new().load("good").unwrap();
    let theirs = registry_of(&loaded).scorer("mixer").unwrap();
    let error = theirs.prepare(problem(), &json!({})).err().unwrap();
    assert_eq!(error.to_string(), "plugin `good` 1.2.3, `prepare`: needs `factor`");
    let options = json!({ "factor": 0.1 });
    let theirs = theirs.prepare(problem(), &options).unwrap();
    let ours = good::Mixer.prepare(problem(), &options).unwrap();
    let space =
        |window| Space { hyperspace: "native_toy".into(), blocks: vec![0], windows: vec![window] };
    let spaces = [space(0), space(1), space(2)];
    let bits = |scorer: &dyn PreparedScorer, seed| -> Vec<u64> {
        let scores = scorer.score(&spaces, seed).unwrap();
        let parts = scores.iter().flat_map(|score| &score.constraints);
        let parts = parts.flat_map(|part| [part.limit_ms, part.loss, part.penalty, part.score]);
        scores.iter().map(|score| score.score).chain(parts).map(f64::to_bits).collect()
    };
    thread::scope(|scope| {
        for seed in 0..4 {
            let (theirs, ours) = (&theirs, &ours);
            scope.spawn(move || {
                assert_eq!(bits(theirs.as_ref(), seed), bits(ours.as_ref(), seed));
            });
        }
    });
    drop(theirs);
    assert_eq!(loaded.meter.costs()["release"].calls, 1);
}

#[test]
fn a_library_writes_and_runs_models() {
    let loaded = Home::new().load("good").unwrap();
    let target = registry_of(&loaded).deployable("native-npu", "").unwrap();
    assert!(target.has_runtime());
    let runtime = target.runtime().unwrap();
    let graph = query(3.0).graph;
    let network = IntegerNetwork {
        graph,
        values: vec![None],
        weights: BTreeMap::new(),
        rounding: Rounding::Float,
    };
    let info = ModelInfo { name: "net".into(), ..ModelInfo::default() };
    let bytes = runtime.write_integer(&network, &info, ModelOutputs::Integers).unwrap();
    assert_eq!(bytes, b"net\x03\x01");
    let mut model = runtime.load(b"first").unwrap();
    let mut second = runtime.load(b"second").unwrap();
    assert_eq!(model.run(&[0.25, 0.5]).unwrap(), [0.75, 1.0]);
    assert_eq!(model.run(&[0.25]).unwrap(), [0.25, 2.0]);
    assert_eq!(second.run(&[]).unwrap(), [0.0, 1.0]);
    assert_eq!(second.run_integers(&[]).unwrap()["model"], b"second");
    drop(second);
    assert_eq!(model.float_operators().unwrap(), ["Softmax (last)"]);
    let network =
        spacewright_core::quant::FloatNetwork { graph: network.graph, weights: BTreeMap::new() };
    let error = runtime.write_float(&network, &info).unwrap_err().to_string();
    assert_eq!(error, "target `native-npu`: plugin `good` 1.2.3, `write-float`: integers only");
    assert_eq!(runtime.fingerprint(), "Abacus 3.1");
}

#[test]
fn two_libraries_answer_as_themselves() {
    let home = Home::new();
    let good = home.load("good").unwrap();
    let other = home.load("other").unwrap();
    assert_eq!(other.origin.to_string(), "plugin `other` 2.0.0");
    let mut registry = registry_of(&good);
    assert!(registry.add_plugin(&other.origin, &other.plugin).is_empty());
    let items = [(TensorStats { min: 0.0, max: 6.0, mean_abs: 1.0 }, ActivationRange::default())];
    let scale = |name| registry.quantizer(name).unwrap().activations(&items).unwrap()[0].0;
    assert_eq!((scale("thirds"), scale("halves")), (2.0, 3.0));
    assert_eq!(registry.loaded(Kind::Quantizer, "halves").unwrap().plugin, "other");
}

#[test]
fn a_panic_is_an_error_that_says_where() {
    let loaded = Home::new().load("panics").unwrap();
    let registry = registry_of(&loaded);
    let set = registry.operator_set("nervous").unwrap();
    for _ in 0..2 {
        let request = BlockRequest { block: "nerve".into(), ..request(3.0) };
        let error = set.graphs(&[request]).unwrap_err().to_string();
        assert!(error.starts_with("plugin `panics` 1.0.0, `graphs`: it panicked at "), "{error}");
        assert!(error.contains("panics.rs:"), "{error}");
        assert!(error.ends_with("no idea how to draw a `nerve`"), "{error}");
    }
    let scorer = registry.scorer("nervous").unwrap();
    let error = scorer.prepare(problem(), &json!({})).err().unwrap().to_string();
    assert!(error.starts_with("plugin `panics` 1.0.0, `prepare`: it panicked at "), "{error}");
}

#[test]
fn wrong_answers_are_errors_that_name_plugin_and_call() {
    let loaded = Home::new().load("wrong").unwrap();
    let registry = registry_of(&loaded);
    let source = registry.latency_source("wrong-source").unwrap();
    assert!(source.fingerprint().ends_with(r"; wrong\u{1b}[31m"), "{:?}", source.fingerprint());
    let error = source.latencies(&[query(3.0)]).unwrap_err().reason.to_string();
    assert!(error.starts_with("plugin `wrong` 1.0.0, `latencies`: graph "), "{error}");
    assert!(error.ends_with(": NaN ± 0 ms"), "{error}");
    let error = source.latencies(&[query(3.0), query(5.0)]).unwrap_err().reason.to_string();
    assert_eq!(error, "plugin `wrong` 1.0.0, `latencies`: 3 answers to 2 questions");
    let quantizer = registry.quantizer("wrong-quantizer").unwrap();
    let items = [(statistics(1.0), ActivationRange::default())];
    let error = quantizer.activations(&items).unwrap_err().reason.to_string();
    assert_eq!(error, "plugin `wrong` 1.0.0, `activations`: 0 answers to 1 questions");
    let error =
        quantizer.weights(&[statistics(1.0)], WeightRange::Bits7).unwrap_err().reason.to_string();
    assert_eq!(error, "plugin `wrong` 1.0.0, `weights`: item 0: scale -1, offset 0");
}

#[test]
fn an_answer_that_is_too_long_is_refused() {
    let home = Home::new();
    let path = library("good");
    home.trust.trust(&path, &PluginFile::read(&path).unwrap()).unwrap();
    let limits = Limits { answer: 5000, ..Limits::default() };
    let loader = Loader { limits, ..home.loader.clone() };
    let quantizer = loader.load(&path).unwrap().plugin.quantizer.unwrap();
    let channels = |count| vec![statistics(1.0); count];
    assert!(quantizer.weights(&channels(100), WeightRange::Bits8).is_ok());
    let error =
        quantizer.weights(&channels(1000), WeightRange::Bits8).unwrap_err().reason.to_string();
    assert!(error.starts_with("`weights`: an answer of 50"), "{error}");
    assert!(error.ends_with(" bytes; at most 5000 are allowed"), "{error}");
}

#[test]
fn what_is_no_plugin_of_this_version_says_why_in_one_line() {
    let home = Home::new();
    let refusal = home.refusal("plain");
    assert!(refusal.contains("no plugin: it has no root module; call `spacewright_sdk::export!`"));
    let refusal = home.refusal("outdated");
    let versions = format!(
        "it is built with version 0.0.9 of `spacewright-sdk`, this program has {}: build it with",
        env!("CARGO_PKG_VERSION")
    );
    assert!(refusal.contains(&versions), "{refusal}");
    let refusal = home.refusal("interface");
    assert!(refusal.contains("built for version 9.0.0 of the interface"), "{refusal}");
    let refusal = home.refusal("layout");
    assert!(refusal.contains("its root module has another layout ("), "{refusal}");
    assert!(refusal.contains(", expected spacewright-plugin, found layout"), "{refusal}");
    let refusal = home.refusal("misnamed");
    assert!(refusal.contains("`name`: `../etc` cannot be the name"), "{refusal}");
}

#[test]
fn a_truncated_library_is_refused_in_one_line() {
    let home = Home::new();
    let bytes = fs::read(library("good")).unwrap();
    for length in [20, 1000, bytes.len() / 2, bytes.len() - 1] {
        let path = home.folder.path().join("half");
        fs::write(&path, &bytes[..length]).unwrap();
        home.trust.trust(&path, &PluginFile::read(&path).unwrap()).unwrap();
        let error = home.loader.load(&path).err().unwrap().to_string();
        assert!(error.contains(&format!(": it has {length} bytes")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

fn copy_of(name: &str, folder: &Path) -> std::path::PathBuf {
    let path = folder.join(library(name).file_name().unwrap());
    fs::copy(library(name), &path).unwrap();
    path
}

#[test]
fn an_untrusted_library_is_not_loaded() {
    let home = Home::new();
    for loader in [&home.loader, &Loader::default()] {
        let error = loader.load(&library("good")).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Plugin);
        assert!(error.to_string().ends_with("a native library that is not trusted"), "{error}");
        assert!(error.hint.unwrap().contains("`spacewright plugin trust "));
    }
}

#[test]
fn a_library_that_changed_is_no_longer_trusted() {
    let home = Home::new();
    let path = copy_of("good", home.folder.path());
    home.trust.trust(&path, &PluginFile::read(&path).unwrap()).unwrap();
    fs::copy(library("other"), &path).unwrap();
    let error = home.loader.load(&path).err().unwrap();
    assert!(error.to_string().ends_with("it has changed since it was trusted"), "{error}");
    home.trust.trust(&path, &PluginFile::read(&path).unwrap()).unwrap();
    assert_eq!(home.loader.load(&path).unwrap().origin.plugin, "other");
}

#[test]
fn an_installed_library_is_loaded_as_long_as_it_is_trusted() {
    let home = Home::new();
    let path = copy_of("other", home.folder.path());
    let store = PluginStore::new(home.folder.path(), Limits::default(), None);
    let error = store.install(&path).err().unwrap();
    assert!(error.to_string().ends_with("a native library that is not trusted"), "{error}");
    assert!(store.list().unwrap().is_empty());

    let trusted = home.trust.trust(&path, &PluginFile::read(&path).unwrap()).unwrap();
    let (installed, replaced) = store.install(&path).unwrap();
    assert_eq!(installed.sha256, trusted.sha256);
    assert!(replaced.is_none());
    fs::remove_file(&path).unwrap();
    let mut registry = Registry::default();
    store.add_to(&mut registry).unwrap();
    assert!(registry.quantizer("halves").is_ok());
    let origin: &Origin = registry.loaded(Kind::Quantizer, "halves").unwrap();
    assert_eq!(origin.sha256, trusted.sha256);

    home.trust.revoke(&trusted.sha256).unwrap();
    let error = store.load(&installed).err().unwrap();
    assert!(error.to_string().ends_with("a native library that is not trusted"), "{error}");
    let mut registry = Registry::default();
    store.add_to(&mut registry).unwrap();
    let error = registry.quantizer("halves").err().unwrap();
    assert!(error.hint.unwrap().contains("the plugin `other` is not used: "));

    fs::write(store.file(&installed), b"\x7fELF changed").unwrap();
    let error = store.load(&installed).err().unwrap();
    assert_eq!(error.to_string(), "the file of plugin `other` was changed");
}

/// Keeps the messages of events.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Messages {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl tracing::Subscriber for Messages {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_a_library_says_goes_to_the_log() {
    let loaded = Home::new().load("good").unwrap();
    let source = loaded.plugin.target.unwrap().latency_source().unwrap();
    let messages = Messages::default();
    tracing::subscriber::with_default(messages.clone(), || source.latencies(&[query(3.0)]))
        .unwrap();
    assert!(messages.0.lock().unwrap().contains(&"plugin: counting".to_owned()));
}
