use std::sync::Arc;

use spacewright_core::{
    latency::LatencySource,
    model::ModelSummary,
    target::{Runtime, Target, TargetDescription, TargetError},
};

use super::CheckedSource;
use crate::origin::Origin;

/// A target whose latencies are checked.
pub(crate) struct CheckedTarget {
    target: Arc<dyn Target>,
    origin: Origin,
}

impl CheckedTarget {
    pub fn wrap(origin: &Origin, target: Arc<dyn Target>) -> Arc<dyn Target> {
        Arc::new(Self { target, origin: origin.clone() })
    }
}

impl Target for CheckedTarget {
    fn description(&self) -> TargetDescription {
        self.target.description()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(CheckedSource::wrap(&self.origin, self.target.latency_source()?))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        self.target.runtime()
    }

    fn has_runtime(&self) -> bool {
        self.target.has_runtime()
    }

    fn inspect(&self, model: &[u8]) -> Result<ModelSummary, TargetError> {
        self.target.inspect(model)
    }
}
