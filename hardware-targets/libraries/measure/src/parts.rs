//! Measures graphs that have no weights, as parts of a network whose latencies add up.
//!
//! A graph gets synthetic weights and is written, loaded and timed as an exported model would be.
//! Only whole networks are timed as they are. A part is timed between a 1×1 convolution with ReLU
//! from [`WRAP`] channels to its input, and a 1×1 convolution from its output to [`WRAP`]
//! channels:
//!
//! ```text
//! T = call(h_in, h_out) + entry(c_in, h_in) + part + exit(c_out, h_out)
//! R(c, h) = call(h, h) + entry(c, h) + exit(c, h)         the same two convolutions alone
//! part ≈ T − ½ R(c_in, h_in) − ½ R(c_out, h_out)
//! ```
//!
//! where `call` is what entering and leaving the runtime costs: conversion and change of layout
//! at either end. Entry and exit do not cost the same, so one part is wrong by D(c_in, h_in) −
//! D(c_out, h_out), with D half of their difference; but in a chain of parts the output of one is
//! the input of the next, and the errors cancel. The first part of a network starts at the real
//! input and has no entry: it is wrong by −D(c_out, h_out), which the second part cancels, and the
//! last has no exit. The sum over a chain is free of D, and contains the cost of a call once.
//!
//! References are timed once per shape and precision. Models that are asked for together take
//! turns in being timed, over rounds between which a small model tells whether other work
//! disturbs the machine; timings never run at the same time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, GraphError, Shape},
    latency::{Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision},
    quant::{FoldError, Scheme, fold_float, fold_integer},
    target::TargetError,
};
use thiserror::Error;

use crate::{
    Bench, Timed, cpu,
    quiet::Sentinel,
    sample, synthetic,
    timing::{FLOOR_MS, ROUNDS, Samples},
};

/// Channels on the outer side of the convolutions around a part.
pub const WRAP: usize = 8;

/// Rounds after which the minimum is taken, disturbed or not.
pub(crate) const MOST_ROUNDS: usize = 8;

/// Waiting time after a disturbed round.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Shape of the reference that tells whether a round was disturbed.
const SENTINEL: Shape = Shape::square(64, 28);

/// How many models are held in memory and take turns.
const TOGETHER: usize = 24;

/// Latencies of a runtime on this machine.
pub struct PartLatency<B> {
    bench: B,
    scheme: Scheme,
    references: Mutex<HashMap<Reference, Latency>>,
    sentinel: Mutex<Option<Sentinel>>,
}

/// The two convolutions alone, on values of this shape: `R` above.
type Reference = (Shape, Precision);

/// A model with its times so far.
type TimedModel = (Box<dyn Timed>, Samples);

/// Why a graph cannot be timed.
#[derive(Debug, Error)]
pub(crate) enum PartError {
    /// The graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// No network can be made of it.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] TargetError),
}

/// An error with the position of the query that it belongs to.
type QueryError = (usize, PartError);

impl<B: Bench> PartLatency<B> {
    /// Measures with this runtime, with quantizers placed after this scheme.
    pub fn new(bench: B, scheme: Scheme) -> Self {
        Self { bench, scheme, references: Mutex::default(), sentinel: Mutex::default() }
    }

