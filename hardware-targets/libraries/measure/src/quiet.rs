//! Tells whether the processor is undisturbed, from a small model that is timed again and again.
//!
//! Other work on the same physical core slows every measurement by up to 1.4 times, for seconds
//! at a time, with no sign of it in the spread.

use spacewright_core::target::TargetError;

use crate::{Timed, sample, timing::Samples};

/// How much slower than its best the small model may be on a quiet machine.
const SLOWER: f64 = 1.1;

pub(crate) struct Sentinel {
    model: Box<dyn Timed>,
    best_ms: f64,
    worst_ms: f64,
}

impl Sentinel {
    pub(crate) fn new(model: Box<dyn Timed>) -> Self {
        Self { model, best_ms: f64::INFINITY, worst_ms: 0.0 }
    }

    /// Times the model once more, against the best time so far.
    pub(crate) fn is_quiet(&mut self) -> Result<bool, TargetError> {
        let mut samples = Samples::default();
        sample(self.model.as_mut(), &mut samples, &|| ())?;
        let ms = samples.latency().ms;
        self.best_ms = self.best_ms.min(ms);
        self.worst_ms = self.worst_ms.max(ms);
        Ok(ms <= self.best_ms * SLOWER)
    }

    /// The slowest time of the model against its fastest.
    pub(crate) fn drift(&self) -> f64 {
        self.worst_ms / self.best_ms
    }
}
