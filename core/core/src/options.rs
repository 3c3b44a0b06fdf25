//! Options of scorers and strategies, as fields of a study file.

use crate::score::ScoreError;
use serde::de::DeserializeOwned;

/// Reads the options of the scorer or strategy `owner`; `null` means the defaults.
pub fn read<T: DeserializeOwned + Default>(
    owner: &str,
    options: &serde_json::Value,
) -> Result<T, ScoreError> {
    if options.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(options.clone())
        .map_err(|error| ScoreError::new(format!("options of `{owner}`: {error}")))
}

/// An error that says which value an option of `owner` has, and what is allowed.
pub fn invalid_option(
    owner: &str,
    option: &str,
    found: impl ToString,
    allowed: &str,
) -> ScoreError {
    let found = found.to_string();
    ScoreError::new(format!("options of `{owner}`: {option} = {found}; allowed is {allowed}"))
}
