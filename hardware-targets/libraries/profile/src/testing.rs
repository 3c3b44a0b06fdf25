//! A latency source whose costs are known.

use spacewright_core::latency::{
    Latency, LatencyError, LatencyQuery, LatencySource, Position, Precision,
};

use crate::{Operator, OperatorCase, OperatorCost, Plan, Profile, profile};

/// What entering and leaving the runtime costs.
pub(crate) const CALL_MS: f64 = 0.5;

/// Operators that INT8 slows down.
pub(crate) const SLOW: [Operator; 2] = [Operator::HSwish, Operator::AvgPool { kernel: 3 }];

/// Channels that are computed together in INT8.
pub(crate) const LANES: usize = 16;

/// Time of an operator: INT8 doubles the speed of all but [`SLOW`], which it halves, and computes
/// [`LANES`] channels together.
pub(crate) fn fake_ms(case: OperatorCase, precision: Precision) -> f64 {
    let pixels = (case.size * case.size) as f64;
    let slower = if SLOW.contains(&case.operator) { 2.0 } else { 0.5 };
    match precision {
        Precision::Fp32 => 1e-4 * pixels * case.width as f64,
        Precision::Int8 => 1e-4 * pixels * case.width.next_multiple_of(LANES) as f64 * slower,
    }
}

/// Adds up the times of operators, and that of the call for whole networks.
pub(crate) struct Fake;

impl LatencySource for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn fingerprint(&self) -> String {
        "fake".into()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        queries
            .iter()
            .map(|query| {
                let wrong = |error: &dyn std::fmt::Display| LatencyError::of(query, error);
                let graph = &query.graph;
                let found = Operator::in_graph(graph).map_err(|error| wrong(&error))?;
                let operator = *found.first().ok_or_else(|| wrong(&"has no operator"))?;
                let input = graph.input;
                let case = OperatorCase { operator, width: input.channels, size: input.height };
                let copies = graph.nodes.len() / case.chain(1).nodes.len();
                let call = if query.position == Position::Whole { CALL_MS } else { 0.0 };
                let ms = call + copies as f64 * fake_ms(case, query.precision);
                Ok(Latency::measured(ms, 0.01 * ms, 50))
            })
            .collect()
    }
}

/// The quick plan, answered by [`Fake`].
pub(crate) fn quick_profile() -> Profile {
    profile(&Plan::quick(), |queries| Fake.latencies(queries), |_, _, _| {}).unwrap()
}

/// A row of these costs, whose other columns say nothing.
pub(crate) fn row(
    operator: Operator,
    width: usize,
    size: usize,
    fp32_ms: f64,
    int8_ms: f64,
) -> OperatorCost {
    OperatorCost {
        operator,
        kernel: operator.kernel(),
        width,
        size,
        fp32_ms,
        int8_ms,
        ratio: fp32_ms / int8_ms,
        fp32_spread_ms: 0.0,
        int8_spread_ms: 0.0,
        alone_fp32_ms: fp32_ms,
        alone_int8_ms: int8_ms,
        alone_ratio: fp32_ms / int8_ms,
        noisy: false,
    }
}
