//! Text of and for plugins: enumerations by the names of study files, names that are legal, and
//! what a plugin has written before anybody sees it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

/// The name of an item of an enumeration.
pub fn name_of(item: &impl Serialize) -> String {
    match serde_json::to_value(item) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// A name that no item of an enumeration has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct UnknownName {
    /// What has the name.
    pub field: String,
    /// The name, and which ones there are.
    pub reason: String,
}

/// The item of this name; `field` is named in errors.
pub fn item_of<T: DeserializeOwned>(field: &str, name: &str) -> Result<T, UnknownName> {
    serde_json::from_value(Value::String(name.to_owned()))
        .map_err(|error| UnknownName { field: field.to_owned(), reason: error.to_string() })
}

/// The names of items.
pub fn names_of<T: Serialize>(items: &[T]) -> Vec<String> {
    items.iter().map(name_of).collect()
}

/// The items of these names.
pub fn items_of<T: DeserializeOwned>(field: &str, names: &[String]) -> Result<Vec<T>, UnknownName> {
    names.iter().map(|name| item_of(field, name)).collect()
}

/// The pairs of items of these names.
pub fn pairs_of<T: DeserializeOwned>(
    field: &str,
    names: &[(String, String)],
) -> Result<Vec<(T, T)>, UnknownName> {
    let pair =
        |(first, then): &(String, String)| Ok((item_of(field, first)?, item_of(field, then)?));
    names.iter().map(pair).collect()
}

/// Length of the longest legal name.
pub const LONGEST_NAME: usize = 64;

/// Whether this can be the name of a plugin or of what it offers: it becomes a part of file names,
/// study files and messages.
pub fn is_legal_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(legal)
}

/// Bytes from which [`shown`] cuts a text off.
pub const LONGEST_TEXT: usize = 1000;

/// The text as one line of bounded length, with characters that could steer a terminal or hide
/// something written as escapes: safe for a terminal, a log or a page.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= LONGEST_TEXT {
            shown.push('…');
            break;
        }
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            c if c.is_whitespace() => shown.push(' '),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_length_are_bounded() {
        assert_eq!(shown("it's \u{1b}[31mred\nb\u{202e}"), r"it's \u{1b}[31mred b\u{202e}");
        for text in ["x", "\0", "ü"] {
            let long = shown(&text.repeat(5000));
            assert!(long.len() < LONGEST_TEXT + 10 && long.ends_with('…'), "{long}");
        }
    }

    #[test]
    fn names_are_words() {
        assert!(is_legal_name("my-npu_2"));
        let longest = "x".repeat(LONGEST_NAME + 1);
        assert!(
            ["", "my npu", "../npu", "npu\u{202e}", &longest].iter().all(|n| !is_legal_name(n))
        );
    }
}