    /// Answers queries together: their models take turns in being timed.
    fn measure(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, QueryError> {
        let mut timed = Vec::with_capacity(queries.len());
        let mut ends = Vec::with_capacity(queries.len());
        let mut wanted: Vec<(usize, Reference)> = Vec::new();
        for (index, query) in queries.iter().enumerate() {
            let of_query = |error: PartError| (index, error);
            let (graph, references) = wrapped(query).map_err(|error| of_query(error.into()))?;
            timed.push(self.open(&graph, query.precision).map_err(of_query)?);
            wanted.extend(references.iter().map(|&reference| (index, reference)));
            ends.push(references);
        }
        let mut known = lock(&self.references);
        wanted.sort_by_key(|(_, reference)| *reference);
        wanted.dedup_by_key(|(_, reference)| *reference);
        wanted.retain(|(_, reference)| !known.contains_key(reference));
        for (index, (shape, precision)) in &wanted {
            let graph = wrap(Graph::identity(*shape), true, true).map_err(PartError::from);
            let model = graph.and_then(|graph| self.open(&graph, *precision));
            timed.push(model.map_err(|error| (*index, error))?);
        }
        let asker = |model: usize| match model.checked_sub(queries.len()) {
            Some(reference) => wanted[reference].0,
            None => model,
        };
        self.take_turns(&mut timed).map_err(|(model, error)| (asker(model), error))?;
        let mut latencies: Vec<Latency> =
            timed.into_iter().map(|(_, samples)| samples.latency()).collect();
        let references = latencies.split_off(queries.len());
        known.extend(wanted.into_iter().map(|(_, reference)| reference).zip(references));
        let part = |(whole, ends): (Latency, Vec<Reference>)| {
            ends.iter().map(|end| known[end]).fold(whole, without_half)
        };
        Ok(latencies.into_iter().zip(ends).map(part).collect())
    }

    /// Times every model in turn, until there were [`ROUNDS`] undisturbed rounds. Errors hold the
    /// position of a model; those of the sentinel count as the first model's.
    fn take_turns(&self, models: &mut [TimedModel]) -> Result<(), QueryError> {
        let of_sentinel = |error: TargetError| (0, error.into());
        let mut sentinel = lock(&self.sentinel);
        let sentinel = match &mut *sentinel {
            Some(sentinel) => sentinel,
            none => none.insert(self.sentinel().map_err(|error| (0, error))?),
        };
        let mut undisturbed = 0;
        for _ in 0..MOST_ROUNDS {
            let before = sentinel.is_quiet().map_err(of_sentinel)?;
            for (index, (model, samples)) in models.iter_mut().enumerate() {
                sample(model.as_mut(), samples, &|| ()).map_err(|error| (index, error.into()))?;
            }
            if before && sentinel.is_quiet().map_err(of_sentinel)? {
                undisturbed += 1;
            } else {
                thread::sleep(PAUSE);
            }
            if undisturbed == ROUNDS {
                break;
            }
        }
        Ok(())
    }

    /// A small model that tells whether other work disturbs the machine.
    pub(crate) fn sentinel(&self) -> Result<Sentinel, PartError> {
        let graph = wrap(Graph::identity(SENTINEL), true, true)?;
        self.open(&graph, Precision::Int8).map(|(model, _)| Sentinel::new(model))
    }

    fn open(&self, graph: &Graph, precision: Precision) -> Result<TimedModel, PartError> {
        let weights = synthetic::weights(graph)?;
        let model = match precision {
            Precision::Fp32 => self.bench.float(&fold_float(graph, &weights)?)?,
            Precision::Int8 => {
                let network = synthetic::quantized(graph, weights, &self.scheme)?;
                self.bench.integer(&fold_integer(&network, &self.scheme)?)?
            }
        };
        Ok((model, Samples::default()))
    }
}

impl<B: Bench> LatencySource for PartLatency<B> {
    fn name(&self) -> &str {
        self.bench.target()
    }

    fn fingerprint(&self) -> String {
        let governor = match cpu::governor() {
            Some(governor) => format!("; governor={governor}"),
            None => String::new(),
        };
        format!(
            "{}{governor}; {}; threads={}; parts=half-reference-{WRAP}",
            cpu::describe(),
            self.bench.runtime(),
            self.bench.threads()
        )
    }

    fn measures(&self) -> bool {
        true
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let mut latencies = Vec::with_capacity(queries.len());
        for queries in queries.chunks(TOGETHER) {
            latencies.extend(
                self.measure(queries)
                    .map_err(|(index, error)| LatencyError::of(&queries[index], error))?,
            );
        }
        Ok(latencies)
    }
}

/// The graph that is timed for a query, and the references of which half is subtracted.
fn wrapped(query: &LatencyQuery) -> Result<(Graph, Vec<Reference>), GraphError> {
    let LatencyQuery { graph, precision, position } = query;
    let enters = matches!(position, Position::Inside | Position::Last);
    let leaves = matches!(position, Position::Inside | Position::First);
    let ends = [(enters, graph.input), (leaves, graph.output_shape()?)];
    let references = ends.into_iter().filter(|end| end.0).map(|end| (end.1, *precision)).collect();
    Ok((wrap(graph.clone(), enters, leaves)?, references))
}

fn without_half(rest: Latency, reference: Latency) -> Latency {
    let ms = (rest.ms - reference.ms / 2.0).max(FLOOR_MS);
    Latency::measured(ms, rest.spread_ms + reference.spread_ms / 2.0, rest.runs)
}

fn wrap(graph: Graph, enters: bool, leaves: bool) -> Result<Graph, GraphError> {
    let input = graph.input;
    let output = graph.output_shape()?;
    let mut whole = graph.prefixed("part.");
    if enters {
        let mut b = GraphBuilder::new(Shape { channels: WRAP, ..input });
        let x = b.conv("entry", b.input(), ConvSpec::new(input.channels, 1).bias());
        let x = b.act("entry.act", x, ActivationKind::Relu);
        whole = b.finish(x).then(whole)?;
    }
    if leaves {
        let mut b = GraphBuilder::new(output);
        let x = b.conv("exit", b.input(), ConvSpec::new(WRAP, 1).bias());
        whole = whole.then(b.finish(x))?;
    }
    Ok(whole)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_between_two_convolutions() {
        let mut b = GraphBuilder::new(Shape::square(16, 8));
        let x = b.conv("c", b.input(), ConvSpec::new(24, 3).stride(2));
        let part = b.finish(x);
        let check = |enters, leaves, input, output| {
            let whole = wrap(part.clone(), enters, leaves).unwrap();
            assert_eq!((whole.input, whole.output_shape().unwrap()), (input, output));
        };
        let (input, output) = (Shape::square(16, 8), Shape::square(24, 4));
        check(true, true, Shape::square(WRAP, 8), Shape::square(WRAP, 4));
        check(false, true, input, Shape::square(WRAP, 4));
        check(true, false, Shape::square(WRAP, 8), output);
    }
}
