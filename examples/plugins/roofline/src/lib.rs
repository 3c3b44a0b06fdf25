//! A latency source after the roofline model (Williams, Waterman, Patterson: Roofline, an insightful
//! visual performance model for multicore architectures, CACM 2009): an operator takes as long as
//! its arithmetic or its memory traffic, whichever is longer, and some overhead.

use spacewright_sdk::prelude::*;

/// What the hardware can do at most with numbers of one precision.
struct Peak {
    macs_per_ms: f64,
    bytes_per_element: f64,
}

const FP32: Peak = Peak { macs_per_ms: 8e6, bytes_per_element: 4.0 };
const INT8: Peak = Peak { macs_per_ms: 32e6, bytes_per_element: 1.0 };
const BYTES_PER_MS: f64 = 10e6;
const OVERHEAD_MS: f64 = 0.001;

/// Batch normalizations are folded into convolutions, and dropouts do nothing.
fn costs_nothing(op: &Op) -> bool {
    matches!(op, Op::BatchNorm { .. } | Op::Dropout { .. })
}

fn milliseconds(graph: &Graph, peak: &Peak) -> Result<f64, GraphError> {
    let shapes = graph.shapes()?;
    let macs = graph.macs_per_node()?;
    let elements = |value: &ValueId| shapes[value.0 as usize].elements() as f64;
    let mut weights = vec![0; graph.nodes.len()];
    for weight in graph.weights()? {
        weights[weight.node] += weight.shape.iter().product::<usize>();
    }
    let mut sum = 0.0;
    for (at, node) in graph.nodes.iter().enumerate().filter(|(_, node)| !costs_nothing(&node.op)) {
        let read: f64 = node.inputs.iter().map(elements).sum();
        let moved = read + shapes[at + 1].elements() as f64 + weights[at] as f64;
        let arithmetic = macs[at] as f64 / peak.macs_per_ms;
        let memory = moved * peak.bytes_per_element / BYTES_PER_MS;
        sum += OVERHEAD_MS + arithmetic.max(memory);
    }
    // An empty graph takes the time of a call.
    Ok(sum.max(OVERHEAD_MS))
}

/// The model as a latency source.
pub struct Roofline;

impl LatencySource for Roofline {
    fn name(&self) -> &str {
        "roofline"
    }

    fn fingerprint(&self) -> String {
        "roofline 8/32 GMAC/s, 10 GB/s, 1 us".into()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let answer = |query: &LatencyQuery| {
            let peak = match query.precision {
                Precision::Fp32 => &FP32,
                Precision::Int8 => &INT8,
            };
            let ms = milliseconds(&query.graph, peak);
            ms.map(Latency::predicted).map_err(|error| LatencyError::of(query, error))
        };
        queries.iter().map(answer).collect()
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).latency_source(Roofline)
}

export!(latency_source, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
