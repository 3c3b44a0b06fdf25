//! Measured latencies with progress on standard error, kept in the cache of all studies.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
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
    /// How far the bar has moved since the last call.
    moved: AtomicUsize,
    cancel: Arc<AtomicBool>,
}

impl Monitor for Shown {
    fn progress(&self, done: usize, _: usize, _: &str) {
        let moved = self.moved.swap(done, Ordering::Relaxed);
        self.bar.inc(done.saturating_sub(moved) as u64);
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

impl Measuring {
    /// Will ask `questions`, or for so many seconds; Ctrl-C stops it, and nothing measured is lost.
    pub fn new(questions: usize, quiet: bool) -> Result<Self, Failure> {
        let cancel = process::cancelled_by_signal();
        let cache = LatencyCache::open(&default_home()?)?;
        let bar = progress::bar(questions, quiet);
        Ok(Self { cache, shown: Shown { bar, moved: AtomicUsize::new(0), cancel } })
    }

    /// Latencies in the order of the queries; those that were measured before are not measured
    /// again, and predictions are asked for all at once.
    pub fn latencies(
        &self,
        source: &dyn LatencySource,
        queries: &[LatencyQuery],
    ) -> Result<Vec<Latency>, Failure> {
        self.shown.moved.store(0, Ordering::Relaxed);
        let latencies = self.cache.latencies(source, queries, &self.shown)?;
        // Those that were known before count as well.
        self.shown.progress(queries.len(), queries.len(), "");
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
