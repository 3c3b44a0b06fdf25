//! The target as data.

use std::sync::Arc;

use spacewright_core::{
    foreign::ModelFile,
    kernel::FusionRules,
    latency::LatencySource,
    model::ModelSummary,
    target::{LatencyKind, Runtime, Target, TargetDescription, TargetError},
};
use spacewright_measure::PartLatency;
use spacewright_tflite::scheme;

use crate::runtime::LiteRtRuntime;

/// Name of the target.
pub(crate) const NAME: &str = "host-litert";

/// This machine with LiteRT.
pub struct HostLiteRt {
    threads: usize,
}

impl HostLiteRt {
    /// With one thread.
    pub fn new() -> Self {
        Self { threads: 1 }
    }

    fn litert(&self) -> Result<LiteRtRuntime, TargetError> {
        LiteRtRuntime::new(NAME).map(|runtime| runtime.with_threads(self.threads))
    }
}

impl Default for HostLiteRt {
    fn default() -> Self {
        Self::new()
    }
}

impl Target for HostLiteRt {
    fn description(&self) -> TargetDescription {
        let scheme = scheme();
        TargetDescription {
            name: NAME.into(),
            summary: "This machine with LiteRT (TensorFlow Lite) and XNNPACK, one thread; full \
                      8-bit weights"
                .into(),
            fusion: FusionRules { ends: true, ..FusionRules::of_scheme(&scheme) },
            scheme,
            model_format: "tflite".into(),
            executes: true,
            latency: LatencyKind::Measured,
            held_out: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(PartLatency::new(self.litert()?, scheme())))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(self.litert()?))
    }

    fn has_runtime(&self) -> bool {
        true
    }

    fn inspect(&self, file: &ModelFile<'_>) -> Result<ModelSummary, TargetError> {
        let summary = spacewright_tflite::read(file.content);
        summary.map_err(|error| TargetError::new(NAME, error.to_string()))
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn with_threads(&self, threads: usize) -> Result<Arc<dyn Target>, TargetError> {
        Ok(Arc::new(Self { threads }))
    }
}

#[cfg(test)]
mod tests {
    use spacewright_sdk::{BuiltInItem, registrations};

    #[test]
    fn the_target_is_registered() {
        let names: Vec<String> = registrations()
            .filter(|registration| registration.plugin == "host-litert")
            .filter_map(|registration| match registration.item {
                BuiltInItem::Targets(make) => Some(make()),
                _ => None,
            })
            .flatten()
            .map(|target| target.description().name)
            .collect();
        assert_eq!(names, ["host-litert"]);
    }
}
