//! A target as a study uses it: perhaps with another latency source than its own, and with a
//! runtime that it borrows.

use std::sync::Arc;

use spacewright_core::{
    latency::LatencySource,
    target::{Runtime, Target, TargetDescription, TargetError},
};

/// A target, what stands in for its own latencies, and who lends it a runtime.
pub struct Deployed {
    target: Arc<dyn Target>,
    source: Option<Arc<dyn LatencySource>>,
    lender: Option<Arc<dyn Target>>,
}

impl Deployed {
    pub(crate) fn new<'a>(
        target: Arc<dyn Target>,
        source: Option<Arc<dyn LatencySource>>,
        mut others: impl Iterator<Item = &'a Arc<dyn Target>>,
    ) -> Self {
        let format = target.description().model_format;
        let fits = |other: &&Arc<dyn Target>| {
            other.has_runtime() && other.description().model_format == format
        };
        let lender = if target.has_runtime() { None } else { others.find(fits).cloned() };
        Self { target, source, lender }
    }

    /// Name of the target whose runtime it borrows.
    pub fn lender(&self) -> Option<String> {
        self.lender.as_ref().map(|lender| lender.description().name)
    }
}

impl Target for Deployed {
    fn description(&self) -> TargetDescription {
        self.target.description()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        self.source.clone().map_or_else(|| self.target.latency_source(), Ok)
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        if self.target.has_runtime() {
            return self.target.runtime();
        }
        let TargetDescription { name, model_format, .. } = self.description();
        self.lender.as_ref().map_or_else(
            || {
                let reason = format!("nothing here writes and runs `{model_format}` files");
                Err(TargetError { target: name, reason })
            },
            |lender| lender.runtime(),
        )
    }

    fn has_runtime(&self) -> bool {
        self.target.has_runtime() || self.lender.is_some()
    }
}
