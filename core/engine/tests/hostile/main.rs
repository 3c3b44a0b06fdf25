//! Plugins that are wrong or evil: each gives one clear error within its limits, and everything
//! else goes on.
#![cfg(feature = "wasm-plugins")]

mod bombs;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod guest;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Instant};

use common::{Bench, HYPERSPACE, STUDY};
use guest::{ANSWER, COLUMNS, Guest, answer, component, error, good, timed, upside_down};
use serde_json::Value;
use spacewright_core::{
    graph::{ConvSpec, GraphBuilder, Shape},
    latency::{LatencyQuery, LatencySource, Position, Precision},
    operators::{BlockConfig, BlockRequest},
    quality::{Composition, FixedLatency},
    quant::{TensorStats, WeightRange},
    score::ScoreProblem,
    space::Space,
};
use spacewright_engine::{
    Registry, hyperspace,
    plugins::{Limits, Loaded, Loader},
};

/// Small enough to be reached within a second.
fn limits() -> Limits {
    Limits {
        start_fuel: 50_000_000,
        call_fuel: 100_000_000,
        item_fuel: 0,
        memory: 256 << 20,
        answer: 1 << 20,
        stack: 256 << 10,
        ..Limits::default()
    }
}

fn load(bytes: &[u8]) -> Result<Loaded, String> {
    load_within(bytes, limits())
}

fn load_within(bytes: &[u8], limits: Limits) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("plugin.wasm");
    fs::write(&file, bytes).unwrap();
    let loader = Loader { limits, ..Loader::default() };
    let shorten = |message: String| message.replace(&*file.to_string_lossy(), "FILE");
    loader.load(&file).map_err(|error| shorten(error.to_string()))
}

/// Its latency source, as the engine uses it.
fn source(bytes: &[u8]) -> Arc<dyn LatencySource> {
    let loaded = load(bytes).unwrap();
    let mut registry = Registry::default();
    assert!(registry.add_plugin(&loaded.origin, &loaded.plugin).is_empty());
    registry.latency_source("guest").unwrap()
}

fn queries(count: usize) -> Vec<LatencyQuery> {
    let query = |width: usize| {
        let mut b = GraphBuilder::new(Shape::square(3, 8));
        let x = b.conv("c", b.input(), ConvSpec::new(width, 3));
        let graph = b.finish(x);
        LatencyQuery { graph, precision: Precision::Int8, position: Position::Inside }
    };
    (1..=count).map(query).collect()
}

fn ask(guest: Guest) -> Result<Vec<f64>, String> {
    let answers = source(&guest.component()).latencies(&queries(2));
    let answers = answers.map_err(|error| error.to_string())?;
    Ok(answers.iter().map(|answer| answer.ms).collect())
}

/// One case: a name for failures, what happens, and a part of the error.
type Case = (&'static str, Result<Vec<f64>, String>, &'static str);

fn check(cases: Vec<Case>) {
    for (name, outcome, part) in cases {
        let error = outcome.expect_err(name);
        assert!(error.contains(part), "{name}: {error}");
        let harmless = error.chars().all(|c| !c.is_control());
        assert!(harmless && error.len() < 1500, "{name}: {error:?}");
    }
    assert_eq!(ask(Guest::default()), Ok(vec![1.0; 2]), "a good guest is still served");
}

fn latencies(body: impl Into<String>) -> Result<Vec<f64>, String> {
    ask(Guest { latencies: body.into(), ..Guest::default() })
}

fn starting(guest: Guest) -> Result<Vec<f64>, String> {
    load(&guest.component()).map(|_| Vec::new())
}

fn file(bytes: &[u8]) -> Result<Vec<f64>, String> {
    load(bytes).map(|_| Vec::new())
}

const FOREVER: &str = "(loop $forever (br $forever))";

#[test]
fn endless_work_and_endless_memory_are_stopped() {
    let start = Instant::now();
    let recursion = "(func $deep (param i32) (result i32)
        (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))";
    let deep = Guest {
        latencies: "(drop (call $deep (i32.const 0))) (unreachable)".into(),
        more: recursion.into(),
        ..Guest::default()
    };
    let growth = "(loop $more (drop (memory.grow (i32.const 100))) (br $more)) (unreachable)";
    let slow = Guest { start: FOREVER.into(), ..Guest::default() };
    let table = "(table $t 1 funcref)";
    let tables = Guest {
        more: table.into(),
        latencies: "(drop (table.grow $t (ref.null func) (i32.const 10000000))) (unreachable)"
            .into(),
        ..Guest::default()
    };
    let memories = Guest {
        more: (0..8).map(|i| format!("(memory $m{i} 1)")).collect(),
        latencies: (0..8)
            .map(|i| format!("(drop (memory.grow $m{i} (i32.const 1000)))"))
            .chain(["(unreachable)".into()])
            .collect(),
        ..Guest::default()
    };
    check(vec![
        ("memories", ask(memories), "bytes of memory; at most 268435456 are allowed"),
        ("loop", latencies(format!("{FOREVER} (unreachable)")), "stopped after 100000000 instr"),
        (
            "loop in describe",
            starting(Guest { describe: FOREVER.into(), ..Guest::default() }),
            "`about`: stopped after",
        ),
        ("slow instantiation", starting(slow), "`instantiation`: stopped after"),
        ("recursion", ask(deep), "nested too deeply"),
        ("memory", latencies(growth), "memory"),
        ("table", ask(tables), "table"),
        ("memory at the start", starting(Guest { pages: 8192, ..Guest::default() }), "memory"),
    ]);
    assert!(start.elapsed().as_secs() < 60, "limits hold on slow machines too");
}

