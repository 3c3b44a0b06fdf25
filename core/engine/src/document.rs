//! A TOML file with the lines of its fields, for errors that can be found.

use spacewright_core::method::SettingsSection;
use toml::de::{DeTable, DeValue};

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

    /// Whether a name at the top is a table.
    pub fn is_table(&self, name: &str) -> bool {
        self.root.get(name).is_some_and(|value| value.get_ref().is_table())
    }

    /// An error at a field; where the field is not in the file, at the closest table above it.
    pub fn error(&self, field: &[&str], message: &str) -> EngineError {
        let place = match self.line(field) {
            Some(line) => format!("{}:{line}", self.origin),
            None => self.origin.clone(),
        };
        EngineError::study(format!("{place}: {message}"))
    }

    /// Adds the place of a field to an error.
    pub fn place(&self, field: &[&str], error: EngineError) -> EngineError {
        EngineError { message: self.error(field, &error.message).message, ..error }
    }

    /// Reads fields into a type.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(self.text).map_err(|error| toml_error(&self.origin, self.text, &error))
    }

    /// Checks that all fields of a table are documented.
    pub fn check_fields(&self, section: &SettingsSection) -> Result<()> {
        let Some(value) = self.root.get(section.name.as_str()) else { return Ok(()) };
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("`{0}` must be a table: [{0}]", section.name);
            return Err(self.error(&[&section.name], &message));
        };
        let allowed: Vec<&str> = section.fields.iter().map(|field| field.name.as_str()).collect();
        self.check_table(&section.name, table, &mut Vec::new(), &allowed)
    }

    fn check_table(
        &self,
        section: &str,
        table: &DeTable<'_>,
        above: &mut Vec<String>,
        allowed: &[&str],
    ) -> Result<()> {
        for (key, value) in table {
            above.push(key.get_ref().to_string());
            let name = above.join(".");
            let below = format!("{name}.");
            let nested = allowed.iter().any(|field| field.starts_with(&below));
            match value.get_ref() {
                DeValue::Table(inner) if nested => {
                    self.check_table(section, inner, above, allowed)?;
                }
                _ if nested && !allowed.contains(&name.as_str()) => {
                    let message = format!("`{name}` in [{section}] must be a table");
                    return Err(self.error(&path(section, above), &message));
                }
                _ if !nested && !allowed.contains(&name.as_str()) => {
                    let message = format!("no field `{name}` in [{section}]");
                    let error = self.error(&path(section, above), &message);
                    return Err(error.with_hint(suggestion(&name, allowed)));
                }
                _ => {}
            }
            above.pop();
        }
        Ok(())
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

/// What to write instead of an unknown name.
pub(crate) fn suggestion(name: &str, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    match closest(name, allowed.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`? allowed are {list}"),
        None if allowed.is_empty() => "the table has no fields".into(),
        None => format!("allowed are {list}"),
    }
}

fn path<'a>(section: &'a str, above: &'a [String]) -> Vec<&'a str> {
    std::iter::once(section).chain(above.iter().map(String::as_str)).collect()
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

fn toml_error(origin: &str, text: &str, error: &toml::de::Error) -> EngineError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    match error.span().filter(|span| !span.is_empty() || span.start > 0) {
        Some(span) => {
            EngineError::study(format!("{origin}:{}: {message}", line_at(text, span.start)))
        }
        None => EngineError::study(format!("{origin}: {message}")),
    }
}
