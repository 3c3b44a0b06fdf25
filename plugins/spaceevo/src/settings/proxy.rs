//! `[proxy]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// `bench proxy`: block-wise losses of subnets against their INT8 accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct ProxySettings {
    /// Random subnets of the space that was found.
    #[default = 60]
    #[schemars(range(min = 1))]
    pub subnets: usize,
    /// Random subnets of the random space of the section `rivals`.
    #[default = 24]
    #[schemars(range(min = 1))]
    pub second_subnets: usize,
    /// Random subnets of each of its manual spaces.
    #[default = 12]
    pub manual_subnets: usize,
    /// Share of the first space's subnets that the stages' weights are fitted on.
    #[default = 0.5]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fit_share: f64,
    /// Training images for recalibration of batch normalization.
    #[default = 512]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Held-out images that accuracy is judged on; at most all of them.
    #[default = 5000]
    #[schemars(range(min = 1))]
    pub judge_images: usize,
}

impl Section for ProxySettings {
    const NAME: &'static str = "proxy";
}
