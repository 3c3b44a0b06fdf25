//! What carriers cost: the same source linked in, as a native library and as a WebAssembly
//! component, asked the same questions in turn. `cargo bench --bench plugins` prints the smallest
//! time of each and its ratio to the linked-in one.
#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::json;
use spacewright_core::{
    graph::{ConvSpec, GraphBuilder, Shape},
    latency::{LatencyQuery, LatencySource, Position, Precision},
    quality::{Cell, Composition, FixedLatency, ScoreColumns},
    score::{PreparedScorer, ScoreProblem, Scorer},
    space::{Hyperspace, Space},
};
use spacewright_engine::{
    Registry,
    plugins::{CodeCache, Limits, Loaded, Loader, PluginFile, Trust},
};
use spacewright_q_t_score::QtScore;

const ROUNDS: usize = 20;
const KERNELS: usize = 10_000;
const KERNELS_PER_GRAPH: usize = 10;
const SPACES: usize = 100;

fn main() {
    // `cargo test --all-targets` runs this, too, without the flag of `cargo bench`.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    // Named, or the linker leaves out what the crate registers.
    let built_in = spacewright_operators_cnn::operator_sets();
    assert!(!built_in.is_empty());
    let home = tempfile::tempdir().unwrap();
    let loader = Loader {
        limits: Limits::default(),
        cache: Some(CodeCache::new(home.path())),
        compiler: None,
        trust: Some(Trust::new(home.path())),
    };
    let of = |name: &str| {
        let [wasm, native] = ["wasm", "native"].map(|carrier| build(home.path(), name, carrier));
        loader.trust.as_ref().unwrap().trust(&native, &PluginFile::read(&native).unwrap()).unwrap();
        [native, wasm]
    };
    let roofline = of("roofline");
    let q_t = of("q-t-guest");
    let load = |files: &[PathBuf; 2]| files.each_ref().map(|file| loader.load(file).unwrap());

    println!("one thread, smallest of {ROUNDS} rounds\n");
    // Filled by the first load.
    let libraries = load(&roofline);
    for (carrier, file) in ["native library", "component, from the cache"].iter().zip(&roofline) {
        let load = || drop(black_box(loader.load(file).unwrap()));
        println!("load a small {carrier:<28}{:>10.2} ms", 1e3 * smallest(&mut [&mut { load }])[0]);
    }
    latencies(&libraries);
    scores(&load(&q_t));
    calls(&libraries);
}

/// Builds one of the examples; the answer is the file.
fn build(home: &Path, name: &str, carrier: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_spacewright"))
        .args(["--json", "plugin", "build", "--carrier", carrier])
        .arg(root.join("examples/plugins").join(name))
        .env("CARGO_TARGET_DIR", root.join("target/plugins"))
        .env("SPACEWRIGHT_HOME", home)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{name} does not build");
    let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Where it was built, the next carrier's file may get the same name.
    let file = PathBuf::from(built["file"].as_str().unwrap());
    let copy = home.join(file.file_name().unwrap());
    fs::rename(&file, &copy).or_else(|_| fs::copy(&file, &copy).map(drop)).unwrap();
    copy
}

/// Seconds of the fastest round of each, asked in turn so that a busy machine slows down all.
fn smallest(all: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut best = vec![Duration::MAX; all.len()];
    for _ in 0..ROUNDS {
        for (ask, best) in all.iter_mut().zip(&mut best) {
            let start = Instant::now();
            ask();
            *best = start.elapsed().min(*best);
        }
    }
    best.iter().map(Duration::as_secs_f64).collect()
}

const CARRIERS: [&str; 3] = ["linked in", "native", "component"];

fn compare(what: &str, mut ask: [&mut dyn FnMut(); 3]) -> Vec<f64> {
    println!("\n{what}");
    let seconds = smallest(&mut ask);
    for (carrier, time) in CARRIERS.iter().zip(&seconds) {
        println!("{carrier:<12}{:>10.3} ms  {:.2}x", time * 1e3, time / seconds[0]);
    }
    seconds
}

fn registry(loaded: &Loaded) -> Registry {
    let mut registry = Registry::default();
    assert!(registry.add_plugin(&loaded.origin, &loaded.plugin).is_empty());
    registry
}

