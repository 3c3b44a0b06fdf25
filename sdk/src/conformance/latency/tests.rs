use std::sync::atomic::{AtomicU32, Ordering};

use spacewright_core::latency::{
    GraphColumns, Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision,
};

use crate::{
    Plugin,
    conformance::testing::{about, expect},
};

/// A millisecond for a million multiply-adds, but for what a test spoils.
#[derive(Clone, Copy)]
struct Roofline {
    fingerprint: fn() -> String,
    ms: fn(&LatencyQuery) -> f64,
    answer: fn(Self, &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError>,
}

impl Roofline {
    fn predict(self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        Ok(queries.iter().map(|query| Latency::predicted((self.ms)(query))).collect())
    }
}

impl LatencySource for Roofline {
    fn name(&self) -> &str {
        "roofline"
    }
    fn fingerprint(&self) -> String {
        (self.fingerprint)()
    }
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        (self.answer)(*self, queries)
    }
}

fn macs(query: &LatencyQuery) -> f64 {
    query.graph.macs().unwrap() as f64 / 1e6
}

const GOOD: Roofline =
    Roofline { fingerprint: || "1 GMAC/s".into(), ms: macs, answer: Roofline::predict };

static ASKED: AtomicU32 = AtomicU32::new(0);

fn asked() -> u32 {
    ASKED.fetch_add(1, Ordering::Relaxed)
}

fn measured(source: Roofline, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
    let noise = f64::from(asked()) / 1e3;
    let noisy = |query| Latency::measured((source.ms)(query) + noise, noise, 9);
    Ok(queries.iter().map(noisy).collect())
}

#[test]
fn predicting_and_measuring_sources_are_good() {
    expect(Plugin::new(about()).latency_source(GOOD), &[], &[]);
    let measuring = Roofline { answer: measured, ..GOOD };
    expect(Plugin::new(about()).latency_source(measuring), &[], &[]);
}

/// Reads columns in another way than graphs.
struct Confused;

impl LatencySource for Confused {
    fn name(&self) -> &str {
        GOOD.name()
    }
    fn fingerprint(&self) -> String {
        GOOD.fingerprint()
    }
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        GOOD.latencies(queries)
    }
    fn latencies_of(&self, graphs: &GraphColumns) -> Result<Vec<Latency>, LatencyError> {
        Ok(graphs.macs.iter().map(|macs| Latency::predicted(*macs as f64)).collect())
    }
}

#[test]
fn answers_to_columns_are_those_to_graphs() {
    let check = "latencies: the same answers to columns";
    expect(Plugin::new(about()).latency_source(Confused), &[(check, "198 answers")], &[]);
}

#[test]
fn faults_of_latency_sources_are_named() {
    let offer = |source, check, reason| {
        expect(Plugin::new(about()).latency_source(source), &[(check, reason)], &[]);
    };
    let fingerprint = "fingerprint: it is there and stays the same";
    offer(Roofline { fingerprint: String::new, ..GOOD }, fingerprint, "it is empty");
    let counting = Roofline { fingerprint: || asked().to_string(), ..GOOD };
    offer(counting, fingerprint, "`, then `");
    let spoilt = |answer| Roofline { answer, ..GOOD };
    offer(
        spoilt(|source, queries| match queries {
            [] => Err(LatencyError::new("nothing to do")),
            _ => source.predict(queries),
        }),
        "latencies: no answer to no question",
        "nothing to do",
    );
    offer(
        spoilt(|source, queries| {
            let last =
                |q: &&LatencyQuery| (q.precision, q.position) == (Precision::Int8, Position::Last);
            match queries.iter().find(last) {
                Some(query) => Err(LatencyError::of(query, "no such position")),
                None => source.predict(queries),
            }
        }),
        "latencies: one answer to each question",
        " up to `conv` at 16x14x14 (int8, last): latency of graph",
    );
    offer(
        spoilt(|source, queries| source.predict(&queries[..queries.len().min(3)])),
        "latencies: one answer to each question",
        "a batch of 36: 3 answers to 36 questions",
    );
    offer(
        Roofline { ms: |query| macs(query) - 0.5, ..GOOD },
        "latencies: each is a positive number",
        " up to `conv` at 16x14x14 (fp32, whole): -0.0484",
    );
    offer(
        spoilt(|source, queries| {
            source.predict(queries).map(|answers| answers.into_iter().rev().collect())
        }),
        "latencies: the same answer alone as in a batch",
        " up to `conv` at 16x14x14 (fp32, whole): a different answer",
    );
    offer(
        Roofline { ms: |query| macs(query) + f64::from(asked()), ..GOOD },
        "latencies: the same answer when asked again",
        "a different answer",
    );
    offer(
        Roofline {
            ms: |query| match query.precision {
                Precision::Fp32 => macs(query),
                Precision::Int8 => 1.0 / macs(query),
            },
            ..GOOD
        },
        "latencies, int8: more channels are not faster",
        "16 channels take 2.2",
    );
    offer(
        Roofline {
            ms: |query| {
                if query.graph.input.channels == 3 {
                    panic!("no odd channels")
                } else {
                    macs(query)
                }
            },
            ..GOOD
        },
        "latencies: one answer to each question",
        " up to `logits` at 3x32x32 (fp32, whole): panicked: no odd channels",
    );
}

#[test]
fn channels_that_are_free_are_noted() {
    let note = |precision| match precision {
        Precision::Fp32 => "latencies, fp32: more channels are not faster",
        Precision::Int8 => "latencies, int8: more channels are not faster",
    };
    let notes = [Precision::Fp32, Precision::Int8]
        .map(|p| (note(p), "free: 16 channels take 1 ms, 128 take 1 ms"));
    expect(Plugin::new(about()).latency_source(Roofline { ms: |_| 1.0, ..GOOD }), &[], &notes);
}

/// Knows latencies in floating point alone.
struct FloatOnly;

impl LatencySource for FloatOnly {
    fn name(&self) -> &str {
        GOOD.name()
    }
    fn fingerprint(&self) -> String {
        GOOD.fingerprint()
    }
    fn precisions(&self) -> Vec<Precision> {
        vec![Precision::Fp32]
    }
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        GOOD.latencies(queries)
    }
}

#[test]
fn a_source_without_int8_is_wrong() {
    let check = "precisions: int8 is among them";
    expect(Plugin::new(about()).latency_source(FloatOnly), &[(check, "fp32 alone")], &[]);
}