#[test]
fn wrong_latencies_name_plugin_call_and_graph() {
    let other = "(global $asked (mut i32) (i32.const 0))";
    let different = Guest {
        more: other.into(),
        latencies: format!(
            "(global.set $asked (i32.add (global.get $asked) (i32.const 1))) {}",
            good("(f64.convert_i32_u (global.get $asked))")
        ),
        ..Guest::default()
    };
    let two = "(local.get $graphs)";
    check(vec![
        ("NaN", latencies(good("(f64.const nan)")), ": NaN ± 0 ms"),
        ("infinite", latencies(good("(f64.const inf)")), "inf ± 0 ms"),
        ("negative", latencies(good("(f64.const -1)")), "-1 ± 0 ms"),
        ("zero", latencies(good("(f64.const 0)")), "0 ± 0 ms"),
        (
            "too few",
            latencies(answer("(f64.const 1)", "(i32.const 1)", "(i32.const 1)")),
            "1 answers to 2 questions",
        ),
        (
            "too many",
            latencies(answer("(f64.const 1)", "(i32.const 9)", "(i32.const 9)")),
            "9 answers to 2 questions",
        ),
        (
            "ragged",
            latencies(answer("(f64.const 1)", two, "(i32.const 7)")),
            "columns have the lengths [2, 2, 7, 2, 2]",
        ),
        ("timed", latencies(timed("(f64.const 1)")), "but a component cannot measure"),
        ("upside down", latencies(upside_down("(f64.const 1)")), "from 1 to 0 ms"),
        (
            "precision",
            starting(Guest { precisions: "fp32int4".into(), ..Guest::default() }),
            "`precisions`: unknown variant `int4`",
        ),
        ("moody", ask(different), "a different answer when asked again"),
    ]);
}

#[test]
fn answers_that_cannot_be_read_are_refused() {
    let long = |length: &str| {
        format!(
            "(i32.store8 (i32.const {ANSWER}) (i32.const 0))
             (i32.store (i32.const {}) (i32.const 0))
             (i32.store (i32.const {}) {length})
             (i32.const {ANSWER})",
            ANSWER + 4,
            ANSWER + 8
        )
    };
    let huge = Guest { latencies: long("(i32.const 12500000)"), pages: 1700, ..Guest::default() };
    check(vec![
        ("100 MB", ask(huge), "an answer of more than 65664 bytes"),
        ("outside of memory", latencies(long("(i32.const 100000000)")), "out of bounds"),
        ("answer outside of memory", latencies("(i32.const -16)"), "out of bounds"),
        ("unaligned", latencies("(i32.const 3)"), "align"),
        (
            "no such case",
            latencies(format!(
                "(i32.store8 (i32.const {ANSWER}) (i32.const 9)) (i32.const {ANSWER})"
            )),
            "discriminant",
        ),
        ("trap", latencies("(unreachable)"), "`latencies`: it panicked"),
        ("long message", latencies(error(0, "(i32.const 100000)")), "`latencies`"),
        (
            "escapes in a message",
            {
                let more = r#"(data (i32.const 100) "red \1b[31m and \07 bell")"#.into();
                ask(Guest { latencies: error(100, "(i32.const 20)"), more, ..Guest::default() })
            },
            r"red \u{1b}[31m and",
        ),
        (
            "division",
            latencies(
                "(drop (i32.div_u (i32.const 1) (i32.sub (local.get $graphs) (local.get $graphs)))) (unreachable)",
            ),
            "divide by zero",
        ),
    ]);
}

#[test]
fn the_last_words_are_shown_and_floods_are_not() {
    let more = r#"(data (i32.const 100) "out of ideas")"#;
    let said = Guest {
        more: more.into(),
        latencies: "(call $log (i32.const 100) (i32.const 12)) (unreachable)".into(),
        ..Guest::default()
    };
    let flood =
        "(loop $more (call $log (i32.const 16384) (i32.const 40000)) (br $more)) (unreachable)";
    check(vec![
        ("last words", ask(said), "it panicked; the last that it said: out of ideas"),
        ("flood", latencies(flood), "more than 100 messages in one call"),
    ]);
}

