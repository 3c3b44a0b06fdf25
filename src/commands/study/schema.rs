//! The fields of study files: as a study file, in words, and as JSON Schema. Those of reports.

use std::fmt::Write;

use serde_json::{Value, json};
use spacewright_core::study::{
    FieldDescription, SectionDescription, SectionKind, report_schema, sections_of,
};
use spacewright_engine::{Event, engine_sections, study_schema};
use spacewright_spaceevo::report::{
    BlockTypesReport, PlainReport, ProxyReport, PublishedReport, SpacesReport, StudyReport,
    compare::StudiesReport,
};

use crate::{
    catalog,
    cli::{ReportName, TOP_SECTION},
    render::{Failure, Output},
};

/// The engine's sections, then those of all methods.
fn sections() -> Result<Vec<SectionDescription>, Failure> {
    let of_methods = method_sections()?;
    Ok(engine_sections().iter().chain(&of_methods).map(SectionKind::describe).collect())
}

fn method_sections() -> Result<Vec<SectionKind>, Failure> {
    Ok(sections_of(&catalog::steps()?))
}

/// JSON Schema of study files.
pub fn json_schema_value() -> Result<Value, Failure> {
    Ok(study_schema(&method_sections()?))
}

pub fn json_schema() -> Result<Output, Failure> {
    let schema = json_schema_value()?;
    Output::new(format!("{schema:#}"), &schema)
}

/// JSON Schema of a report.
pub fn of_report(name: ReportName) -> Result<Output, Failure> {
    let schema = match name {
        ReportName::Study => report_schema::<StudyReport>(),
        ReportName::Plain => report_schema::<PlainReport>(),
        ReportName::Proxy => report_schema::<ProxyReport>(),
        ReportName::Spaces => report_schema::<SpacesReport>(),
        ReportName::Compare => report_schema::<StudiesReport>(),
        ReportName::Blocks => report_schema::<BlockTypesReport>(),
        ReportName::Published => report_schema::<PublishedReport>(),
        ReportName::Progress => report_schema::<Event<'_>>(),
    };
    Output::new(format!("{schema:#}"), &schema)
}

pub fn schema() -> Result<Output, Failure> {
    let sections = sections()?;
    let mut text = String::new();
    for section in &sections {
        let summary = &section.summary;
        if section.name.is_empty() {
            let _ = writeln!(text, "# {summary}");
        } else {
            let _ = writeln!(text, "\n# {summary}\n[{}]", section.name);
        }
        for FieldDescription { name, default, fields, .. } in &section.fields {
            let _ = match default {
                Some(default) => match toml_text(default) {
                    Some(default) => writeln!(text, "# {name} = {default}"),
                    None if fields.is_empty() => writeln!(text, "# {name}: none"),
                    None => writeln!(text, "# {name}: none, or a table {}", table_of(fields)),
                },
                None => writeln!(text, "{name} = \"\" # required"),
            };
        }
    }
    Output::new(text, &json!({ "sections": sections }))
}

pub fn explain(name: Option<&str>) -> Result<Output, Failure> {
    let mut sections = sections()?;
    for section in &mut sections {
        if section.name.is_empty() {
            TOP_SECTION.clone_into(&mut section.name);
        }
    }
    if let Some(name) = name {
        let known: Vec<String> = sections.iter().map(|section| section.name.clone()).collect();
        sections.retain(|section| section.name == name);
        if sections.is_empty() {
            return Err(Failure::input(format!("study files have no section `{name}`"))
                .hint(format!("sections are {}", known.join(", "))));
        }
    }
    let mut text = String::new();
    for section in &sections {
        let _ = writeln!(text, "{}: {}\n", section.name, section.summary);
        section.fields.iter().for_each(|field| explain_field(&mut text, "", field));
        text.push('\n');
    }
    Output::new(text, &json!({ "sections": sections }))
}

/// A field, and the fields of the table that it is.
fn explain_field(text: &mut String, above: &str, field: &FieldDescription) {
    let name = format!("{above}{}", field.name);
    let default = match &field.default {
        Some(default) => toml_text(default).unwrap_or_else(|| "none".into()),
        None => "required".into(),
    };
    let summary = &field.summary;
    let has_default = field.fields.is_empty() || field.default == Some(Value::Null);
    let _ = if has_default {
        writeln!(text, "  {name}\n      {summary}\n      default: {default}")
    } else {
        writeln!(text, "  {name}\n      {summary}")
    };
    field.fields.iter().for_each(|inner| explain_field(text, &format!("{name}."), inner));
}

/// What a table must have, or may have.
fn table_of(fields: &[FieldDescription]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    format!("{{ {} }}", names.join(", "))
}

/// A value as TOML on one line; nothing for a value that is not there.
fn toml_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let field = |(key, value)| Some(format!("{key} = {}", toml_text(value)?));
            let fields: Vec<String> = map.iter().filter_map(field).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    })
}
