//! A latency source after the roofline model (Williams, Waterman, Patterson: Roofline, an insightful
//! visual performance model for multicore architectures, CACM 2009): an operator takes as long as
//! its arithmetic or its memory traffic, whichever is longer, and some overhead. It reads its
//! questions as the columns that they come in.

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

/// Milliseconds of one graph of a batch; `is_free` says it of the batch's operators.
fn milliseconds(graphs: &GraphColumns, graph: usize, is_free: &[bool]) -> f64 {
    let peak = if graphs.precision[graph] == 0 { &FP32 } else { &INT8 };
    let mut sum = 0.0;
    for (at, node) in graphs.nodes_of(graph).enumerate() {
        if is_free[usize::from(graphs.operator[node])] {
            continue;
        }
        let read: u64 = graphs.inputs(node).map(|value| graphs.elements(graph, value)).sum();
        let written = graphs.elements(graph, at as u32 + 1);
        // Each pixel of an output uses every weight once.
        let pixels = f64::from(graphs.out_height[node] * graphs.out_width[node]);
        let macs = graphs.macs[node] as f64;
        let bytes = ((read + written) as f64 + macs / pixels) * peak.bytes_per_element;
        sum += OVERHEAD_MS + (macs / peak.macs_per_ms).max(bytes / BYTES_PER_MS);
    }
    // An empty graph takes the time of a call.
    sum.max(OVERHEAD_MS)
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
        self.latencies_of(&GraphColumns::of(queries)?)
    }

    fn latencies_of(&self, graphs: &GraphColumns) -> Result<Vec<Latency>, LatencyError> {
        // Batch normalizations are folded into convolutions, and dropouts do nothing.
        let is_free = |name: &String| name == "batch_norm" || name == "dropout";
        let is_free: Vec<bool> = graphs.operators.iter().map(is_free).collect();
        let answer = |graph| Latency::predicted(milliseconds(graphs, graph, &is_free));
        Ok((0..graphs.first_node.len()).map(answer).collect())
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
