//! Sections of a study file. A section is a struct: its doc comments, types, defaults and limits
//! are all that parsing, checking, explaining and JSON Schema know.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::data::{Transform, check_training};

use super::{
    FieldError, FieldProblem, Reference,
    description::{FieldDescription, SectionDescription, describe, description},
};

/// A section of a study file.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use smart_default::SmartDefault;
/// use spacewright_core::study::{Section, SectionKind};
///
/// /// The search for subnets.
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
/// #[serde(default, deny_unknown_fields)]
/// struct SearchSettings {
///     /// Subnets of the first generation.
///     #[default = 32]
///     #[schemars(range(min = 1))]
///     population: usize,
/// }
///
/// impl Section for SearchSettings {
///     const NAME: &'static str = "search";
/// }
///
/// let section = SectionKind::of::<SearchSettings>();
/// assert_eq!(section.fields()[0].summary, "Subnets of the first generation.");
/// let error = section.complete(&serde_json::json!({ "population": 0 })).unwrap_err();
/// assert_eq!(error.to_string(), "[search] population: must be at least 1, not 0");
/// ```
pub trait Section:
    Clone + Default + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// Name of the table in a study file.
    const NAME: &'static str;
    /// Fields that have no default: a study must give them.
    const REQUIRED: &'static [&'static str] = &[];
    /// Fields added after the first release. At their default the step behaves as before, so old results stay valid.
    const LATER: &'static [&'static str] = &[];

    /// What types and limits of single fields do not say.
    fn check(&self) -> Result<(), FieldError> {
        Ok(())
    }

    /// What its fields name.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// Its field `augment`: how images to train on are transformed where that is not as the study's data says; empty
    /// where it is.
    fn augment(&self) -> &[Transform] {
        &[]
    }

    /// With how many threads latencies are to be measured, where it is the section that says so.
    fn measuring_threads(&self) -> Option<usize> {
        None
    }

    /// Reads a section in which no field is missing.
    fn from_value(value: Value) -> Result<Self, FieldError> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { String::new() } else { path };
            let problem = FieldProblem::Malformed(error.into_inner().to_string());
            FieldError { section: Self::NAME.to_owned(), field, problem }
        })
    }
}

/// A section whose type is not known.
#[derive(Clone, Copy)]
pub struct SectionKind {
    /// Name of the table in a study file.
    pub name: &'static str,
    required: &'static [&'static str],
    later: &'static [&'static str],
    schema: fn() -> Value,
    defaults: fn() -> String,
    read: fn(&Value) -> Result<Vec<Reference>, FieldError>,
    threads: fn(&Value) -> Result<Option<usize>, FieldError>,
    augment: fn(&Value) -> Result<Vec<Transform>, FieldError>,
}

impl SectionKind {
    /// The section for people.
    pub fn describe(&self) -> SectionDescription {
        SectionDescription {
            name: self.name.to_owned(),
            summary: description(&self.schema()),
            fields: self.fields(),
        }
    }

    /// The section of this type.
    pub const fn of<S: Section>() -> Self {
        Self {
            name: S::NAME,
            required: S::REQUIRED,
            later: S::LATER,
            schema: schema::<S>,
            defaults: || serde_json::to_string(&S::default()).unwrap_or_default(),
            read: |value| {
                let settings = S::from_value(value.clone())?;
                limits(S::NAME, &schema::<S>(), value, "")?;
                check_training(settings.augment()).map_err(|error| {
                    FieldError::refused(S::NAME, "augment", error.to_string(), "see docs/data.md")
                })?;
                settings.check()?;
                Ok(settings.references())
            },
            threads: |value| Ok(S::from_value(value.clone())?.measuring_threads()),
            augment: |value| Ok(S::from_value(value.clone())?.augment().to_vec()),
        }
    }

    /// JSON Schema of the section, in which only fields without a default are required.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }

    /// Its fields, in the order of their declaration.
    pub fn fields(&self) -> Vec<FieldDescription> {
        let defaults = serde_json::from_str((self.defaults)().as_str());
        let mut fields = describe(&self.schema(), &defaults.unwrap_or_default());
        for field in &mut fields {
            field.default.take_if(|_| self.required.contains(&field.name.as_str()));
        }
        fields
    }

