//! Components that are small, and cost a lot: to compile, to start, to ask, or to read what they
//! answer. Each is refused for what it is, in little time.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use spacewright_core::graph::Shape;
use spacewright_engine::{
    Registry,
    plugins::{Limits, PluginStore},
};

use super::{ask, graph, guest::Guest, limits, load_within, offering, queries};

/// A call that costs few instructions, and long.
const SLOW: &str = "(local $n i32) (loop $slow (drop (memory.grow (i32.const 0))) (br_if $slow (i32.eqz (local.get $n))))";

fn refused(what: &str, bytes: &[u8], reason: &str) {
    let start = Instant::now();
    let error = load_within(bytes, limits()).map(|_| ()).expect_err(what);
    assert!(error.contains(reason), "{what}: {error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{what}: {:?}", start.elapsed());
}

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A good guest with more in its core module.
fn with(more: impl Into<String>) -> Vec<u8> {
    Guest { more: more.into(), ..Guest::default() }.component()
}

#[test]
fn components_that_multiply_are_refused() {
    let core = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))";
    // Two instances in each, and so on: 2^22 of a function in 1,263 bytes.
    let mut nested = format!("(component $c0 {core})");
    for level in 1..=22 {
        let below = level - 1;
        nested = format!(
            "(component $c{level} {nested} (instance (instantiate $c{below})) \
             (instance (instantiate $c{below})))"
        );
    }
    let nested = nested.replacen("(component $c22", "(component", 1);
    refused("nested", &text(&nested), "one of which has components of its own");
    let inner = |content: &str| text(&format!("(component (component {content}))"));
    refused("code", &inner(core), "one of which has code of its own");
    let instances = inner("(import \"f\" (func $f)) (instance (export \"x\" (func $f)))");
    refused("instances", &instances, "one of which has instances of its own");
    // Instances of instances: each is twice as large as the one before.
    let doubled: String = (1..20)
        .map(|i| {
            let before = i - 1;
            format!(
                "(instance $i{i} (export \"a\" (instance $i{before})) \
                 (export \"b\" (instance $i{before})))"
            )
        })
        .collect();
    let doubled = format!(
        "(component (import \"f\" (func $f)) (instance $i0 (export \"f\" (func $f))) {doubled})"
    );
    refused("instances of instances", &text(&doubled), "instances of its own");
    let many = "(core instance (instantiate $m))".repeat(70);
    let many = format!("(component (core module $m) {many})");
    refused("instances", &text(&many), "instances; at most 64 are allowed");
}

#[test]
fn code_that_takes_long_to_compile_is_refused() {
    let block = |inside: String| with(format!("(func {inside})"));
    let nested = "(block ".repeat(600) + &")".repeat(600);
    refused("nesting", &block(nested), "blocks within each other; at most 500 are allowed");
    refused("locals", &block("(local i32)".repeat(2100)), "variables of a function; at most 2000");
    refused("large", &block("nop ".repeat(140_000)), "bytes of a function; at most 131072");
    let targets = "0 ".repeat(10_100);
    let table = format!("(block (br_table {targets} (i32.const 0)))");
    refused("jumps", &block(table), "jump targets of a function; at most 10000");
    refused("functions", &with("(func)".repeat(10_100)), "functions; at most 10000 are allowed");
    let code = format!("(func {})", "nop ".repeat(120_000)).repeat(36);
    refused("code", &with(code), "bytes of code; at most 4194304 are allowed");
    refused(
        "parameters",
        &block("(param i64)".repeat(110)),
        "parameters of a function; at most 100",
    );
    let results = format!("{} (unreachable)", "(result i64)".repeat(20));
    refused("results", &block(results), "results of a function; at most 16");
    refused("table", &with("(table 1000000 funcref)"), "table elements; at most 200000");
    refused("tables", &with("(table 1 funcref)".repeat(20)), "tables; at most 16 are allowed");
    refused("memories", &with("(memory 1)".repeat(20)), "memories; at most 16 are allowed");
    let globals = "(global i32 (i32.const 0))".repeat(21_000);
    refused("globals", &with(globals), "entries of sections; at most 20000 are allowed");
    let mut data = String::from("(data (i32.const 0) \"");
    data.push_str(&"x".repeat(9 << 20));
    let _ = write!(data, "\")");
    let large = Guest { more: data, pages: 200, ..Guest::default() }.component();
    refused("file", &large, "more than 8388608 bytes");
}

