//! The targets of this machine and their quantization schemes.
//!
//! Quantizers stand where the runtime's fusions allow them. A ReLU or ReLU6 disappears into the
//! quantizer after it, whatever it follows, as long as no quantizer stands before it; between two
//! quantizers it would cost a conversion to real numbers and back.

use std::sync::Arc;

use spacewright_core::{
    kernel::FusionRules,
    latency::LatencySource,
    model::ModelSummary,
    quant::{FloatNetwork, IntegerNetwork, Scheme, WeightRange},
    target::{
        LatencyKind, LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, Target,
        TargetDescription, TargetError,
    },
};

use spacewright_measure::{Bench, PartLatency};

use crate::{file::MeasuredFile, reader, runtime::OrtRuntime, writer};

/// This machine with ONNX Runtime, under one quantization scheme.
pub struct HostOrt {
    name: &'static str,
    summary: &'static str,
    scheme: Scheme,
}

impl HostOrt {
    /// `host-ort`: 7-bit weights, which are exact on every x86 processor.
    pub fn new() -> Self {
        Self {
            name: "host-ort",
            summary: "This machine with ONNX Runtime; dense weights in 7 bits, exact on any CPU",
            scheme: scheme_7bit(),
        }
    }

    /// `host-ort-pairs`: weights that keep the pair rule, equally exact and finer.
    pub fn pairs() -> Self {
        Self {
            name: "host-ort-pairs",
            summary: "This machine with ONNX Runtime; dense weights in 8 bits under the pair rule",
            scheme: scheme_pairs(),
        }
    }
}

impl Default for HostOrt {
    fn default() -> Self {
        Self::new()
    }
}

impl Target for HostOrt {
    fn description(&self) -> TargetDescription {
        TargetDescription {
            name: self.name.into(),
            summary: self.summary.into(),
            scheme: self.scheme.clone(),
            model_format: "onnx".into(),
            fusion: FusionRules { ends: true, ..FusionRules::of_scheme(&self.scheme) },
            executes: true,
            latency: LatencyKind::Measured,
            held_out: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        let runtime = OrtRuntime::new(self.name)?;
        Ok(Arc::new(PartLatency::new(runtime, self.scheme.clone())))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(OrtRuntime::new(self.name)?))
    }

    fn has_runtime(&self) -> bool {
        true
    }

    fn inspect(&self, model: &[u8]) -> Result<ModelSummary, TargetError> {
        reader::read(model).map_err(|error| TargetError::new(self.name, error.to_string()))
    }
}

impl Runtime for OrtRuntime {
    fn fingerprint(&self) -> String {
        self.runtime()
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        writer::write_float(network, info).map_err(|error| self.error(error))
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        writer::write_integer(network, info, outputs).map_err(|error| self.error(error))
    }

    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        Ok(Box::new(self.open(model)?))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        let (mut file, open) =
            MeasuredFile::open(self, model).map_err(|error| self.error(error))?;
        let mut measurement = spacewright_measure::file(self.clone(), &mut file, scheme_7bit())?;
        measurement.warnings.extend(open);
        Ok(measurement)
    }
}

/// The scheme `ort-u8s8-7bit`.
pub fn scheme_7bit() -> Scheme {
    Scheme::common("ort-u8s8-7bit", WeightRange::Bits7)
}

/// The scheme `ort-u8s8-pairs`.
pub fn scheme_pairs() -> Scheme {
    Scheme::common("ort-u8s8-pairs", WeightRange::PairAware8)
}

#[cfg(test)]
mod tests {
    use spacewright_sdk::{BuiltInItem, registrations};

    #[test]
    fn both_targets_are_registered() {
        let names: Vec<String> = registrations()
            .filter(|registration| registration.plugin == "host-ort")
            .filter_map(|registration| match registration.item {
                BuiltInItem::Targets(make) => Some(make()),
                _ => None,
            })
            .flatten()
            .map(|target| target.description().name)
            .collect();
        assert_eq!(names, ["host-ort", "host-ort-pairs"]);
    }
}
