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
//! References are timed once per shape and precision. Timings never run at the same time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use spacewright_core::{
    graph::{ActivationKind, ConvSpec, Graph, GraphBuilder, Shape},
    latency::{Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision},
    quant::{Scheme, fold_float, fold_integer},
    target::{LoadedModel, ModelInfo, ModelOutputs},
};

use crate::{cpu, runtime::OrtRuntime, synthetic, timing::FLOOR_MS, writer};

/// Channels on the outer side of the convolutions around a part.
pub const WRAP: usize = 8;

/// Serializes all timings of the process: two at once would disturb each other.
static CLOCK: Mutex<()> = Mutex::new(());

/// Latencies measured on this machine.
pub struct OrtLatency {
    runtime: OrtRuntime,
    scheme: Scheme,
    references: Mutex<HashMap<(Shape, Precision), Latency>>,
}

impl OrtLatency {
    /// Measures with this runtime, with quantizers placed after this scheme.
    pub fn new(runtime: OrtRuntime, scheme: Scheme) -> Self {
        Self { runtime, scheme, references: Mutex::default() }
    }

    fn measure(&self, query: &LatencyQuery) -> Result<Latency, String> {
        let LatencyQuery { graph, precision, position } = query;
        let output = graph.output_shape().map_err(text)?;
        let enters = matches!(position, Position::Inside | Position::Last);
        let leaves = matches!(position, Position::Inside | Position::First);
        let wrapped = wrap(graph.clone(), enters, leaves).map_err(text)?;
        let whole = self.time(&wrapped, *precision)?;
        let ends = [(enters, graph.input), (leaves, output)];
        ends.into_iter().filter(|(wrapped, _)| *wrapped).try_fold(whole, |rest, (_, shape)| {
            let reference = self.reference(shape, *precision)?;
            Ok(Latency {
                ms: (rest.ms - reference.ms / 2.0).max(FLOOR_MS),
                spread_ms: rest.spread_ms + reference.spread_ms / 2.0,
                runs: rest.runs,
            })
        })
    }

    fn reference(&self, shape: Shape, precision: Precision) -> Result<Latency, String> {
        if let Some(known) = lock(&self.references).get(&(shape, precision)) {
            return Ok(*known);
        }
        let graph = wrap(Graph::identity(shape), true, true).map_err(text)?;
        let latency = self.time(&graph, precision)?;
        Ok(*lock(&self.references).entry((shape, precision)).or_insert(latency))
    }

    fn time(&self, graph: &Graph, precision: Precision) -> Result<Latency, String> {
        let weights = synthetic::weights(graph).map_err(text)?;
        let info = ModelInfo::default();
        let model = match precision {
            Precision::Fp32 => {
                let network = fold_float(graph, &weights).map_err(text)?;
                writer::write_float(&network, &info).map_err(text)?
            }
            Precision::Int8 => {
                let quant = synthetic::quantization(graph, &weights, &self.scheme).map_err(text)?;
                let network = fold_integer(graph, &weights, &quant, &self.scheme).map_err(text)?;
                writer::write_integer(&network, &info, ModelOutputs::Result).map_err(text)?
            }
        };
        let mut model = self.runtime.open(&model).map_err(text)?;
        let _alone = lock(&CLOCK);
        model.measure().map_err(text)
    }
}

impl LatencySource for OrtLatency {
    fn fingerprint(&self) -> String {
        format!(
            "{}; ONNX Runtime {}; threads=1; parts=half-reference-{WRAP}",
            cpu::describe(),
            self.runtime.version()
        )
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let measure = |query: &LatencyQuery| {
            self.measure(query).map_err(|reason| LatencyError {
                graph: query.graph.hash().short().to_owned(),
                precision: query.precision,
                reason,
            })
        };
        queries.iter().map(measure).collect()
    }
}

fn wrap(
    graph: Graph,
    enters: bool,
    leaves: bool,
) -> Result<Graph, spacewright_core::graph::GraphError> {
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

fn text(error: impl ToString) -> String {
    error.to_string()
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
