//! `[export]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::{Reference, Referred, Section};

/// Model files, verified on the test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct ExportSettings {
    /// Training images for the final recalibration and for post-training quantization.
    #[default = 2048]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Test images on which every operator is checked against the integer executor.
    #[default = 8]
    pub check_images: usize,
    /// Quantizer whose network stands beside the trained one.
    #[default = "min-max"]
    pub post_training: String,
    /// Formats of model files besides the target's own, such as `tflite`, or `all`; `--format` of
    /// the command sets it.
    pub formats: Vec<String>,
}

impl Section for ExportSettings {
    const NAME: &'static str = "export";

    fn references(&self) -> Vec<Reference> {
        let quantizer = Referred::Quantizer(self.post_training.clone());
        let format = |name: &String| Reference::new("formats", Referred::Format(name.clone()));
        let quantizer = std::iter::once(Reference::new("post_training", quantizer));
        quantizer.chain(self.formats.iter().map(format)).collect()
    }
}