/// Chains of convolutions of many widths.
fn queries() -> Vec<LatencyQuery> {
    let query = |at: usize| {
        let mut b = GraphBuilder::new(Shape::square(8 + at % 7, 16));
        let mut x = b.input();
        for layer in 0..KERNELS_PER_GRAPH {
            let width = 8 + (at * 5 + layer * 3) % 61;
            x = b.conv(&format!("conv{layer}"), x, ConvSpec::new(width, 3));
        }
        LatencyQuery { graph: b.finish(x), precision: Precision::Int8, position: Position::Inside }
    };
    (0..KERNELS / KERNELS_PER_GRAPH).map(query).collect()
}

fn latencies(libraries: &[Loaded; 2]) {
    let queries = queries();
    let [native, component] =
        libraries.each_ref().map(|loaded| registry(loaded).latency_source("roofline").unwrap());
    let linked = roofline::Roofline;
    let expected = linked.latencies(&queries).unwrap();
    let ask = |source: &dyn LatencySource| {
        assert_eq!(source.latencies(black_box(&queries)).unwrap(), expected);
    };
    let what = format!("roofline of {KERNELS} kernels in one batch of columns");
    compare(&what, [&mut || ask(&linked), &mut || ask(&*native), &mut || ask(&*component)]);
}

/// Random rows for every cell.
fn problem(hyperspace: Hyperspace, rng: &mut Pcg64Mcg) -> ScoreProblem {
    let mut cells = BTreeMap::new();
    for cell in Cell::of_hyperspace(&hyperspace) {
        let mut columns = ScoreColumns::default();
        for &resolution in &hyperspace.resolutions {
            for &input in hyperspace.input_widths(cell.stage) {
                for &output in hyperspace.stages[cell.stage].window_widths(cell.window) {
                    for _ in 0..20 {
                        columns.input_width.push(input as u32);
                        columns.output_width.push(output as u32);
                        columns.resolution.push(resolution as u32);
                        columns.macs.push(1_000_000);
                        columns.params.push(10_000);
                        columns.loss.push(rng.random_range(0.1..0.5));
                        columns.latency_ms.push(rng.random_range(1.0..3.0));
                    }
                }
            }
        }
        let cell: Cell = cell;
        cells.insert(cell, columns);
    }
    let fixed = hyperspace.resolutions.iter().map(|resolution| (*resolution, 0.5)).collect();
    ScoreProblem {
        cells,
        fixed: FixedLatency::PerResolution(fixed),
        constraints_ms: vec![9.0],
        composition: Composition::Consistent,
        hyperspace,
    }
}

fn scores(libraries: &[Loaded; 2]) {
    let rng = &mut Pcg64Mcg::seed_from_u64(0);
    let hyperspace = Registry::built_in().unwrap().hyperspace("mini").unwrap();
    let problem = problem(hyperspace, rng);
    let spaces: Vec<Space> = (0..SPACES).map(|_| Space::random(&problem.hyperspace, rng)).collect();
    let [native, component] =
        libraries.each_ref().map(|loaded| registry(loaded).scorer("q-t-guest").unwrap());
    let scorers: [&dyn Scorer; 3] = [&QtScore, &*native, &*component];
    let run = |draws: usize, what: &str| {
        let options = json!({ "mode": "monte-carlo", "draws": draws, "top": 1 });
        let [linked, native, component] =
            scorers.map(|scorer| scorer.prepare(problem.clone(), &options).unwrap());
        let expected = linked.score(&spaces, 0).unwrap();
        let ask = |scorer: &dyn PreparedScorer| {
            assert_eq!(scorer.score(black_box(&spaces), 0).unwrap(), expected);
        };
        compare(what, [&mut || ask(&*linked), &mut || ask(&*native), &mut || ask(&*component)])
    };
    let all = run(10_000, &format!("Q-T scores of {SPACES} spaces, 10,000 draws each"));
    let least = run(1, "the same with one draw: little but calls and conversion");
    println!("calls and conversion of the component: {:.1} %", 100.0 * least[2] / all[2]);
}

/// Calls with nothing to do.
fn calls(libraries: &[Loaded; 2]) {
    const CALLS: usize = 10_000;
    let [native, component] = libraries;
    let source = component.plugin.latency_source.clone().unwrap();
    let pings = |loaded: &Loaded| (0..CALLS).for_each(|_| (loaded.ping)().unwrap());
    let mut questions = || {
        (0..CALLS).for_each(|_| drop(black_box(source.latencies(&[]).unwrap())));
    };
    let seconds = smallest(&mut [&mut || pings(native), &mut || pings(component), &mut questions]);
    println!("\ncalls with nothing to do");
    for (what, seconds) in ["native", "component", "component, an empty batch"].iter().zip(seconds)
    {
        println!("{what:<28}{:>8.1} ns", seconds / CALLS as f64 * 1e9);
    }
}