#[test]
fn a_slow_plugin_is_stopped_by_the_clock() {
    let start = Instant::now();
    let hasty = Limits {
        start_fuel: u64::MAX / 2,
        call_fuel: u64::MAX / 2,
        start_time: Duration::from_millis(300),
        call_time: Duration::from_millis(200),
        item_time: Duration::from_millis(100),
        ..limits()
    };
    let starting = |guest: Guest| load_within(&guest.component(), hasty.clone()).map(|_| ());
    let describing = Guest { describe: SLOW.into(), ..Guest::default() };
    let error = starting(describing).unwrap_err();
    assert!(error.contains("`about`: stopped after 0.3 s, the most it may take"), "{error}");
    let error = starting(Guest { start: SLOW.into(), ..Guest::default() }).unwrap_err();
    assert!(error.contains("`instantiation`: stopped after 0.3 s"), "{error}");

    let slow = SLOW.replace("(local $n i32)", "").replace("(local.get $n)", "(i32.const 0)");
    let guest = Guest { latencies: format!("{slow} (unreachable)"), ..Guest::default() };
    let asked = |limits: Limits| {
        let loaded = load_within(&guest.component(), limits).unwrap();
        let source = loaded.plugin.latency_source.unwrap();
        source.latencies(&queries(2)).unwrap_err().to_string()
    };
    // Two graphs may take longer than one.
    let error = asked(hasty.clone());
    assert!(error.contains("`latencies`: stopped after 0.4 s, the most it may take"), "{error}");
    let total = Limits { total_time: Some(Duration::from_millis(150)), ..hasty.clone() };
    let error = asked(total);
    assert!(error.contains("stopped after 0.15 s, the most all its calls may take"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(ask(Guest::default()), Ok(vec![1.0; 2]), "the clock stops nobody else");
}

#[test]
fn what_a_plugin_says_of_itself_has_one_budget() {
    // As much at each start, of which there are two: one for `about`, one for the source.
    let burn = |rounds: u32| {
        let start = format!(
            "(local $n i32) (loop $burn (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $burn (i32.lt_u (local.get $n) (i32.const {rounds}))))"
        );
        load_within(&Guest { start, ..Guest::default() }.component(), limits()).map(|_| ())
    };
    // A round is some ten instructions, of 50 million.
    assert_eq!(burn(1_500_000), Ok(()));
    let error = burn(4_000_000).unwrap_err();
    assert!(error.contains("stopped after 50000000 instructions"), "{error}");
}

#[test]
fn memory_is_bounded_over_all_instances() {
    let pages = 100 << 20 >> 16;
    let guest = |start: &str| Guest { start: start.into(), ..Guest::default() }.component();
    let grow = format!("(drop (memory.grow (i32.const {pages})))");
    // One instance says who it is, the other one is the source.
    load_within(&guest(&grow), limits()).unwrap();
    let little = Limits { memory: 150 << 20, ..limits() };
    let error = load_within(&guest(&grow), little).map(|_| ()).unwrap_err();
    assert!(error.contains("bytes of memory; at most 157286400 are allowed"), "{error}");
}

#[test]
fn hyperspaces_are_short() {
    let hyperspaces = |bytes: usize| {
        offering(&format!(
            r#"(func (export "spacewright:plugin/hyperspace@0.1.0#hyperspaces") (result i32)
              (memory.fill (i32.const 131072) (i32.const 35) (i32.const {bytes}))
              (i32.store (i32.const 2100) (i32.const 131072))
              (i32.store (i32.const 2104) (i32.const {bytes}))
              (i32.store (i32.const 2200) (i32.const 2100))
              (i32.store (i32.const 2204) (i32.const 1))
              (i32.const 2200))"#
        ))
    };
    assert_eq!(hyperspaces(200_000).unwrap().plugin.hyperspaces[0].len(), 200_000);
    let error = hyperspaces(300_000).map(|_| ()).unwrap_err();
    assert!(error.contains("`hyperspaces`: an answer of more than 262144 bytes"), "{error}");
}

#[test]
fn graphs_are_bounded_in_sum() {
    let graph = |text: &str| graph(text, Shape::square(16, 32), 32);
    let conv = |name: &str, input: &str, out: usize| {
        format!(
            "{name} = conv2d({input}) out={out} kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\n"
        )
    };
    let between = |out: usize| {
        format!("input 16x32x32\n{}{}output y", conv("x", "input", out), conv("y", "x", 32))
    };
    assert_eq!(graph(&between(96)), Ok(()));
    let error = graph(&between(65536)).unwrap_err();
    assert!(
        error.contains("a value of 65536x32x32; at most 16777216 elements are allowed"),
        "{error}"
    );
    let lines = |count: usize| {
        let nodes: String = (0..count)
            .map(|i| {
                let input = if i == 0 { "input".into() } else { format!("c{}", i - 1) };
                conv(&format!("c{i}"), &input, 32)
            })
            .collect();
        format!("input 16x32x32\n{nodes}output c{}", count - 1)
    };
    assert_eq!(graph(&lines(100)), Ok(()));
    let error = graph(&lines(240)).unwrap_err();
    assert!(error.contains("bytes; at most 16384 are allowed"), "{error}");
    let relus = |count: usize| {
        let relu = |i: usize| {
            let input = if i == 0 { "input".into() } else { format!("a{}", i - 1) };
            format!("a{i} = relu({input})\n")
        };
        let nodes: String = (0..count).map(relu).collect();
        format!("input 16x32x32\n{nodes}output a{}", count - 1)
    };
    let error = graph(&relus(300)).unwrap_err();
    assert!(error.contains("300 nodes; at most 250 are allowed"), "{error}");
}

/// A plugin is asked who it is when it is installed; what it said then is kept under a seal.
#[test]
fn an_installed_plugin_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    std::fs::write(&file, Guest::default().component()).unwrap();
    let home = folder.path().join("home");
    let store = |limits: Limits| PluginStore::new(&home, limits, None);
    store(limits()).install(&file).unwrap();
    // Nothing can be asked with these.
    let silent = || store(Limits { start_fuel: 1, call_fuel: 1, item_fuel: 0, ..limits() });
    let source = || {
        let mut registry = Registry::default();
        silent().add_to(&mut registry).unwrap();
        registry.latency_source("guest")
    };
    let known = source().unwrap();
    assert!(known.latencies(&queries(2)).unwrap_err().to_string().contains("instructions"));
    let mut registry = Registry::default();
    store(limits()).add_to(&mut registry).unwrap();
    let asked = registry.latency_source("guest").unwrap();
    assert_eq!(known.fingerprint(), asked.fingerprint());
    assert_eq!(asked.latencies(&queries(2)).unwrap()[0].ms, 1.0);

    // What was changed behind the program's back is not believed: the plugin would be asked.
    let index = home.join("plugins/installed.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("int8", "fp32")).unwrap();
    assert!(source().is_err(), "it cannot be asked");
    std::fs::write(&index, text.replace("\"sha256\": \"", "\"sha256\": \"../")).unwrap();
    let error = silent().list().unwrap_err();
    assert!(error.to_string().contains("is not 64 lower-case hexadecimal digits"), "{error}");
    std::fs::write(&index, text).unwrap();
    assert!(source().is_ok());
}
