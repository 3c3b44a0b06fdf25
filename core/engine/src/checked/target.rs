use std::sync::Arc;

use spacewright_core::{
    foreign::ModelFile,
    latency::LatencySource,
    model::ModelSummary,
    target::{Runtime, Target, TargetDescription, TargetError},
};

use super::{CheckedSource, Watch, runtime::CheckedRuntime};
use crate::origin::Origin;

/// A target whose latencies, files and their outputs are checked.
pub(crate) struct CheckedTarget {
    target: Arc<dyn Target>,
    origin: Origin,
    watch: Arc<Watch>,
}

impl CheckedTarget {
    pub fn wrap(origin: &Origin, target: Arc<dyn Target>) -> Arc<dyn Target> {
        Arc::new(Self { target, origin: origin.clone(), watch: Arc::new(Watch::new(origin)) })
    }
}

impl Target for CheckedTarget {
    fn description(&self) -> TargetDescription {
        self.target.description()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        let source = self.target.latency_source();
        let source = source.map_err(|error| self.watch.with_origin("latency-source", error))?;
        Ok(CheckedSource::wrap(&self.origin, source))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        let runtime = self.target.runtime();
        let runtime = runtime.map_err(|error| self.watch.with_origin("runtime", error))?;
        let name = self.target.description().name;
        Ok(Arc::new(CheckedRuntime::new(name, runtime, self.watch.clone())))
    }

    fn has_runtime(&self) -> bool {
        self.target.has_runtime()
    }

    fn inspect(&self, file: &ModelFile<'_>) -> Result<ModelSummary, TargetError> {
        self.target.inspect(file)
    }

    fn threads(&self) -> usize {
        self.target.threads()
    }

    fn with_threads(&self, threads: usize) -> Result<Arc<dyn Target>, TargetError> {
        Ok(Self::wrap(&self.origin, self.target.with_threads(threads)?))
    }
}
