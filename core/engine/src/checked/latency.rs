use std::sync::Arc;

use spacewright_core::latency::{
    Interval, Latency, LatencyError, LatencyQuery, LatencySource, Precision,
};

use super::Watch;
use crate::origin::Origin;

/// A latency source whose answers are positive, finite and one per question.
pub(crate) struct CheckedSource {
    source: Arc<dyn LatencySource>,
    watch: Watch,
}

const CALL: &str = "latencies";

/// Eleven days: longer times are taken for mistakes.
const LONGEST_MS: f64 = 1e9;

impl CheckedSource {
    pub fn wrap(origin: &Origin, source: Arc<dyn LatencySource>) -> Arc<dyn LatencySource> {
        Arc::new(Self { source, watch: Watch::new(origin) })
    }

    fn check(&self, queries: &[LatencyQuery], answers: &[Latency]) -> Result<(), String> {
        self.watch.count(CALL, answers.len(), queries.len())?;
        for (query, answer) in queries.iter().zip(answers) {
            let sound = answer.ms > 0.0 && answer.ms <= LONGEST_MS;
            let known = answer.spread_ms >= 0.0 && answer.spread_ms <= LONGEST_MS;
            if !(sound && known) {
                let reason = format!("{} ± {} ms for {query}", answer.ms, answer.spread_ms);
                return Err(self.watch.wrong(CALL, reason));
            }
            if let Some(Interval { low_ms, high_ms }) = answer.interval
                && !(low_ms > 0.0 && low_ms <= high_ms && high_ms <= LONGEST_MS)
            {
                let reason = format!("from {low_ms} to {high_ms} ms for {query}");
                return Err(self.watch.wrong(CALL, reason));
            }
        }
        // Measured times differ.
        if answers.first().is_some_and(|first| first.runs == 0) && self.watch.asks_twice() {
            let again = self.source.latencies(&queries[..1]).map_err(|e| e.to_string())?;
            let item = &queries[0];
            self.watch.same(CALL, item, again == answers[..1])?;
        }
        Ok(())
    }
}

impl LatencySource for CheckedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    /// A plugin's answers hold for this very file of it.
    fn fingerprint(&self) -> String {
        match self.watch.origin.identity() {
            Some(identity) => format!("{identity}; {}", self.source.fingerprint()),
            None => self.source.fingerprint(),
        }
    }

    fn precisions(&self) -> Vec<Precision> {
        self.source.precisions()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let answers = self.source.latencies(queries);
        let answers =
            answers.map_err(|e| LatencyError { reason: self.watch.of(CALL, e.reason) })?;
        self.check(queries, &answers).map_err(|reason| LatencyError { reason })?;
        Ok(answers)
    }
}
