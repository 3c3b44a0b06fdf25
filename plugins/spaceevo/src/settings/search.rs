//! `[search]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// The search for subnets within each latency budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Subnets of the first generation; half of them are parents of the next.
    #[default = 32]
    #[schemars(range(min = 1))]
    pub population: usize,
    /// Generations after the first.
    #[default = 4]
    pub generations: usize,
    /// Subnets that are looked at use at least 1 − slack of their budget.
    #[default = 0.15]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub slack: f64,
    /// Training images for recalibration of batch normalization.
    #[default = 512]
    #[schemars(range(min = 1))]
    pub calibration_images: usize,
    /// Held-out images that accuracy is judged on.
    #[default = 2000]
    #[schemars(range(min = 1))]
    pub judge_images: usize,
    /// The best subnets of each budget, at most half of the population, which are judged again at the
    /// end, on all held-out images, together with those of smaller budgets. Of those within one standard
    /// error of the best, and no less accurate than what a smaller budget has, the one with the most
    /// multiply-adds is chosen.
    #[default = 8]
    #[schemars(range(min = 1))]
    pub finalists: usize,
}

impl Section for SearchSettings {
    const NAME: &'static str = "search";
}
