//! Study files.

mod base;
mod document;
mod fields;

use std::{
    fs,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spacewright_core::{
    space::Hyperspace,
    study::{FieldError, Method, Section, SectionKind, sections_of},
};

use self::{document::Document, fields::StudyFields};
use crate::{
    cluster::ClusterSettings,
    compute::ComputeSettings,
    data::DataSettings,
    error::{EngineError, Result},
    hyperspace,
    registry::Registry,
    suggest::closest,
};

pub use fields::{engine_sections, study_schema};

/// A study: what is looked for, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Name of the run.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Name of the method.
    pub method: String,
    /// All candidate search spaces.
    pub hyperspace: Hyperspace,
    /// Name of the target.
    pub target: String,
    /// Name of the latency source; empty for the target's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub latency: String,
    /// Name of the quantizer that trains.
    pub quantizer: String,
    /// The study whose shared steps this one takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<Study>>,
    /// Shared steps that it runs itself all the same: those that it has a section of, and those that read one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_steps: Vec<String>,
    /// Images.
    pub data: DataSettings,
    /// Where trainings are computed.
    #[serde(default)]
    pub compute: ComputeSettings,
    /// Which other machines run tasks.
    #[serde(default)]
    pub cluster: ClusterSettings,
    /// The method's sections, defaults filled in.
    pub sections: IndexMap<String, Value>,
    /// The file's name in errors.
    #[serde(skip)]
    pub origin: String,
    /// The file's text.
    #[serde(skip)]
    pub text: String,
    /// Folder to which paths in the file are relative, absolute where possible.
    pub folder: PathBuf,
}

/// What the command line says otherwise than the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Instead of the file's seed.
    pub seed: Option<u64>,
    /// Instead of the file's target.
    pub target: Option<String>,
    /// Instead of fields of the file's sections.
    pub fields: Vec<FieldOverride>,
}

/// Another value for a field of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldOverride {
    /// Name of the section.
    pub section: String,
    /// The field.
    pub field: String,
    /// Its value.
    pub value: Value,
}

/// A study file that is being read: its text, and where it is.
struct Source<'s> {
    /// Its name in errors.
    origin: &'s str,
    text: &'s str,
    /// Folder to which paths in it are relative.
    folder: &'s Path,
    /// Whether another study takes from it.
    is_base: bool,
}

impl Study {
    /// Reads and checks a study file.
    pub fn read(path: &Path, registry: &Registry, overrides: &Overrides) -> Result<Self> {
        let (text, folder) = read_text(path)?;
        Self::parse(&path.display().to_string(), &text, folder, registry, overrides)
    }

    /// The file that it was read from, absolute; `None` where there is none.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let name = Path::new(&self.origin).file_name()?;
        fs::canonicalize(self.folder.join(name)).ok()
    }

    /// The name that a study file gives its run, if it can be read.
    pub(crate) fn name_in(path: &Path) -> Option<String> {
        let table: toml::Table = fs::read_to_string(path).ok()?.parse().ok()?;
        Some(table.get("name")?.as_str()?.to_owned())
    }

    /// Checks the text of a study file: `origin` is its name in errors, and paths in it are
    /// relative to `folder`.
    pub fn parse(
        origin: &str,
        text: &str,
        folder: &Path,
        registry: &Registry,
        overrides: &Overrides,
    ) -> Result<Self> {
        let source = Source { origin, text, folder, is_base: false };
        Self::parse_source(&source, registry, overrides)
    }

    fn parse_source(
        source: &Source<'_>,
        registry: &Registry,
        overrides: &Overrides,
    ) -> Result<Self> {
        let Source { text, folder, .. } = *source;
        let document = Document::parse(source.origin, text)?;
        let mut given = document.json()?;
        override_fields(&mut given, &overrides.fields);
        let method = method(&document, &given, registry)?;
        let sections = sections_of(&method.steps());
        check_names(&document, &sections)?;
        let fields = top_fields(&document, &given)?;
        check_plugins(&document, &fields, registry, overrides)?;
        let data: DataSettings = section(&document, &given)?;
        let compute: ComputeSettings = section(&document, &given)?;
        let cluster: ClusterSettings = section(&document, &given)?;
        let from = base::read(&document, source, method.as_ref(), &fields, registry, overrides)?;
        let hyperspace = match &from {
            Some(base) => base.hyperspace.clone(),
            None => read_hyperspace(&document, folder, registry)
                .map_err(|error| document.place(&["hyperspace"], error))?,
        };
        hyperspace.validate(&registry.operators()).map_err(|error| {
            let error = EngineError::study(error.to_string()).with_source(error);
            document.place(&["hyperspace"], error)
        })?;
        let study = Self {
            name: fields.name,
            seed: overrides.seed.unwrap_or(fields.seed),
            method: fields.method,
            hyperspace,
            target: overrides.target.clone().unwrap_or(fields.target),
            latency: fields.latency,
            quantizer: fields.quantizer,
            from: None,
            own_steps: Vec::new(),
            data,
            compute,
            cluster,
            sections: method_sections(&document, given, &sections)?,
            origin: source.origin.to_owned(),
            text: text.to_owned(),
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        };
        match from {
            Some(base) => study.taking(base, &fields.from, &document, method.as_ref()),
            None => Ok(study),
        }
    }

    /// Whether it runs a shared step itself although it takes others.
    pub(crate) fn runs(&self, step: &str) -> bool {
        self.own_steps.iter().any(|own| own == step)
    }

    /// The error for a field, with its line in the file.
    pub(crate) fn refuse(&self, error: FieldError) -> EngineError {
        match Document::parse(&self.origin, &self.text) {
            Ok(document) => document.refuse(error),
            Err(_) => error.into(),
        }
    }

    /// A section of the method, defaults filled in; nothing where it has none of this name.
    pub(crate) fn section(&self, name: &str) -> Value {
        self.sections.get(name).cloned().unwrap_or_default()
    }
}

