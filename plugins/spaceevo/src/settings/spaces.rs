//! `[spaces]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// `bench spaces`: the space that was found against those of the section `rivals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct SpacesSettings {
    /// Random subnets of each space for its error distribution.
    #[default = 50]
    #[schemars(range(min = 1))]
    pub subnets: usize,
    /// Training images for recalibration of batch normalization.
    #[default = 512]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Held-out images that their accuracy is judged on; at most all of them.
    #[default = 5000]
    #[schemars(range(min = 1))]
    pub judge_images: usize,
}

impl Section for SpacesSettings {
    const NAME: &'static str = "spaces";
}
