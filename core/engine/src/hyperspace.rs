//! Reading hyperspaces from TOML.

use std::{fs, path::Path};

use spacewright_core::space::Hyperspace;
use toml::{Table, Value};

use crate::error::{EngineError, Result};

/// Fields of entries whose block type and choices are inlined, where the reader itself cannot
/// tell an unknown field.
const ENTRIES: [(&str, &[&str]); 3] = [
    ("stem", &["name", "stride", "widths", "depths", "block", "activation", "choices"]),
    ("candidate", &["block", "activation", "choices"]),
    ("head", &["name", "block", "activation", "width", "config"]),
];

/// Reads a hyperspace from TOML; `origin` is a path or a plugin. What it says is not checked: see
/// [`Hyperspace::validate`].
pub fn parse(text: &str, origin: &str) -> Result<Hyperspace> {
    let at_line = |error: toml::de::Error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let place = line.map_or(origin.to_owned(), |line| format!("{origin}:{line}"));
        EngineError::study(format!("{place}: hyperspace: {}", error.message()))
    };
    let hyperspace = toml::from_str(text).map_err(at_line)?;
    check_entries(&toml::from_str(text).map_err(at_line)?, origin)?;
    Ok(hyperspace)
}

/// Takes a hyperspace from a table of a larger document.
pub(crate) fn from_table(table: Table, origin: &str) -> Result<Hyperspace> {
    check_entries(&table, origin)?;
    table.try_into().map_err(|error: toml::de::Error| {
        EngineError::study(format!("hyperspace: {}", error.message()))
    })
}

fn check_entries(table: &Table, origin: &str) -> Result<()> {
    for (kind, known) in ENTRIES {
        let entries = table.get(kind).and_then(Value::as_array).into_iter().flatten();
        for (index, entry) in entries.enumerate() {
            let mut fields = entry.as_table().into_iter().flat_map(Table::keys);
            if let Some(field) = fields.find(|field| !known.contains(&field.as_str())) {
                let message =
                    format!("{origin}: hyperspace: {kind}[{index}] has no field `{field}`");
                let hint = format!("its fields are {}", known.join(", "));
                return Err(EngineError::study(message).with_hint(hint));
            }
        }
    }
    Ok(())
}

/// Reads a hyperspace from a file.
pub fn read(path: &Path) -> Result<Hyperspace> {
    let text = fs::read_to_string(path).map_err(|error| {
        EngineError::study(format!("{}: cannot read the hyperspace: {error}", path.display()))
    })?;
    parse(&text, &path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"toy\"\ninput_channels = 1\nclasses = 10\nresolutions = [32]\n\
        table_resolutions = [32]\nstage = []\nhead = []\ncandidate = []\n[[stem]]\nname = \"s\"\n\
        stride = 1\nwidths = [16]\ndepths = [1, 1]\nblock = \"conv\"\nactivation = \"relu\"\n";

    #[test]
    fn faults_are_named_with_line_or_field() {
        parse(TEXT, "toy.toml").unwrap();
        let message = |from: &str, to: &str| {
            parse(&TEXT.replace(from, to), "toy.toml").unwrap_err().to_string()
        };
        assert!(
            message("classes = 10", "classes = \"ten\"").starts_with("toy.toml:3: hyperspace: ")
        );
        let message = message("stride = 1", "stride = 1\nstrid = 1");
        assert_eq!(message, "toy.toml: hyperspace: stem[0] has no field `strid`");
    }
}
