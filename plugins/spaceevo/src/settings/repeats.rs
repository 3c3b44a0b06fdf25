//! `[repeats]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// `bench spaces`: supernets that are trained several times, as one training differs from the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatSettings {
    /// Times that the supernets of the space that was found and of `spaces` are trained; `--seeds` of the command
    /// sets it. What was trained for another number is taken over. Intervals of two trainings are wide: three are
    /// the fewest that say much.
    #[default = 1]
    #[schemars(range(min = 1))]
    pub seeds: usize,
    /// Those of the section `rivals`, by the names that they have there, or `random`; empty: the manual one with the
    /// best score (the first where none has one), and `mobilenet-v2-res`.
    pub spaces: Vec<String>,
}

impl Section for RepeatSettings {
    const NAME: &'static str = "repeats";
}
