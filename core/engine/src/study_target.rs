//! A target as a study uses it: perhaps with another latency source than its own, and with a
//! runtime that it borrows.

use std::sync::Arc;

use spacewright_core::{
    foreign::{MeasureMonitor, ModelFile, OpenSizes},
    latency::LatencySource,
    model::ModelSummary,
    quant::{FloatNetwork, IntegerNetwork},
    target::{
        LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, Target, TargetDescription,
        TargetError,
    },
};

/// A target, what stands in for its own latencies, and who lends it a runtime.
pub struct StudyTarget {
    target: Arc<dyn Target>,
    source: Option<Arc<dyn LatencySource>>,
    lender: Option<Arc<dyn Target>>,
}

impl StudyTarget {
    pub(crate) fn new<'a>(
        target: Arc<dyn Target>,
        source: Option<Arc<dyn LatencySource>>,
        mut others: impl Iterator<Item = &'a Arc<dyn Target>>,
    ) -> Self {
        let TargetDescription { model_format, executes, .. } = target.description();
        let fits = |other: &&Arc<dyn Target>| {
            let other_is = other.description();
            other.has_runtime() && other_is.executes && other_is.model_format == model_format
        };
        let complete = target.has_runtime() && executes;
        let lender = if complete { None } else { others.find(fits).cloned() };
        Self { target, source, lender }
    }

    /// Name of the target whose runtime it borrows.
    pub fn lender(&self) -> Option<String> {
        self.lender.as_ref().map(|lender| lender.description().name)
    }
}

impl Target for StudyTarget {
    fn description(&self) -> TargetDescription {
        self.target.description()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        self.source.clone().map_or_else(|| self.target.latency_source(), Ok)
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        if self.target.has_runtime() {
            let writer = self.target.runtime()?;
            return Ok(match &self.lender {
                Some(lender) => Arc::new(SplitRuntime { writer, executor: lender.runtime()? }),
                None => writer,
            });
        }
        let TargetDescription { name, model_format, .. } = self.description();
        self.lender.as_ref().map_or_else(
            || {
                let reason = format!("nothing here writes and runs `{model_format}` files");
                Err(TargetError::new(name, reason))
            },
            |lender| lender.runtime(),
        )
    }

    fn has_runtime(&self) -> bool {
        self.target.has_runtime() || self.lender.is_some()
    }

    fn inspect(&self, file: &ModelFile<'_>) -> Result<ModelSummary, TargetError> {
        self.target.inspect(file)
    }

    /// Those of its latencies: a source that stands in for its own has its own number.
    fn threads(&self) -> usize {
        if self.source.is_some() { 1 } else { self.target.threads() }
    }
}

/// A runtime that writes and measures files, and one that computes what they give.
struct SplitRuntime {
    writer: Arc<dyn Runtime>,
    executor: Arc<dyn Runtime>,
}

impl Runtime for SplitRuntime {
    fn fingerprint(&self) -> String {
        format!("{}; files run by {}", self.writer.fingerprint(), self.executor.fingerprint())
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        self.writer.write_float(network, info)
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        self.writer.write_integer(network, info, outputs)
    }

    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        self.executor.load(model)
    }

    fn load_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        self.executor.load_file(file, sizes)
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        self.writer.measure(model)
    }

    fn measure_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        monitor: &dyn MeasureMonitor,
    ) -> Result<Measurement, TargetError> {
        self.writer.measure_file(file, sizes, monitor)
    }

    fn float_operators(&self, file: &ModelFile<'_>) -> Result<Option<Vec<String>>, TargetError> {
        self.executor.float_operators(file)
    }
}