/// A guest with more memory that offers more, by these functions.
fn offering(functions: &str) -> Result<Loaded, String> {
    let guest = Guest { pages: 20, ..Guest::default() }.text();
    let end = guest.rfind(')').unwrap();
    load_within(&component(&format!("{}{functions})", &guest[..end])), limits())
}

/// What the engine says of a block whose graph is this text.
fn graph(text: &str, input: Shape, out_channels: usize) -> Result<(), String> {
    let at = 131_072;
    let loaded = offering(&format!(
        r#"(data (i32.const {at}) "{}")
        ;; One block type, named like the plugin, without axes.
        (data (i32.const 3008) "\00\0c\00\00\01\00\00\00")
        (data (i32.const 3072) "\40\00\00\00\05\00\00\00\40\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00")
        (func (export "spacewright:plugin/operator-set@0.1.0#name") (result i32) (i32.const 32))
        (func (export "spacewright:plugin/operator-set@0.1.0#block-types") (result i32)
          (i32.const 3008))
        (func (export "spacewright:plugin/operator-set@0.1.0#graphs")
          (param i32 i32) (result i32)
          ;; The answer: good, a list of one text.
          (i32.store (i32.const 2304) (i32.const {at}))
          (i32.store (i32.const 2308) (i32.const {}))
          (i32.store8 (i32.const 2048) (i32.const 0))
          (i32.store (i32.const 2052) (i32.const 2304))
          (i32.store (i32.const 2056) (i32.const 1))
          (i32.const 2048))"#,
        text.replace('\n', "\\n"),
        text.len()
    ))?;
    let mut registry = Registry::default();
    assert!(registry.add_plugin(&loaded.origin, &loaded.plugin).is_empty());
    let request = BlockRequest {
        block: "guest".into(),
        input,
        out_channels,
        stride: 1,
        activation: spacewright_core::graph::ActivationKind::Relu,
        config: BlockConfig::default(),
    };
    registry.operators().graph(&request).map(drop).map_err(|error| error.to_string())
}

#[test]
fn wrong_graphs_are_refused() {
    let set = |text: &str| graph(text, Shape::square(4, 8), 8).map(|()| Vec::new());
    let conv = |out: &str| {
        format!(
            "input 4x8x8\nc = conv2d(input) out={out} kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\noutput c"
        )
    };
    assert!(set(&conv("8")).is_ok());
    check(vec![
        ("nonsense", set("what is a graph?"), "`graphs`: block `guest`: line 1"),
        ("channels", set(&conv("9")), "asked for 8 output channels, got 9x8x8"),
        ("huge", set(&conv("99999999")), "sizes are at most"),
        (
            "huge kernel",
            set(&conv("8").replace("kernel=1", "kernel=18446744073709551615")),
            "kernel 18446744073709551615 is larger",
        ),
        (
            "huge padding",
            set(&conv("8").replace("0,0,0,0", "18446744073709551615,1,1,1")),
            "node `c`",
        ),
        ("no stride", set(&conv("8").replace("stride=1", "stride=0")), "stride"),
        ("huge input", set("input 4294967296x4294967296x4294967296\noutput input"), "at most"),
        ("overflow", set(&conv("18446744073709551615")), "sizes are at most"),
        ("identity", set("input 4x8x8\noutput input"), "asked for 8 output channels, got 4x8x8"),
        ("other input", set("input 5x8x8\noutput input"), "asked for an input of 4x8x8, got 5x8x8"),
    ]);
}