/// The text of a study file, and the folder that it is in.
fn read_text(path: &Path) -> Result<(String, &Path)> {
    let text = fs::read_to_string(path).map_err(|error| {
        EngineError::study(format!("cannot read the study: {error}"))
            .about_file(path, None)
            .with_source(error)
            .with_hint("name a study file; `spacewright study new FILE` writes one")
    })?;
    Ok((text, path.parent().unwrap_or(Path::new("."))))
}

/// The method, which decides what sections there are.
fn method(
    document: &Document<'_>,
    given: &Map<String, Value>,
    registry: &Registry,
) -> Result<std::sync::Arc<dyn Method>> {
    let default = StudyFields::default().method;
    let name = given.get("method").and_then(Value::as_str).unwrap_or(&default);
    registry.method(name).map_err(|error| document.place(&["method"], error))
}

/// That there are no other names than those of fields and sections.
fn check_names(document: &Document<'_>, sections: &[SectionKind]) -> Result<()> {
    let [top, tables @ ..] = engine_sections();
    let fields: Vec<String> = top.fields().into_iter().map(|field| field.name).collect();
    let top: Vec<&str> = fields.iter().map(String::as_str).collect();
    let tables: Vec<&str> = tables.iter().chain(sections).map(|section| section.name).collect();
    for name in document.names() {
        if top.contains(&name) || tables.contains(&name) {
            continue;
        }
        let (message, allowed) = match document.is_table(name) {
            true => (format!("no section [{name}]"), &tables),
            false => (format!("no field `{name}` at the top of a study"), &top),
        };
        let list = allowed.join(", ");
        let hint = match closest(name, allowed.iter().copied()) {
            Some(likely) => format!("did you mean `{likely}`? allowed are {list}"),
            None => format!("allowed are {list}"),
        };
        return Err(document.place(&[name], EngineError::study(message).with_hint(hint)));
    }
    Ok(())
}

fn top_fields(document: &Document<'_>, given: &Map<String, Value>) -> Result<StudyFields> {
    let [top, ..] = engine_sections();
    let names: Vec<String> = top.fields().into_iter().map(|field| field.name).collect();
    let given: Map<String, Value> = given
        .iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let complete = top.complete(&Value::Object(given));
    let fields = complete.and_then(StudyFields::from_value);
    fields.map_err(|error| document.refuse(error))
}

/// That what the fields at the top name is there.
fn check_plugins(
    document: &Document<'_>,
    fields: &StudyFields,
    registry: &Registry,
    overrides: &Overrides,
) -> Result<()> {
    match &overrides.target {
        Some(target) => registry.target(target).map(drop)?,
        None => registry
            .target(&fields.target)
            .map(drop)
            .map_err(|error| document.place(&["target"], error))?,
    }
    if !fields.latency.is_empty() {
        registry
            .latency_source(&fields.latency)
            .map_err(|error| document.place(&["latency"], error))?;
    }
    let quantizer = registry.quantizer(&fields.quantizer);
    quantizer.map(drop).map_err(|error| document.place(&["quantizer"], error))
}

/// A section of the engine, defaults filled in.
fn section<S: Section>(document: &Document<'_>, given: &Map<String, Value>) -> Result<S> {
    let given = given.get(S::NAME).cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let complete = SectionKind::of::<S>().complete(&given);
    complete.and_then(S::from_value).map_err(|error| document.refuse(error))
}

fn read_hyperspace(
    document: &Document<'_>,
    folder: &Path,
    registry: &Registry,
) -> Result<Hyperspace> {
    // From TOML, as the order of axes matters.
    let name = match document.toml()?.remove("hyperspace") {
        Some(toml::Value::String(name)) => name,
        Some(toml::Value::Table(table)) => return hyperspace::from_table(table, "the study"),
        Some(other) => {
            let kind = other.type_str();
            return Err(EngineError::study(format!(
                "`hyperspace` must be a name, a path or a table, not {kind}"
            )));
        }
        None => {
            return Err(EngineError::study("a study needs the field `hyperspace`")
                .with_hint("`spacewright study explain study` lists the fields"));
        }
    };
    if !name.ends_with(".toml") {
        return registry.hyperspace(&name);
    }
    hyperspace::read(&folder.join(&name))
}

/// Puts what the command line says in the place of what the file says.
fn override_fields(given: &mut Map<String, Value>, overrides: &[FieldOverride]) {
    for FieldOverride { section, field, value } in overrides {
        let section = given.entry(section).or_insert_with(|| Value::Object(Map::new()));
        if let Some(section) = section.as_object_mut() {
            section.insert(field.clone(), value.clone());
        }
    }
}

fn method_sections(
    document: &Document<'_>,
    mut given: Map<String, Value>,
    sections: &[SectionKind],
) -> Result<IndexMap<String, Value>> {
    let mut settings = IndexMap::new();
    for section in sections {
        let value = given.remove(section.name).unwrap_or_else(|| Value::Object(Map::new()));
        let complete = section.complete(&value).map_err(|error| document.refuse(error))?;
        settings.insert(section.name.to_owned(), complete);
    }
    Ok(settings)
}
