//! `[tables]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::{Reference, Referred, Section};

/// The quality tables, one for each stage, block type and width window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct TableSettings {
    /// Rows for each input width and resolution.
    #[default = 4]
    #[schemars(range(min = 1))]
    pub rows: usize,
    /// Folder of published tables of the hyperspace, or of one that holds more, relative to the study: rows are taken
    /// out of them, to compare what is found with what was published (`spacewright table compare`), and drawn only where
    /// they have none. Empty: all rows are drawn.
    pub published: String,
}

impl Section for TableSettings {
    const NAME: &'static str = "tables";
    const LATER: &'static [&'static str] = &["published"];

    fn references(&self) -> Vec<Reference> {
        vec![Reference::new("published", Referred::Tables(self.published.clone()))]
    }
}
