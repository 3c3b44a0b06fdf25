//! A TOML file with the lines of its fields, for errors that can be found.

use std::path::Path;

use serde_json::{Map, Value};
use spacewright_core::study::{FieldError, FieldProblem};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    error::{EngineError, Result},
    suggest::closest,
};

/// A parsed TOML file.
pub(crate) struct Document<'t> {
    origin: String,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses; `origin` is the file's name in errors.
    pub fn parse(origin: &str, text: &'t str) -> Result<Self> {
        let root = DeTable::parse(text).map_err(|error| toml_error(origin, text, &error))?;
        Ok(Self { origin: origin.to_owned(), text, root: root.into_inner() })
    }

    /// Names of the fields and tables at the top.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.root.keys().map(|key| key.get_ref().as_ref())
    }

    /// Whether there is a field or table of this name at the top.
    pub fn has(&self, name: &str) -> bool {
        self.root.contains_key(name)
    }

    /// Whether a name at the top is a table.
    pub fn is_table(&self, name: &str) -> bool {
        self.root.get(name).is_some_and(|value| value.get_ref().is_table())
    }

    /// Says where a field is, or, where the file lacks it, the closest table above it.
    pub fn place(&self, field: &[&str], error: EngineError) -> EngineError {
        error.about_file(Path::new(&self.origin), self.line(field))
    }

    /// The same for what is wrong with a field, with what was probably meant.
    pub fn refuse(&self, error: FieldError) -> EngineError {
        let mut path: Vec<&str> = Vec::new();
        if !error.section.is_empty() {
            path.push(&error.section);
        }
        // An item of a list has the line of the list.
        let table = error.field.split('[').next().unwrap_or_default();
        path.extend(table.split('.').filter(|name| !name.is_empty()));
        let likely = match &error.problem {
            FieldProblem::Unknown { allowed } => {
                closest(&error.field, allowed.iter().map(String::as_str))
            }
            FieldProblem::NoSuch { referred, known } => {
                closest(referred.name(), known.iter().map(String::as_str))
            }
            _ => None,
        };
        let hint = match likely {
            Some(likely) => format!("did you mean `{likely}`? {}", error.hint()),
            None => error.hint(),
        };
        self.place(&path, EngineError::from(error.clone())).with_hint(hint)
    }

    /// The whole file as JSON, which has no numbers that are none.
    pub fn json(&self) -> Result<Map<String, Value>> {
        if let Some((path, start, found)) = table_without_number(&self.root) {
            let message = format!("`{path}` is {found}, a number is needed");
            let line = Some(line_at(self.text, start));
            return Err(EngineError::study(message).about_file(Path::new(&self.origin), line));
        }
        toml::from_str(self.text).map_err(|error| toml_error(&self.origin, self.text, &error))
    }

    /// The same as TOML, whose tables keep their order.
    pub fn toml(&self) -> Result<toml::Table> {
        toml::from_str(self.text).map_err(|error| toml_error(&self.origin, self.text, &error))
    }

    fn line(&self, field: &[&str]) -> Option<usize> {
        let mut table = &self.root;
        let mut start = None;
        for name in field {
            let Some((key, value)) = table.get_key_value(*name) else { break };
            start = Some(key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        start.map(|start| line_at(self.text, start))
    }
}

/// A field that is not a number though it is written as one: its path, where it stands, and what it is.
fn table_without_number(table: &DeTable<'_>) -> Option<(String, usize, String)> {
    table.iter().find_map(|(key, value)| {
        let (path, start, found) = without_number(value)?;
        let key = key.get_ref();
        Some((
            if path.is_empty() { key.to_string() } else { format!("{key}.{path}") },
            start,
            found,
        ))
    })
}

fn without_number(value: &Spanned<DeValue<'_>>) -> Option<(String, usize, String)> {
    match value.get_ref() {
        DeValue::Float(number) if number.as_str().ends_with(['n', 'f']) => {
            Some((String::new(), value.span().start, number.as_str().to_owned()))
        }
        DeValue::Table(table) => table_without_number(table),
        DeValue::Array(items) => items.iter().find_map(without_number),
        _ => None,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

fn toml_error(origin: &str, text: &str, error: &toml::de::Error) -> EngineError {
    let mut message = error.message().lines().collect::<Vec<_>>().join(", ");
    let span = error.span().filter(|span| !span.is_empty() || span.start > 0);
    if let (true, Some(key)) = (message == "duplicate key", span.clone().and_then(|s| text.get(s)))
    {
        message = format!("`{}` is given twice", key.trim());
    }
    let line = span.map(|span| line_at(text, span.start));
    EngineError::study(message).about_file(Path::new(origin), line).with_source(error.clone())
}
