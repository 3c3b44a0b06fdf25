//! Hyperspaces as TOML: those of the method, and the reader for anybody's.

use spacewright_core::space::Hyperspace;
use thiserror::Error;
use toml::{Table, Value};

/// The built-in hyperspaces as TOML.
pub fn sources() -> Vec<&'static str> {
    vec![
        include_str!("../hyperspaces/mobilew.toml"),
        include_str!("../hyperspaces/onnxw.toml"),
        include_str!("../hyperspaces/mini.toml"),
    ]
}

spacewright_sdk::register!("spaceevo", Hyperspaces, sources);

/// Why a text is no hyperspace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{origin}: {reason}")]
pub struct ReadError {
    /// The file, or what else the text came from.
    pub origin: String,
    /// What is wrong, with line and field.
    pub reason: String,
}

/// Fields of entries that hold a candidate among others; their spelling is checked here.
const ENTRIES: [(&str, &[&str]); 3] = [
    ("stem", &["name", "stride", "widths", "depths", "block", "activation", "choices"]),
    ("candidate", &["block", "activation", "choices"]),
    ("head", &["name", "block", "activation", "width", "config"]),
];

/// Reads a hyperspace; `origin` names the text in errors. What it says is not checked here: see
/// [`Hyperspace::validate`].
pub fn read_hyperspace(text: &str, origin: &str) -> Result<Hyperspace, ReadError> {
    let wrong = |reason: String| ReadError { origin: origin.to_owned(), reason };
    let of_toml = |error: toml::de::Error| wrong(error.to_string().trim_end().to_owned());
    let hyperspace = toml::from_str(text).map_err(of_toml)?;
    let table: Table = toml::from_str(text).map_err(of_toml)?;
    for (kind, known) in ENTRIES {
        let entries = table.get(kind).and_then(Value::as_array).into_iter().flatten();
        for (index, entry) in entries.enumerate() {
            let mut fields = entry.as_table().into_iter().flat_map(Table::keys);
            if let Some(field) = fields.find(|field| !known.contains(&field.as_str())) {
                let known = known.join(", ");
                return Err(wrong(format!(
                    "{kind}[{index}].{field}: no such field; allowed are {known}"
                )));
            }
        }
    }
    Ok(hyperspace)
}

/// The built-in hyperspace of this name.
pub fn built_in(name: &str) -> Option<Hyperspace> {
    let read = |text: &str| read_hyperspace(text, "built-in hyperspace").ok();
    sources().into_iter().filter_map(read).find(|hyperspace| hyperspace.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_with_line_or_field() {
        let mini = sources()[2];
        let check = |text: &str, part: &str| {
            let error = read_hyperspace(text, "my.toml").unwrap_err().to_string();
            assert!(error.starts_with("my.toml: ") && error.contains(part), "{error}");
        };
        check(&mini.replace("classes = 10", "classes = \"ten\""), "line 6");
        check(&mini.replace("window = 2", "windows = 2"), "unknown field `windows`");
        check(
            &mini.replacen("[[candidate]]", "[[candidate]]\ncolour = 1", 1),
            "candidate[0].colour: no such field; allowed are block, activation, choices",
        );
        check(&mini.replace("\"relu6\"", "\"gelu\""), "unknown variant `gelu`");
    }
}
