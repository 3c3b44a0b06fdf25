//! The target as data.

use std::sync::Arc;

use spacewright_core::{
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
pub struct HostLiteRt;

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
        Ok(Arc::new(PartLatency::new(LiteRtRuntime::new(NAME)?, scheme())))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(LiteRtRuntime::new(NAME)?))
    }

    fn has_runtime(&self) -> bool {
        true
    }

    fn inspect(&self, model: &[u8]) -> Result<ModelSummary, TargetError> {
        spacewright_tflite::read(model).map_err(|error| TargetError::new(NAME, error.to_string()))
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
