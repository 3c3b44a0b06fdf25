//! Reports as tables of their fields, made of their JSON Schema.

use std::fmt::Write;

use serde_json::Value;

/// A line of a table.
struct Field {
    /// `[]` for each item of a list, `.*` for each entry of a map.
    path: String,
    /// Type in JSON.
    kind: String,
    meaning: String,
}

/// What is written as a schema says, below its name.
pub fn section(name: &str, schema: &Value) -> String {
    let report = Report { root: schema };
    let mut text = format!("\n## `{name}`\n\n{}\n", description(schema));
    match schema["oneOf"].as_array() {
        None => text += &table(&report.fields(schema, "")),
        // Lines of several kinds: a table for each.
        Some(variants) => {
            for variant in variants {
                let (tag, value) = tag(variant).unwrap();
                let _ =
                    write!(text, "\n### `\"{tag}\": \"{value}\"`\n\n{}\n", description(variant));
                let fields = report.fields(variant, "").into_iter();
                text += &table(&fields.filter(|field| field.path != tag).collect::<Vec<_>>());
            }
        }
    }
    text
}

fn table(fields: &[Field]) -> String {
    let mut table = "\n| field | type | meaning |\n|---|---|---|\n".to_owned();
    for Field { path, kind, meaning } in fields {
        assert!(!meaning.is_empty(), "`{path}` needs a doc comment");
        let _ = writeln!(table, "| `{path}` | {kind} | {} |", meaning.replace('|', "\\|"));
    }
    table
}

/// A doc comment as one line, without links into the code.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace("[`", "`").replace("`]", "`")
}

/// The field that says which variant an object is, and what it says.
fn tag(variant: &Value) -> Option<(&str, &str)> {
    let fields = variant["properties"].as_object()?;
    fields.iter().find_map(|(name, schema)| Some((name.as_str(), schema["const"].as_str()?)))
}

/// The fields of an object: those that are always there, in the order in which they are written, then the others.
fn names(schema: &Value) -> Vec<(&str, bool)> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<(&str, bool)> = required.map(|name| (name, true)).collect();
    for name in schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !names.iter().any(|known| known.0 == name) {
            names.push((name, false));
        }
    }
    names
}

struct Report<'a> {
    root: &'a Value,
}

impl<'a> Report<'a> {
    /// What a schema refers to, and whether `null` may stand there.
    fn resolve(&self, schema: &'a Value) -> (&'a Value, bool) {
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/"));
        if let Some(name) = name {
            return self.resolve(&self.root["definitions"][name]);
        }
        let several = schema["allOf"].as_array().or(schema["anyOf"].as_array());
        if let Some(several) = several {
            let is_null = |schema: &&Value| schema["type"] == "null";
            let (nulls, others): (Vec<_>, Vec<_>) = several.iter().partition(is_null);
            assert_eq!(others.len(), 1, "{schema}");
            let (schema, or_null) = self.resolve(others[0]);
            return (schema, or_null || !nulls.is_empty());
        }
        let or_null = schema["type"].as_array().is_some_and(|kinds| kinds.contains(&"null".into()));
        (schema, or_null)
    }

    fn kind(&self, schema: &'a Value) -> String {
        let (schema, or_null) = self.resolve(schema);
        let of = |items: &'a Value| {
            let kind = self.kind(items);
            let (first, rest) = kind.split_once(' ').unwrap_or((&kind, ""));
            format!("{first}s {rest}").trim_end().to_owned()
        };
        let several = schema["oneOf"].as_array();
        let mut kind = if let Some(items) = schema.get("items") {
            let count = schema["minItems"].as_u64().map(|count| format!("{count} "));
            format!("list of {}{}", count.unwrap_or_default(), of(items))
        } else if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            format!("map of {}", of(values))
        } else if let Some(several) = several {
            several[0]["type"].as_str().unwrap().to_owned()
        } else {
            let kinds = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
            kinds.as_str().unwrap_or("any").to_owned()
        };
        if or_null {
            kind += " or null";
        }
        kind
    }

    /// The fields of an object, and those of what they hold.
    fn fields(&self, schema: &'a Value, above: &str) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, always) in names(schema) {
            let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            self.field(path, &schema["properties"][name], always, &mut fields);
        }
        fields
    }

    fn field(&self, path: String, schema: &'a Value, always: bool, fields: &mut Vec<Field>) {
        let (resolved, _) = self.resolve(schema);
        let mut kind = self.kind(schema);
        if !always {
            kind = format!("{}, may be missing", kind.trim_end_matches(" or null"));
        }
        let mut meaning = description(schema);
        for value in resolved["oneOf"].as_array().into_iter().flatten() {
            if let Some(name) = value["const"].as_str() {
                let _ = write!(meaning, " `{name}`: {}", description(value));
            }
        }
        for name in resolved["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let _ = write!(meaning, " `{name}`");
        }
        fields.push(Field { path: path.clone(), kind, meaning });
        fields.extend(self.within(resolved, &path));
    }

    /// The fields within a value.
    fn within(&self, schema: &'a Value, path: &str) -> Vec<Field> {
        let (schema, _) = self.resolve(schema);
        if let Some(items) = schema.get("items") {
            return self.within(items, &format!("{path}[]"));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            return self.within(values, &format!("{path}.*"));
        }
        match schema["oneOf"].as_array().filter(|variants| variants[0]["type"] == "object") {
            Some(variants) => self.variants(variants, path),
            None => self.fields(schema, path),
        }
    }

    /// The fields of objects of several kinds, each said once, with the kinds that have it.
    fn variants(&self, variants: &'a [Value], path: &str) -> Vec<Field> {
        let mut tags: Option<Field> = None;
        let mut merged: Vec<(Vec<&str>, Field)> = Vec::new();
        for variant in variants {
            let Some((name, value)) = tag(variant) else {
                // Named by its only field, which has no comment of its own.
                let mut fields = self.fields(variant, path);
                fields[0].meaning = description(variant);
                merged.extend(fields.into_iter().map(|field| (Vec::new(), field)));
                continue;
            };
            let (tag_path, summary) = (format!("{path}.{name}"), description(variant));
            let meaning = format!(" `{value}`: {summary}");
            match &mut tags {
                Some(tags) => tags.meaning += &meaning,
                None => {
                    let meaning = format!("Which.{meaning}");
                    tags = Some(Field { path: tag_path.clone(), kind: "string".into(), meaning });
                }
            }
            for field in self.fields(variant, path) {
                let same = |(_, known): &&mut (Vec<&str>, Field)| {
                    (&known.path, &known.kind, &known.meaning)
                        == (&field.path, &field.kind, &field.meaning)
                };
                match merged.iter_mut().find(same) {
                    _ if field.path == tag_path => {}
                    Some((of, _)) => of.push(value),
                    None => merged.push((vec![value], field)),
                }
            }
        }
        let with_kinds = |(of, mut field): (Vec<&str>, Field)| {
            if !of.is_empty() {
                field.meaning = format!("Of `{}`: {}", of.join("`, `"), field.meaning);
            }
            field
        };
        tags.into_iter().chain(merged.into_iter().map(with_kinds)).collect()
    }
}
