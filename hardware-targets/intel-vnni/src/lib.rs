//! Intel processors with VNNI and ONNX Runtime as a Spacewright target.
//!
//! Latencies are predicted by a model that was fitted on published measurements, so any machine
//! can design networks for such a processor. Model files are written and run by `host-ort`, but
//! only where the processor has VNNI: elsewhere full 8-bit weights saturate, and what is measured
//! says nothing of VNNI.

use spacewright_host_ort::OrtRuntime;
use spacewright_latency_model::{Fitted, ModelError};
use spacewright_measure::cpu::has_vnni;
use spacewright_sdk::prelude::*;

const NAME: &str = "intel-vnni";

/// Fitted on the block latencies in nn-Meter's public history; see README.md.
const MODEL: &str = include_str!("../model.json");

/// Intel processors with VNNI.
#[derive(Debug, Clone, Copy)]
pub struct IntelVnni {
    has_vnni: bool,
}

impl IntelVnni {
    /// The target, on this machine.
    pub fn new() -> Self {
        Self { has_vnni: has_vnni() }
    }
}

impl Default for IntelVnni {
    fn default() -> Self {
        Self::new()
    }
}

fn target_error(reason: impl ToString) -> TargetError {
    TargetError::new(NAME, reason.to_string())
}

fn predictor() -> Result<Fitted, ModelError> {
    Fitted::from_json(&[MODEL])
}

impl Target for IntelVnni {
    fn description(&self) -> TargetDescription {
        let scheme = Scheme::common("ort-u8s8-8bit", WeightRange::Bits8);
        TargetDescription {
            name: NAME.into(),
            summary: "Intel CPU with VNNI and ONNX Runtime, one thread; full 8-bit weights".into(),
            fusion: FusionRules::of_scheme(&scheme),
            scheme,
            model_format: "onnx".into(),
            executes: true,
            latency: LatencyKind::Fitted,
            held_out: predictor().map(|source| source.held_out()).unwrap_or_default(),
            unsupported: Vec::new(),
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(predictor().map_err(target_error)?))
    }

    /// An error where the processor has no VNNI.
    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        if !self.has_vnni {
            return Err(target_error(
                "this processor has neither avx512_vnni nor avx_vnni: it would compute full 8-bit \
                 weights wrongly, and its times would not be those of VNNI\nhint: predictions \
                 work here; measure and run files on a machine with VNNI, or use the target \
                 `host-ort`",
            ));
        }
        Ok(Arc::new(OrtRuntime::new(NAME)?))
    }

    fn has_runtime(&self) -> bool {
        true
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).target(IntelVnni::new())
}

export!(target, plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&plugin()).assert_good();
    }

    #[test]
    fn errors_are_stated_for_random_rows_and_for_new_widths() {
        let stated = IntelVnni::new().description().held_out;
        let how: Vec<&str> = stated.iter().map(|held_out| held_out.how.as_str()).collect();
        assert!(how[0].starts_with("int8, random rows") && how[1].contains("width"), "{how:?}");
        assert!(stated[0].accuracy.within_10 >= 0.92 && stated[0].accuracy.median_error <= 0.023);
    }

    #[test]
    fn nothing_is_called_vnni_that_is_not() {
        let elsewhere = IntelVnni { has_vnni: false };
        let error = elsewhere.runtime().err().unwrap();
        assert!(error.reason.to_string().starts_with("this processor has neither"), "{error}");
        let source = elsewhere.latency_source().unwrap();
        assert_eq!(source.precisions(), [Precision::Int8]);
    }
}