    /// The defaults of all fields.
    pub fn defaults(&self) -> Value {
        serde_json::from_str((self.defaults)().as_str()).unwrap_or_default()
    }

    /// What a study says, laid over the defaults, and checked. Tables are merged field by field,
    /// maps and lists are replaced.
    pub fn complete(&self, given: &Value) -> Result<Value, FieldError> {
        let schema = self.schema();
        unknown_fields(self.name, &schema, given, "")?;
        if let Some(field) = self.required.iter().find(|field| given.get(**field).is_none()) {
            let (section, field) = (self.name.to_owned(), (*field).to_owned());
            return Err(FieldError { section, field, problem: FieldProblem::Missing });
        }
        let complete = merged(&schema, self.defaults(), given);
        (self.read)(&complete)?;
        Ok(complete)
    }

    /// What the fields of a complete section name.
    pub fn references(&self, complete: &Value) -> Result<Vec<Reference>, FieldError> {
        (self.read)(complete)
    }

    /// A complete section without those [later](Section::LATER) fields that have their default: what the key of a step
    /// is made of.
    pub fn as_before(&self, mut complete: Value) -> Value {
        let defaults = self.defaults();
        if let Some(fields) = complete.as_object_mut() {
            fields.retain(|name, value| {
                !self.later.contains(&name.as_str()) || defaults.get(name) != Some(value)
            });
        }
        complete
    }

    /// How a complete section transforms images to train on; empty where it does so as the study's data says.
    pub fn augment(&self, complete: &Value) -> Result<Vec<Transform>, FieldError> {
        (self.augment)(complete)
    }

    /// With how many threads a complete section asks for latencies, if it is the one that says so.
    pub fn measuring_threads(&self, complete: &Value) -> Result<Option<usize>, FieldError> {
        (self.threads)(complete)
    }
}

fn schema<S: Section>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<S>().to_value();
    // What a study leaves out has a default, in nested tables too.
    nothing_required(&mut schema);
    bound_counts(&mut schema);
    if !S::REQUIRED.is_empty() {
        schema["required"] = Value::from(S::REQUIRED.to_vec());
    }
    schema
}

/// Not so within tables that need not be there: they have no defaults.
fn nothing_required(schema: &mut Value) {
    if is_optional(schema) {
        return;
    }
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("required");
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        fields.values_mut().for_each(nothing_required);
    }
}

/// Largest count that a study can ask for where its field states no other limit: far beyond what
/// anybody waits for, and small enough that a product of two is a number.
const LARGEST_COUNT: u64 = 10_000_000;
/// Most items of a list.
const LONGEST_LIST: u64 = 1000;

/// Gives numbers of things and lists of them a largest value where they have none.
fn bound_counts(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.get("format").is_some_and(|format| format == "uint") {
        schema.entry("maximum").or_insert(LARGEST_COUNT.into());
    }
    if schema.get("type").is_some_and(|kind| kind == "array") {
        schema.entry("maxItems").or_insert(LONGEST_LIST.into());
    }
    if let Some(items) = schema.get_mut("items") {
        bound_counts(items);
    }
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        fields.values_mut().for_each(bound_counts);
    }
}

fn is_optional(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|kinds| kinds.contains(&"null".into()))
}

/// The fields of a schema that is a table with fields of its own.
pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// The paths of all fields, those of nested tables instead of the tables.
fn paths(schema: &Value, above: &str) -> Vec<String> {
    let Some(fields) = properties(schema) else { return vec![above.to_owned()] };
    fields.iter().flat_map(|(name, schema)| paths(schema, &join(above, name))).collect()
}

fn unknown_fields(
    section: &str,
    schema: &Value,
    given: &Value,
    above: &str,
) -> Result<(), FieldError> {
    let Some(fields) = properties(schema) else { return Ok(()) };
    let error =
        |field: String, problem| Err(FieldError { section: section.to_owned(), field, problem });
    let Some(given) = given.as_object() else {
        return error(above.to_owned(), FieldProblem::NotATable);
    };
    for (name, value) in given {
        let path = join(above, name);
        match fields.get(name) {
            Some(schema) => unknown_fields(section, schema, value, &path)?,
            None => return error(path, FieldProblem::Unknown { allowed: paths(schema, above) }),
        }
    }
    Ok(())
}

