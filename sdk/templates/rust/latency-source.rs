//! Latencies for a target that has none of its own, or other ones: a study names it as `latency`.

use spacewright_sdk::prelude::*;

struct Source;

/// Fill in: how many milliseconds a graph takes.
fn milliseconds(graph: &Graph, precision: Precision) -> Result<f64, GraphError> {
    const OVERHEAD_MS: f64 = 0.001;
    let macs_per_ms = match precision {
        Precision::Fp32 => 1e7,
        Precision::Int8 => 4e7,
    };
    Ok(OVERHEAD_MS * graph.nodes.len() as f64 + graph.macs()? as f64 / macs_per_ms)
}

impl LatencySource for Source {
    fn name(&self) -> &str {
        "{{name}}"
    }

    /// Change it with the model: answers under different fingerprints are never mixed.
    fn fingerprint(&self) -> String {
        "{{name}} model 1".into()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let answer = |query: &LatencyQuery| {
            let ms = milliseconds(&query.graph, query.precision);
            ms.map(Latency::predicted).map_err(|error| LatencyError::of(query, error))
        };
        queries.iter().map(answer).collect()
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).latency_source(Source)
}

export!(latency_source, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
