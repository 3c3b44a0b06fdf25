//! `[tables]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::Section;

/// The quality tables, one for each stage, block type and width window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct TableSettings {
    /// Rows for each input width and resolution.
    #[default = 4]
    #[schemars(range(min = 1))]
    pub rows: usize,
}

impl Section for TableSettings {
    const NAME: &'static str = "tables";
}
