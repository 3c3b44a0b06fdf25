//! The engine's own fields of a study file, documented as data.

use serde_json::{Map, Value};
use spacewright_core::method::{SettingsField, SettingsSection};

use crate::error::{EngineError, Result};

/// Fields at the top of a study file, in a section without a name, and the table `data`.
pub fn engine_sections() -> Vec<SettingsSection> {
    vec![
        section(
            "",
            "What is looked for, and for which hardware",
            &[
                ("name", "", "Name of the run: letters, digits, `-`, `_` and `.`"),
                ("seed", "0", "Seed of everything random"),
                ("method", "\"spaceevo\"", "The sequence of steps"),
                (
                    "hyperspace",
                    "",
                    "All candidate search spaces: a name, a path to a TOML file next to the \
                     study, or a table",
                ),
                ("target", "\"host-ort\"", "The hardware and its runtime"),
                (
                    "latency",
                    "\"\"",
                    "Where latencies come from: a latency source; empty for the target's own",
                ),
                ("quantizer", "\"lsq-plus\"", "Where quantization parameters start"),
                (
                    "from",
                    "\"\"",
                    "Path of another study, next to this one, whose teacher and quality tables \
                     this one takes; seed, hyperspace, quantizer, images and the sections of \
                     these steps are then that study's",
                ),
            ],
        ),
        section(
            "data",
            "Images to train and to judge on",
            &[
                ("set", "\"fashion-mnist\"", "`fashion-mnist`, `idx` or `synthetic`"),
                (
                    "folder",
                    "\"\"",
                    "Folder of the four IDX files, plain or gzipped; empty for fashion-mnist: \
                     where the set-up has put it",
                ),
                ("canvas", "32", "Side of the black square on which images are centred"),
                ("held_out", "5000", "Training images that are only judged on, never trained on"),
                ("train_images", "0", "Uses only the first training images; 0 uses all"),
                ("test_images", "0", "Uses only the first test images; 0 uses all"),
            ],
        ),
    ]
}

fn section(name: &str, summary: &str, fields: &[(&str, &str, &str)]) -> SettingsSection {
    let field = |(name, default, summary): &(&str, &str, &str)| SettingsField {
        name: (*name).into(),
        default: (*default).into(),
        summary: (*summary).into(),
    };
    SettingsSection {
        name: name.into(),
        summary: summary.into(),
        fields: fields.iter().map(field).collect(),
    }
}

/// The defaults that a section documents, as a value; required fields are left out. Methods
/// test with it that what they document is what they do.
pub fn documented_defaults(section: &SettingsSection) -> Result<Value> {
    let mut defaults = Value::Object(Map::new());
    for field in section.fields.iter().filter(|field| !field.default.is_empty()) {
        let wrong = |reason: &str| {
            let place = format!("documented default of `{}` in [{}]", field.name, section.name);
            EngineError::study(format!("{place}: {reason}"))
        };
        let text = format!("value = {}", field.default);
        let mut parsed: Map<String, Value> =
            toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        let mut place = &mut defaults;
        for part in field.name.split('.') {
            let table = place.as_object_mut().ok_or_else(|| wrong("not in a table"))?;
            place = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
        }
        *place = parsed.remove("value").unwrap_or_default();
    }
    Ok(defaults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_fields_are_nested() {
        let section = section("x", "", &[("a.b", "1", ""), ("a.c", "[2.5]", ""), ("d", "", "")]);
        assert_eq!(documented_defaults(&section).unwrap(), json!({ "a": { "b": 1, "c": [2.5] } }));
    }

    #[test]
    fn a_default_that_is_not_toml_is_named() {
        let section = section("x", "", &[("a", "nonsense", "")]);
        let error = documented_defaults(&section).unwrap_err();
        assert!(error.message.starts_with("documented default of `a` in [x]: "), "{error}");
    }
}
