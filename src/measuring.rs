//! Measured latencies with progress on standard error, kept in the cache of all studies.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use indicatif::ProgressBar;
use spacewright_core::{
    latency::{Latency, LatencyQuery, LatencySource},
    train::Monitor,
};
use spacewright_engine::{LatencyCache, default_home};

use crate::{process, progress, render::Failure};

/// Asks latency sources.
pub struct Measuring {
    cache: LatencyCache,
    shown: Shown,
}

struct Shown {
    bar: ProgressBar,
    cancel: Arc<AtomicBool>,
}

impl Monitor for Shown {
    fn progress(&self, _: usize, _: usize, _: &str) {}

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Questions between two steps of the bar; the cache records as many at once.
const TOGETHER: usize = 8;

impl Measuring {
    /// Will ask `questions`, or for so many seconds; Ctrl-C stops it, and nothing measured is lost.
    pub fn new(questions: usize, quiet: bool) -> Result<Self, Failure> {
        let cancel = process::cancelled_by_signal();
        let cache = LatencyCache::open(&default_home())?;
        Ok(Self { cache, shown: Shown { bar: progress::bar(questions, quiet), cancel } })
    }

    /// Latencies in the order of the queries; those that were measured before are not measured
    /// again, and predictions are asked for all at once.
    pub fn latencies(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, Failure> {
        let mut latencies = Vec::with_capacity(queries.len());
        let together = if source.measures() { TOGETHER } else { queries.len().max(1) };
        for queries in queries.chunks(together) {
            latencies.extend(self.cache.latencies(source, queries, &self.shown)?);
            self.shown.bar.inc(queries.len() as u64);
        }
        Ok(latencies)
    }

    /// Moves the bar to so many seconds.
    pub fn at(&self, seconds: f64) {
        self.shown.bar.set_position(seconds as u64);
    }

    /// Says how things stand, behind the bar.
    pub fn say(&self, text: String) {
        self.shown.bar.set_message(text);
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.shown.bar.finish_and_clear();
    }
}
