//! What is fuzzed: the loader of components, and every decoder of what a plugin answers. Each
//! function takes any bytes and must come back; what it accepts must keep its promises.
//!
//! `cargo +nightly fuzz run --features libfuzzer graph` looks for new inputs; `cargo test` replays
//! the corpus and small changes of it.

use std::fs;

use spacewright_core::{graph::Graph, latency::GraphColumns, operators::Operators};
use spacewright_engine::{
    hyperspace as document,
    plugins::{Limits, Loader},
};
use spacewright_plugin::native::protocol::{Answer, Request, decode, encode};
use spacewright_sdk::conformance;

/// A function of this crate.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 5] = [
    ("answer", answer),
    ("columns", columns),
    ("component", component),
    ("graph", graph),
    ("hyperspace", hyperspace),
];

/// Loads a file as a component and asks all that it offers, within small limits.
pub fn component(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let file = folder.path().join("plugin.wasm");
    if fs::write(&file, bytes).is_err() {
        return;
    }
    let limits = Limits {
        start_fuel: 10_000_000,
        call_fuel: 10_000_000,
        item_fuel: 1_000_000,
        memory: 64 << 20,
        answer: 1 << 20,
        stack: 256 << 10,
        ..Limits::default()
    };
    let loader = Loader { limits, ..Loader::default() };
    if let Ok(loaded) = loader.load(&file) {
        conformance::check(&loaded.plugin);
    }
}

/// Reads a graph, the answer of an operator set; one within bounds can be counted and written.
pub fn graph(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(graph) = text.parse::<Graph>() else { return };
    if graph.check_bounds().is_err() {
        return;
    }
    let counted = graph.macs().and(graph.params()).and(graph.peak_activation_elements());
    assert!(counted.is_ok(), "a graph within bounds can be counted: {counted:?}");
    let written = graph.to_string();
    assert_eq!(written.parse::<Graph>().as_ref(), Ok(&graph), "{written}");
}

/// Reads a hyperspace; a valid one can be counted and has spaces.
pub fn hyperspace(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(hyperspace) = document::parse(text, "fuzz") else { return };
    let operators = Operators::new(spacewright_operators_cnn::operator_sets()).unwrap();
    if hyperspace.validate(&operators).is_ok() {
        assert!(hyperspace.spaces().next().is_some(), "a valid hyperspace has spaces");
        let _ = hyperspace.space_count();
    }
}

/// Reads an answer of a native library; what can be read is written and read again unchanged.
pub fn answer(bytes: &[u8]) {
    let Ok(answer) = decode::<Answer>(bytes) else { return };
    let again = encode(&answer).and_then(|written| decode::<Answer>(&written));
    // Numbers that are none differ from themselves.
    assert_eq!(again.map(|answer| format!("{answer:?}")), Ok(format!("{answer:?}")));
}

/// Reads a question to a plugin, and takes columns apart; graphs with shapes become them again.
pub fn columns(bytes: &[u8]) {
    let _ = decode::<Request<'_>>(bytes);
    let Ok(columns) = decode::<GraphColumns>(bytes) else { return };
    let Ok(queries) = columns.queries() else { return };
    if let Ok(again) = GraphColumns::of(&queries) {
        assert_eq!(again.queries().as_ref(), Ok(&queries));
    }
}
