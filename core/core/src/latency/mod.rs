//! Latency: what is asked and what is answered.

mod accuracy;
mod columns;
mod listed;

pub use accuracy::{Accuracy, AccuracyError, HeldOut, quantile};
pub use columns::{ColumnsError, GraphColumns, NO_VALUE};
pub use listed::ListedOperator;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    call::{ContractError, Reason},
    graph::Graph,
};

/// A latency for people: three decimals, and three digits of one that is shorter than that.
pub fn milliseconds(ms: f64) -> String {
    let digits = if ms > 0.0 && ms < 0.1 { (2.0 - ms.log10().floor()) as usize } else { 3 };
    format!("{ms:.0$}", digits.max(3))
}

/// Arithmetic of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 8-bit integers.
    Int8,
}

impl Precision {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fp32, Self::Int8];

    /// The name used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
        }
    }
}

/// Where in a network a graph stands. Costs of entering and leaving the runtime (calls, layout
/// changes, conversion of the input) belong to the first and the last part only, so that the
/// latencies of parts add up to that of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// A whole network, from input to output.
    Whole,
    /// Starts at the network's input.
    First,
    /// Between other parts.
    Inside,
    /// Ends at the network's output.
    Last,
}

/// One question to a latency source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyQuery {
    /// Without quantizers: the source places them after its target's scheme.
    pub graph: Graph,
    /// Arithmetic.
    pub precision: Precision,
    /// Where the graph stands.
    pub position: Position,
}

impl fmt::Display for LatencyQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { graph, precision, position } = self;
        let (last, hash) = (graph.value_name(graph.output), graph.hash());
        let (precision, position) = (precision.name(), format!("{position:?}").to_lowercase());
        write!(
            f,
            "graph {} up to `{last}` at {} ({precision}, {position})",
            hash.short(),
            graph.input
        )
    }
}

/// One answer of a latency source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The estimate in milliseconds: for a measurement, the minimum over runs.
    pub ms: f64,
    /// Spread of the measurement in milliseconds: median minus minimum; zero where predicted.
    pub spread_ms: f64,
    /// Number of timed runs; zero where predicted.
    pub runs: u32,
    /// Where predicted, and the source knows how well.
    pub interval: Option<Interval>,
}

/// Nine of ten measurements are expected from `low_ms` to `high_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// In milliseconds, above 0.
    pub low_ms: f64,
    /// In milliseconds, not below `low_ms`.
    pub high_ms: f64,
}

impl Latency {
    /// A measurement: the minimum over runs and the spread in milliseconds.
    pub fn measured(ms: f64, spread_ms: f64, runs: u32) -> Self {
        Self { ms, spread_ms, runs, interval: None }
    }

    /// An estimate that was not measured.
    pub fn predicted(ms: f64) -> Self {
        Self { ms, spread_ms: 0.0, runs: 0, interval: None }
    }

    /// The same with an interval.
    pub fn between(self, low_ms: f64, high_ms: f64) -> Self {
        Self { interval: Some(Interval { low_ms, high_ms }), ..self }
    }
}

/// Why a latency source gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct LatencyError {
    /// What went wrong, and for which graph.
    pub reason: Reason,
}

impl LatencyError {
    /// An error from a sentence.
    pub fn new(reason: impl Into<Reason>) -> Self {
        Self { reason: reason.into() }
    }

    /// An error that names the graph by the beginning of its hash, and the precision.
    pub fn of(query: &LatencyQuery, reason: impl std::fmt::Display) -> Self {
        let hash = query.graph.hash();
        let precision = query.precision.name();
        Self::new(format!("latency of graph {} ({precision}): {reason}", hash.short()))
    }
}

impl From<ColumnsError> for LatencyError {
    fn from(error: ColumnsError) -> Self {
        Self::new(error.to_string())
    }
}

impl ContractError for LatencyError {
    fn reason_mut(&mut self) -> Option<&mut Reason> {
        Some(&mut self.reason)
    }
}

/// Answers how long graphs take.
pub trait LatencySource: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// What the answers hold for: hardware, runtime and its settings. Answers with different
    /// fingerprints are never mixed.
    fn fingerprint(&self) -> String;

    /// The precisions that it knows; it is asked for no other. Studies are of INT8 latencies: a source that lacks them
    /// is refused.
    fn precisions(&self) -> Vec<Precision> {
        Precision::ALL.to_vec()
    }

    /// Whether it measures, rather than predicts. Measurements take time, disturb one another and
    /// are kept for later; predictions are asked for again.
    fn measures(&self) -> bool {
        false
    }

    /// Latencies in the order of the queries.
    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError>;

    /// The same for a batch in columns, which is how questions come to a plugin. A source that is
    /// asked often can read them as they are: no graph is built for it.
    fn latencies_of(&self, graphs: &GraphColumns) -> Result<Vec<Latency>, LatencyError> {
        self.latencies(&graphs.queries()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_latency_is_rounded_to_nothing() {
        let shown = [0.0, 12.34567, 0.25, 0.0712, 0.00012345, 1e-6].map(milliseconds);
        assert_eq!(shown, ["0.000", "12.346", "0.250", "0.0712", "0.000123", "0.00000100"]);
    }
}
