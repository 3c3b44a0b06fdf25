//! Targets that write and run their models with another target's runtime.

use std::sync::Arc;

use spacewright_core::{
    latency::LatencySource,
    target::{Runtime, Target, TargetDescription, TargetError},
};

/// A target without a runtime, and those that could lend it one.
pub(crate) struct Borrowing {
    target: Arc<dyn Target>,
    lenders: Vec<Arc<dyn Target>>,
}

impl Borrowing {
    /// The target itself where it has a runtime.
    pub fn if_needed<'a>(
        target: Arc<dyn Target>,
        others: impl Iterator<Item = &'a Arc<dyn Target>>,
    ) -> Arc<dyn Target> {
        if target.has_runtime() {
            return target;
        }
        let format = target.description().model_format;
        let fits = |other: &&Arc<dyn Target>| {
            other.has_runtime() && other.description().model_format == format
        };
        let lenders = others.filter(fits).cloned().collect();
        Arc::new(Self { target, lenders })
    }
}

impl Target for Borrowing {
    fn description(&self) -> TargetDescription {
        self.target.description()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        self.target.latency_source()
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        let TargetDescription { name, model_format, .. } = self.description();
        match self.lenders.first() {
            Some(lender) => lender.runtime(),
            None => Err(TargetError {
                target: name,
                reason: format!("nothing here writes and runs `{model_format}` files"),
            }),
        }
    }

    fn has_runtime(&self) -> bool {
        !self.lenders.is_empty()
    }
}