#[test]
fn wrong_scales_are_refused() {
    let quantizer = |scale: &str, count: usize| {
        let loaded = offering(&format!(
            r#"(func (export "spacewright:plugin/quantizer@0.1.0#name") (result i32) (i32.const 32))
            (func (export "spacewright:plugin/quantizer@0.1.0#learnable") (result i32) (i32.const 0))
            (func (export "spacewright:plugin/quantizer@0.1.0#activations")
              (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable))
            (func (export "spacewright:plugin/quantizer@0.1.0#weights")
              (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
              (f32.store (i32.const 1024) (f32.const {scale}))
              (i32.store8 (i32.const 2048) (i32.const 0))
              (i32.store (i32.const 2052) (i32.const 1024))
              (i32.store (i32.const 2056) (i32.const {count}))
              (i32.const 2048))"#
        ))
        .unwrap();
        let mut registry = Registry::default();
        assert!(registry.add_plugin(&loaded.origin, &loaded.plugin).is_empty());
        let stats = TensorStats { min: -1.0, max: 1.0, mean_abs: 0.5 };
        let scales = registry.quantizer("guest").unwrap().weights(&[stats], WeightRange::Bits7);
        scales.map(|_| Vec::new()).map_err(|error| error.to_string())
    };
    assert!(quantizer("0.5", 1).is_ok());
    check(vec![
        (
            "negative scale",
            quantizer("-0.5", 1),
            "plugin `guest` 1.0.0, `weights`: item 0: scale -0.5",
        ),
        ("scale that is no number", quantizer("nan", 1), "scale NaN"),
        ("two scales", quantizer("0.5", 2), "2 answers to 1 questions"),
    ]);
}

#[test]
fn wrong_scores_are_refused() {
    let scored = |score: &str, feasible: &str, parts: usize| {
        // As long as the first list of the question: there is one stage.
        let column = |field: usize, factor: usize| {
            format!(
                "(i32.store (i32.const {}) (i32.const {COLUMNS}))
                 (i32.store (i32.const {}) (i32.mul (local.get 2) (i32.const {factor})))",
                ANSWER + 4 + 8 * field,
                ANSWER + 8 + 8 * field
            )
        };
        let at = COLUMNS + 8;
        let loaded = offering(&format!(
            r#"(func (export "spacewright:plugin/scorer@0.1.0#name") (result i32) (i32.const 32))
            (func (export "spacewright:plugin/scorer@0.1.0#prepare") (param i32) (result i32)
              (i32.store8 (i32.const {ANSWER}) (i32.const 0))
              (i32.const {ANSWER}))
            (func (export "spacewright:plugin/scorer@0.1.0#score")
              (param i32 i32 i32 i32 i32 i64) (result i32)
              (f64.store (i32.const {COLUMNS}) (f64.const {score}))
              (f64.store (i32.const {at}) (f64.const {feasible}))
              (i32.store8 (i32.const {ANSWER}) (i32.const 0))
              {}
              (i32.store (i32.const {}) (i32.const {at}))
              (i32.const {ANSWER}))"#,
            (0..5)
                .map(|field| column(field, if field == 0 { 1 } else { parts }))
                .collect::<String>(),
            ANSWER + 12,
        ))
        .unwrap();
        let mut registry = Registry::default();
        assert!(registry.add_plugin(&loaded.origin, &loaded.plugin).is_empty());
        let problem = ScoreProblem {
            hyperspace: hyperspace::parse(HYPERSPACE, "tiny.toml").unwrap(),
            cells: BTreeMap::new(),
            fixed: FixedLatency::PerResolution(BTreeMap::new()),
            constraints_ms: vec![10.0],
            composition: Composition::Consistent,
        };
        let space = Space { hyperspace: "tiny".into(), blocks: vec![0], windows: vec![0] };
        let scorer = registry.scorer("guest").unwrap().prepare(problem, &Value::Null).unwrap();
        scorer.score(&[space], 0).map(|_| Vec::new()).map_err(|error| error.to_string())
    };
    assert_eq!(scored("2", "0.5", 1), Ok(Vec::new()));
    check(vec![
        ("no number", scored("nan", "0.5", 1), "plugin `guest` 1.0.0, `score`: space tiny-0-0"),
        ("infinite", scored("inf", "0.5", 1), "a score of inf"),
        ("no share", scored("2", "1.5", 1), "a part that is no number, or no share"),
        ("no parts", scored("2", "0.5", 0), "1 spaces and 1 limits need 1 parts, got [0, 0, 0, 0]"),
    ]);
}

/// What an earlier run has computed outlives a plugin that turns bad.
#[test]
fn a_bad_answer_leaves_the_run_as_it_was() {
    let mut bench = Bench::new();
    let text = format!("latency = \"guest\"\n{STUDY}");
    let fine = Guest::default().component();
    let bad = Guest { latencies: good("(f64.const nan)"), ..Guest::default() }.component();
    let mut run = |guest: &[u8]| {
        bench.registry.latency_sources.shift_remove("guest");
        bench.registry.add_latency_source("guest", source(guest));
        let outcomes = bench.engine(&text).run_all();
        outcomes.map(|all| all.iter().map(|outcome| outcome.skipped).collect::<Vec<bool>>())
    };
    assert_eq!(run(&fine), Ok(vec![false; 3]));
    let error = run(&bad).unwrap_err();
    assert!(error.to_string().contains("plugin `guest` 1.0.0, `latencies`: graph "), "{error}");
    assert!(error.to_string().ends_with(": NaN ± 0 ms"), "{error}");
    // The step looks at what it has kept; those that read it find nothing new.
    assert_eq!(run(&fine), Ok(vec![false, true, true]));
}
