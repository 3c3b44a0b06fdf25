//! Sections and their fields, as they are shown to people.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::section::properties;

/// A field of a section, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldDescription {
    /// Its name within the table that holds it.
    pub name: String,
    /// Its default, null for what is not there then; none where it must be given.
    pub default: Option<Value>,
    /// What it means.
    pub summary: String,
    /// Where it is a table of its own: the fields of that.
    pub fields: Vec<FieldDescription>,
}

/// A section, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SectionDescription {
    /// Name of the table in a study file.
    pub name: String,
    /// What the section is about.
    pub summary: String,
    /// Its fields, in the order of their declaration.
    pub fields: Vec<FieldDescription>,
}

/// A doc comment as one line.
pub(super) fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fields in the order of `defaults`, which is that of the declaration; JSON values are sorted.
pub(super) fn describe(
    schema: &Value,
    defaults: &IndexMap<String, Value>,
) -> Vec<FieldDescription> {
    let Some(properties) = properties(schema) else { return Vec::new() };
    let field = |(name, default): (&String, &Value)| {
        let schema = properties.get(name)?;
        let fields = match serde_json::from_value::<IndexMap<String, Value>>(default.clone()) {
            Ok(defaults) => describe(schema, &defaults),
            Err(_) => describe_without_defaults(schema),
        };
        let (summary, default) = (description(schema), Some(default.clone()));
        Some(FieldDescription { name: name.clone(), default, summary, fields })
    };
    defaults.iter().filter_map(field).collect()
}

/// Fields of a table that is not there unless a study gives it.
fn describe_without_defaults(schema: &Value) -> Vec<FieldDescription> {
    let field = |(name, schema): (&String, &Value)| FieldDescription {
        name: name.clone(),
        default: schema.get("default").cloned(),
        summary: description(schema),
        fields: describe_without_defaults(schema),
    };
    properties(schema).into_iter().flatten().map(field).collect()
}
