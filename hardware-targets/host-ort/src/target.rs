//! The targets of this machine and their quantization schemes.
//!
//! Quantizers stand where the runtime's fusions allow them. A ReLU or ReLU6 disappears into the
//! quantizer after it, whatever it follows, as long as no quantizer stands before it; between two
//! quantizers it would cost a conversion to real numbers and back.

use std::sync::Arc;

use spacewright_core::{
    foreign::{MeasureMonitor, ModelFile, OpenSizes},
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

use crate::{
    file::{MeasuredFile, OpenedFile},
    reader::{self, float::float_operators},
    runtime::{OrtRuntime, Source, optimized},
    writer,
};

/// Name of the target whose weights every x86 processor computes exactly.
pub(crate) const HOST: &str = "host-ort";

/// This machine with ONNX Runtime, under one quantization scheme.
pub struct HostOrt {
    name: &'static str,
    summary: &'static str,
    scheme: Scheme,
    threads: usize,
}

impl HostOrt {
    /// `host-ort`: 7-bit weights, which are exact on every x86 processor.
    pub fn new() -> Self {
        Self {
            name: HOST,
            summary: "This machine with ONNX Runtime; dense weights in 7 bits, exact on any CPU",
            scheme: scheme_7bit(),
            threads: 1,
        }
    }

    /// `host-ort-pairs`: weights that keep the pair rule, equally exact and finer.
    pub fn pairs() -> Self {
        Self {
            name: "host-ort-pairs",
            summary: "This machine with ONNX Runtime; dense weights in 8 bits under the pair rule",
            scheme: scheme_pairs(),
            threads: 1,
        }
    }

    fn ort(&self) -> Result<OrtRuntime, TargetError> {
        OrtRuntime::new(self.name).map(|runtime| runtime.with_threads(self.threads))
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
        Ok(Arc::new(PartLatency::new(self.ort()?, self.scheme.clone())))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(self.ort()?))
    }

    fn has_runtime(&self) -> bool {
        true
    }

    fn inspect(&self, file: &ModelFile<'_>) -> Result<ModelSummary, TargetError> {
        reader::read(file).map_err(|error| TargetError::new(self.name, error.to_string()))
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn with_threads(&self, threads: usize) -> Result<Arc<dyn Target>, TargetError> {
        let Self { name, summary, scheme, .. } = self;
        Ok(Arc::new(Self { name, summary, scheme: scheme.clone(), threads }))
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
        self.load_file(&ModelFile::in_memory(model), &OpenSizes::new())
    }

    fn load_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
    ) -> Result<Box<dyn LoadedModel>, TargetError> {
        let opened = OpenedFile::open(self, file, sizes).map_err(|error| self.error(error))?;
        Ok(Box::new(self.model(opened, file.content)?))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        self.measure_file(&ModelFile::in_memory(model), &OpenSizes::new(), &())
    }

    fn measure_file(
        &self,
        file: &ModelFile<'_>,
        sizes: &OpenSizes,
        monitor: &dyn MeasureMonitor,
    ) -> Result<Measurement, TargetError> {
        let opened = MeasuredFile::open(self, file, sizes);
        let mut model = opened.map_err(|error| self.error(error))?;
        let (inputs, open) = (model.inputs.inputs.clone(), model.inputs.warning());
        let measured =
            spacewright_measure::file(self.clone(), &mut model, scheme_7bit(), inputs, monitor);
        let mut measurement = measured?;
        measurement.warnings.extend(open);
        Ok(measurement)
    }

    fn float_operators(&self, file: &ModelFile<'_>) -> Result<Option<Vec<String>>, TargetError> {
        let graph = optimized(self, Source::of(file)).map_err(|error| self.error(error))?;
        Ok(Some(float_operators(&graph)))
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
