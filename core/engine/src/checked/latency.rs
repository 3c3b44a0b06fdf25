use std::sync::Arc;

use spacewright_core::{
    call::CallError,
    latency::{Interval, Latency, LatencyError, LatencyQuery, LatencySource, Precision},
};

use super::Watch;
use crate::origin::Origin;

/// A latency source whose answers are positive, finite and one per question.
pub(crate) struct CheckedSource {
    source: Arc<dyn LatencySource>,
    watch: Watch,
    /// Of the plugin, where it was loaded from a file.
    identity: Option<String>,
}

const CALL: &str = "latencies";

/// Eleven days: longer times are taken for mistakes.
pub(super) const LONGEST_MS: f64 = 1e9;

impl CheckedSource {
    pub fn wrap(origin: &Origin, source: Arc<dyn LatencySource>) -> Arc<dyn LatencySource> {
        Arc::new(Self { source, watch: Watch::new(origin), identity: origin.identity() })
    }

    fn check(&self, queries: &[LatencyQuery], answers: &[Latency]) -> Result<(), CallError> {
        self.watch.count(CALL, answers.len(), queries.len())?;
        for (query, answer) in queries.iter().zip(answers) {
            let sound = answer.ms > 0.0 && answer.ms <= LONGEST_MS;
            let known = answer.spread_ms >= 0.0 && answer.spread_ms <= LONGEST_MS;
            if !(sound && known) {
                let reason = format!("{} ± {} ms", answer.ms, answer.spread_ms);
                return Err(self.watch.bad(CALL, query, reason));
            }
            if let Some(Interval { low_ms, high_ms }) = answer.interval
                && !(low_ms > 0.0 && low_ms <= high_ms && high_ms <= LONGEST_MS)
            {
                let reason = format!("from {low_ms} to {high_ms} ms");
                return Err(self.watch.bad(CALL, query, reason));
            }
        }
        Ok(())
    }

    fn ask(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let answers = self.source.latencies(queries);
        answers.map_err(|error| self.watch.with_origin(CALL, error))
    }
}

impl LatencySource for CheckedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    /// A plugin's answers hold for this very file of it.
    fn fingerprint(&self) -> String {
        match &self.identity {
            Some(identity) => format!("{identity}; {}", self.source.fingerprint()),
            None => self.source.fingerprint(),
        }
    }

    fn precisions(&self) -> Vec<Precision> {
        self.source.precisions()
    }

    fn measures(&self) -> bool {
        self.source.measures()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let answers = self.ask(queries)?;
        self.check(queries, &answers).map_err(LatencyError::new)?;
        // Measured times differ.
        if answers.first().is_some_and(|first| first.runs == 0) && self.watch.asks_twice() {
            let again = self.ask(&queries[..1])?;
            let same = self.watch.same(CALL, &queries[0], again == answers[..1]);
            same.map_err(LatencyError::new)?;
        }
        Ok(answers)
    }
}
