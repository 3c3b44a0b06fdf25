//! Enumerations as the text that crosses to plugins: the names of study files.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The name of an item of an enumeration.
pub fn name_of(item: &impl Serialize) -> String {
    match serde_json::to_value(item) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The item of this name; an error says what it would have to be.
pub fn item_of<T: DeserializeOwned>(what: &str, name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned()))
        .map_err(|error| format!("{what}: {error}"))
}
