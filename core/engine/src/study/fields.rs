//! The engine's own fields of a study file.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smart_default::SmartDefault;
use spacewright_core::study::{FieldError, Section, SectionKind};

use crate::{cluster::ClusterSettings, compute::ComputeSettings, data::DataSettings};

/// What is looked for, and for which hardware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StudyFields {
    /// Name of the run: letters, digits, `-`, `_` and `.`; it becomes the name of a folder.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The sequence of steps.
    #[default = "spaceevo"]
    pub method: String,
    /// All candidate search spaces: a name, a path to a TOML file next to the study, or a table. A study has to say it,
    /// unless it takes that of another (`from`).
    #[default(Value::String(String::new()))]
    #[schemars(schema_with = "hyperspace")]
    pub hyperspace: Value,
    /// The hardware and its runtime.
    #[default = "host-ort"]
    pub target: String,
    /// Where latencies come from: a latency source; empty for the target's own.
    pub latency: String,
    /// Where quantization parameters start.
    #[default = "lsq-plus"]
    pub quantizer: String,
    /// Path of another study, relative to this one, whose teacher and quality tables this one takes; seed, hyperspace,
    /// quantizer, images and the sections of these steps are then that study's. Where this one has such a section
    /// all the same, it is taken as a whole, and that step and those that read it are its own.
    pub from: String,
}

/// Characters of a name: most file systems know names of 255 bytes, and what belongs to a run may be named after it.
const LONGEST_NAME: usize = 100;

fn hyperspace(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "object"] })
}

impl Section for StudyFields {
    const NAME: &'static str = "";
    const REQUIRED: &'static [&'static str] = &["name"];

    fn check(&self) -> Result<(), FieldError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let refused = |reason: String, hint: &str| {
            let hint = format!("use {hint}; it becomes the name of a folder");
            Err(FieldError::refused("", "name", reason, hint))
        };
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(legal) {
            let reason = format!("`{}` cannot be the name of a run", self.name);
            return refused(reason, "letters a to z, digits, `-`, `_` and, but not first, `.`");
        }
        if self.name.len() > LONGEST_NAME {
            let reason = format!("a name of {} characters is too long", self.name.len());
            return refused(reason, &format!("{LONGEST_NAME} at most"));
        }
        Ok(())
    }
}

/// Fields at the top of a study file, in a section without a name, and the tables `data`, `compute` and
/// `cluster`.
pub fn engine_sections() -> [SectionKind; 4] {
    [
        SectionKind::of::<StudyFields>(),
        SectionKind::of::<DataSettings>(),
        SectionKind::of::<ComputeSettings>(),
        SectionKind::of::<ClusterSettings>(),
    ]
}

/// JSON Schema (draft 7) of study files with these sections of methods.
pub fn study_schema(sections: &[SectionKind]) -> Value {
    let [top, tables @ ..] = engine_sections();
    let mut schema = top.schema();
    for section in tables.iter().chain(sections) {
        schema["properties"][section.name] = section.schema();
    }
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("Spacewright study");
    // The hyperspace of a study that takes from another is that study's.
    schema["anyOf"] = json!([{ "required": ["hyperspace"] }, { "required": ["from"] }]);
    schema
}
