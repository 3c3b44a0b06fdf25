//! The target as data.

use spacewright_sdk::prelude::*;
use spacewright_tflite::scheme;

use crate::{Settings, TfliteRunner, latency};

/// Name of the target.
pub(crate) const NAME: &str = "pixel-arm";

/// The ARM processor of a Pixel phone with TensorFlow Lite.
pub struct PixelArm;

impl Target for PixelArm {
    fn description(&self) -> TargetDescription {
        TargetDescription {
            name: NAME.into(),
            summary: "ARM CPU of a Pixel phone with TensorFlow Lite, one thread: latencies are \
                      predicted, .tflite files are measured on an attached phone"
                .into(),
            fusion: FusionRules::of_scheme(&scheme()),
            scheme: scheme(),
            model_format: "tflite".into(),
            executes: false,
            latency: LatencyKind::Fitted,
            held_out: latency::source().map(|source| source.held_out()).unwrap_or_default(),
            unsupported: Vec::new(),
        }
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        Ok(Arc::new(latency::source()?))
    }

    /// Needs no phone yet: the phone is looked for when a file is measured.
    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(TfliteRunner::new(Settings::from_environment())))
    }

    fn has_runtime(&self) -> bool {
        true
    }
}

/// An error of this target.
pub(crate) fn target_error(reason: impl ToString) -> TargetError {
    TargetError::new(NAME, reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_there_without_a_phone() {
        assert!(PixelArm.has_runtime());
        assert!(PixelArm.runtime().is_ok());
        assert_eq!(PixelArm.description().model_format, "tflite");
    }
}
