//! JSON Schema of what programs read.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// JSON Schema (draft 7) of what `T` is written as. Fields that are always written are `required`, in
/// the order in which they are written.
pub fn report_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Written {
        /// Milliseconds.
        latency: f64,
        accuracy: Option<f64>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<String>,
    }

    #[test]
    fn what_is_always_written_is_required_in_its_order() {
        let schema = report_schema::<Written>();
        assert_eq!(schema["required"], serde_json::json!(["latency", "accuracy"]));
        assert_eq!(schema["properties"]["latency"]["description"], "Milliseconds.");
        assert_eq!(schema["properties"]["files"]["type"], "array");
    }
}