fn merged(schema: &Value, default: Value, given: &Value) -> Value {
    match (properties(schema), default, given) {
        (Some(fields), Value::Object(mut all), Value::Object(given)) => {
            for (name, value) in given {
                let merged = match (fields.get(name), all.remove(name)) {
                    (Some(schema), Some(default)) => merged(schema, default, value),
                    _ => value.clone(),
                };
                all.insert(name.clone(), merged);
            }
            Value::Object(all)
        }
        (_, _, given) => given.clone(),
    }
}

/// Checks limits that the schema states: smallest and largest numbers, numbers above zero, fewest and
/// most items of lists; no largest number without a smallest.
fn limits(section: &str, schema: &Value, value: &Value, path: &str) -> Result<(), FieldError> {
    if let (Some(fields), Some(value)) = (properties(schema), value.as_object()) {
        return fields.iter().try_for_each(|(name, schema)| {
            let value = value.get(name).unwrap_or(&Value::Null);
            limits(section, schema, value, &join(path, name))
        });
    }
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let problem = if let Some(items) = value.as_array() {
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                limits(section, schema, item, &format!("{path}[{index}]"))?;
            }
        }
        let count = |keyword: &str| limit(keyword).map(|count| count as usize);
        match (items.len(), count("minItems"), count("maxItems")) {
            (given, Some(fewest), _) if given < fewest => {
                Some(FieldProblem::TooFew { given, fewest })
            }
            (given, _, Some(most)) if given > most => Some(FieldProblem::TooMany { given, most }),
            _ => None,
        }
    } else if let Some(given) = value.as_f64() {
        let most = LARGEST_COUNT as f64;
        match (limit("minimum"), limit("maximum"), limit("exclusiveMinimum")) {
            (Some(minimum), Some(maximum), _)
                if maximum != most && !(minimum..=maximum).contains(&given) =>
            {
                Some(FieldProblem::OutOfRange { given, minimum, maximum })
            }
            (Some(minimum), _, _) if given < minimum => {
                Some(FieldProblem::BelowMinimum { given, minimum })
            }
            (_, Some(maximum), _) if given > maximum => {
                Some(FieldProblem::AboveMaximum { given, maximum })
            }
            (_, _, Some(bound)) if given <= bound => Some(FieldProblem::NotPositive { given }),
            _ => None,
        }
    } else {
        None
    };
    match problem {
        None => Ok(()),
        Some(problem) => {
            Err(FieldError { section: section.to_owned(), field: path.to_owned(), problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde::Deserialize;
    use serde_json::json;
    use smart_default::SmartDefault;

    use super::*;
    use crate::study::Referred;

    /// How something is trained.
    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, SmartDefault)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        /// Gradient descent.
        phase: Phase,
        /// What it is called,
        /// on two lines.
        #[default = "abc"]
        name: String,
        /// A value for each axis.
        #[default(IndexMap::from([("kernel".to_owned(), 3.0)]))]
        config: IndexMap<String, f64>,
        /// At least one.
        #[default(vec![1])]
        #[schemars(length(min = 1))]
        many: Vec<usize>,
        /// From 0 to 1.
        #[default = 0.5]
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
        /// How it goes on; none: it does not.
        more: Option<More>,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct More {
        /// Optimizer steps.
        #[schemars(range(min = 1))]
        steps: usize,
        /// Share of the steps in which the rate rises.
        #[serde(default)]
        warmup: f64,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, SmartDefault)]
    #[serde(default, deny_unknown_fields)]
    struct Phase {
        /// Optimizer steps.
        #[default = 7]
        #[schemars(range(min = 1))]
        steps: usize,
        /// Peak learning rate.
        #[default = 0.1]
        #[schemars(extend("exclusiveMinimum" = 0))]
        rate: f64,
    }

    impl Section for Settings {
        const NAME: &'static str = "train";
        const LATER: &'static [&'static str] = &["share"];

        fn check(&self) -> Result<(), FieldError> {
            match self.name.as_str() {
                "bad" => Err(FieldError::refused("train", "name", "`bad` is bad", "be good")),
                _ => Ok(()),
            }
        }

        fn references(&self) -> Vec<Reference> {
            vec![Reference::new("name", Referred::Scorer(self.name.clone()))]
        }
    }

    const KIND: SectionKind = SectionKind::of::<Settings>();

    #[test]
    fn later_fields_count_where_they_are_given() {
        let fields = |given: Value| {
            let complete = KIND.as_before(KIND.complete(&given).unwrap());
            complete.as_object().unwrap().keys().cloned().collect::<Vec<String>>()
        };
        let before = fields(json!({}));
        assert!(before.contains(&"name".to_owned()) && !before.contains(&"share".to_owned()));
        assert_eq!(fields(json!({ "share": 0.5 })), before);
        assert!(fields(json!({ "share": 0.25 })).contains(&"share".to_owned()));
    }

    #[test]
    fn tables_are_merged_and_maps_replaced() {
        let given = json!({ "phase": { "steps": 9 }, "config": { "expand": 2 } });
        let complete = KIND.complete(&given).unwrap();
        assert_eq!(complete["phase"], json!({ "steps": 9, "rate": 0.1 }));
        assert_eq!(complete["config"], json!({ "expand": 2 }));
        assert_eq!(complete["share"], 0.5);
        let references = KIND.references(&complete).unwrap();
        assert_eq!(references[0].to, Referred::Scorer("abc".into()));
    }

    fn check(given: Value, expected: &str, hint: &str) {
        let error = KIND.complete(&given).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().contains(hint), "{}", error.hint());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        const EXPLAIN: &str = "`spacewright study explain train`";
        let phase = json!({ "phase": { "stepps": 9 } });
        check(phase, "[train] phase.stepps: there is no such field", "phase.rate, phase.steps");
        check(json!({ "phase": 9 }), "[train] phase: must be a table", EXPLAIN);
        let none = json!({ "phase": { "steps": 0 } });
        check(none, "[train] phase.steps: must be at least 1, not 0", EXPLAIN);
        check(json!({ "share": 2 }), "[train] share: 2 is not between 0 and 1", EXPLAIN);
        let many = json!({ "phase": { "steps": 20_000_000_000u64 } });
        check(many, "[train] phase.steps: must be at most 10000000, not 20000000000", EXPLAIN);
        let item = json!({ "many": [1, 20_000_000] });
        check(item, "[train] many[1]: must be at most 10000000, not 20000000", EXPLAIN);
        let long = json!({ "many": vec![1; 1001] });
        check(long, "[train] many: has 1001 items, may have 1000 at most", EXPLAIN);
        check(json!({ "many": [] }), "[train] many: has 0 items, needs at least 1", EXPLAIN);
        let rate = json!({ "phase": { "rate": -1.0 } });
        check(rate, "[train] phase.rate: -1 is not positive", EXPLAIN);
        let text = "[train] many[1]: invalid type: string \"a\", expected usize";
        check(json!({ "many": [1, "a"] }), text, EXPLAIN);
        check(json!({ "name": "bad" }), "[train] name: `bad` is bad", "be good");
    }

    #[test]
    fn fields_are_described_in_the_order_of_their_declaration() {
        assert_eq!(KIND.describe().summary, "How something is trained.");
        let fields = KIND.fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["phase", "name", "config", "many", "share", "more"]);
        assert_eq!(fields[1].summary, "What it is called, on two lines.");
        assert_eq!(fields[0].fields[1].default, Some(json!(7)), "those of tables are sorted");
        assert_eq!(fields[5].default, Some(Value::Null));
        let more: Vec<(&str, Option<Value>)> = fields[5]
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.default.clone()))
            .collect();
        assert_eq!(more, [("steps", None), ("warmup", Some(json!(0.0)))]);
        assert_eq!(KIND.schema()["properties"]["more"]["required"], json!(["steps"]));
    }
}
