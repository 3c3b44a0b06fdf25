//! Study files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spacewright_core::{
    method::{Method, SettingsSection, StepError},
    space::Hyperspace,
};

use crate::{
    data_set::DataSettings,
    document::{Document, suggestion},
    error::{EngineError, Result},
    hyperspace,
    registry::Registry,
    sections::engine_sections,
};

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
    /// Images.
    pub data: DataSettings,
    /// The method's sections, defaults filled in.
    pub sections: IndexMap<String, Value>,
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
    /// Instead of fields of the file's sections: section, field, value.
    pub fields: Vec<(String, String, Value)>,
}

/// Read first: the method decides which tables there are.
#[derive(Deserialize)]
struct Choice {
    #[serde(default = "default_method")]
    method: String,
}

#[derive(Deserialize)]
struct Fields {
    name: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    hyperspace: Option<toml::Value>,
    #[serde(default = "default_target")]
    target: String,
    #[serde(default)]
    latency: String,
    #[serde(default = "default_quantizer")]
    quantizer: String,
    #[serde(default)]
    data: DataSettings,
}

fn default_method() -> String {
    "spaceevo".into()
}

fn default_target() -> String {
    "host-ort".into()
}

fn default_quantizer() -> String {
    "lsq-plus".into()
}

impl Study {
    /// Reads and checks a study file.
    pub fn read(path: &Path, registry: &Registry, overrides: &Overrides) -> Result<Self> {
        let (text, folder) = read_text(path)?;
        Self::parse(&path.display().to_string(), &text, folder, registry, overrides)
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
        let place = (origin, folder);
        Self::parse_in(place, text, registry, overrides, base)
    }

    /// `base` reads the study that `from` names.
    fn parse_in(
        (origin, folder): (&str, &Path),
        text: &str,
        registry: &Registry,
        overrides: &Overrides,
        base: ReadBase,
    ) -> Result<Self> {
        let document = Document::parse(origin, text)?;
        let Choice { method: method_name } = document.read()?;
        let method = registry.method(&method_name).map_err(|e| document.place(&["method"], e))?;
        let sections = method.sections();
        check_names(&document, &sections)?;
        let fields: Fields = document.read()?;
        check_run_name(&fields.name).map_err(|e| document.place(&["name"], e))?;

        let target = overrides.target.clone().unwrap_or(fields.target);
        if overrides.target.is_some() {
            registry.target(&target)?;
        } else {
            registry.target(&target).map_err(|e| document.place(&["target"], e))?;
        }
        if !fields.latency.is_empty() {
            registry
                .latency_source(&fields.latency)
                .map_err(|e| document.place(&["latency"], e))?;
        }
        registry.quantizer(&fields.quantizer).map_err(|e| document.place(&["quantizer"], e))?;
        fields.data.check().map_err(|e| document.place(&["data"], e))?;
        let from = match fields.from.as_str() {
            "" => None,
            path => Some(
                base(&document, method.as_ref(), &folder.join(path), registry, overrides)
                    .map_err(|e| document.place(&["from"], e))?,
            ),
        };
        let hyperspace = match (&from, fields.hyperspace) {
            (Some(base), _) => base.hyperspace.clone(),
            (None, Some(value)) => read_hyperspace(value, folder, registry)
                .map_err(|e| document.place(&["hyperspace"], e))?,
            (None, None) => {
                let error = document.error(&[], "a study needs the field `hyperspace`");
                return Err(error.with_hint("`spacewright study explain study` lists the fields"));
            }
        };
        hyperspace
            .validate(&registry.operators())
            .map_err(|e| document.place(&["hyperspace"], EngineError::study(e.to_string())))?;
        let sections = method_settings(&document, method.as_ref(), &sections, &overrides.fields)?;
        if from.as_ref().is_some_and(|base| base.name == fields.name) {
            let message = "the study that `from` names has the same name, hence the same run";
            return Err(document.error(&["name"], message).with_hint("give this one another name"));
        }
        let study = Self {
            name: fields.name,
            seed: overrides.seed.unwrap_or(fields.seed),
            method: method_name,
            hyperspace,
            target,
            latency: fields.latency,
            quantizer: fields.quantizer,
            from: None,
            data: fields.data,
            sections,
            text: text.to_owned(),
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        };
        Ok(match from {
            Some(base) => study.taking(base, method.as_ref()),
            None => study,
        })
    }

    /// The same study with what the shared steps of another depend on.
    fn taking(mut self, base: Self, method: &dyn Method) -> Self {
        for name in shared_sections(method) {
            if let Some(section) = base.sections.get(&name) {
                self.sections.insert(name, section.clone());
            }
        }
        Self {
            seed: base.seed,
            quantizer: base.quantizer.clone(),
            data: base.data.clone(),
            folder: base.folder.clone(),
            from: Some(Box::new(base)),
            ..self
        }
    }
}

/// Reads the study that another one takes from.
type ReadBase = fn(&Document<'_>, &dyn Method, &Path, &Registry, &Overrides) -> Result<Study>;

/// A study from which another takes cannot take from a third.
fn no_base(
    _: &Document<'_>,
    _: &dyn Method,
    _: &Path,
    _: &Registry,
    _: &Overrides,
) -> Result<Study> {
    let message = "it is taken from, and takes from another study itself";
    Err(EngineError::study(message).with_hint("name the first of them in `from`"))
}

/// Sections that the shared steps of a method depend on.
fn shared_sections(method: &dyn Method) -> Vec<String> {
    let shared = method.steps().into_iter().filter(|step| step.shared);
    shared.flat_map(|step| step.settings).collect()
}

/// The study that another one takes from.
fn base(
    document: &Document<'_>,
    method: &dyn Method,
    path: &Path,
    registry: &Registry,
    overrides: &Overrides,
) -> Result<Study> {
    let mut taken = shared_sections(method);
    taken.extend(["seed", "hyperspace", "quantizer", "data"].map(str::to_owned));
    if let Some(name) = document.names().find(|name| taken.iter().any(|taken| taken == name)) {
        let message = format!("`{name}` is that of the study that `from` names");
        return Err(EngineError::study(message).with_hint(format!("leave `{name}` out")));
    }
    let overrides = Overrides { seed: overrides.seed, ..Overrides::default() };
    let (text, folder) = read_text(path)?;
    let place = (&*path.display().to_string(), folder);
    let base = Study::parse_in(place, &text, registry, &overrides, no_base)?;
    if base.method != method.name() {
        let message = format!("`{}` is another method than `{}`", base.method, method.name());
        return Err(EngineError::study(message));
    }
    Ok(base)
}

/// The text of a study file, and the folder that it is in.
fn read_text(path: &Path) -> Result<(String, &Path)> {
    let text = fs::read_to_string(path).map_err(|error| {
        EngineError::study(format!("{}: cannot read the study: {error}", path.display()))
    })?;
    Ok((text, path.parent().unwrap_or(Path::new("."))))
}

fn check_names(document: &Document<'_>, sections: &[SettingsSection]) -> Result<()> {
    let engine = engine_sections();
    let top: Vec<&str> = engine[0].fields.iter().map(|field| field.name.as_str()).collect();
    let tables: Vec<&str> =
        engine[1..].iter().chain(sections).map(|section| section.name.as_str()).collect();
    for name in document.names() {
        if top.contains(&name) || tables.contains(&name) {
            continue;
        }
        let table = document.is_table(name);
        let (message, allowed) = if table {
            (format!("no section [{name}]"), &tables)
        } else {
            (format!("no field `{name}` at the top of a study"), &top)
        };
        return Err(document.error(&[name], &message).with_hint(suggestion(name, allowed)));
    }
    engine[1..].iter().chain(sections).try_for_each(|section| document.check_fields(section))
}

fn check_run_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(legal) {
        let message = format!("`{name}` cannot be the name of a run");
        return Err(EngineError::study(message)
            .with_hint("use letters, digits, `-`, `_` and `.`; it becomes the name of a folder"));
    }
    Ok(())
}

fn read_hyperspace(value: toml::Value, folder: &Path, registry: &Registry) -> Result<Hyperspace> {
    let name = match value {
        toml::Value::String(name) => name,
        toml::Value::Table(table) => return hyperspace::from_table(table, "the study"),
        other => {
            let kind = other.type_str();
            return Err(EngineError::study(format!(
                "`hyperspace` must be a name, a path or a table, not {kind}"
            )));
        }
    };
    if !name.ends_with(".toml") {
        return registry.hyperspace(&name);
    }
    hyperspace::read(&folder.join(&name))
}

fn method_settings(
    document: &Document<'_>,
    method: &dyn Method,
    sections: &[SettingsSection],
    overrides: &[(String, String, Value)],
) -> Result<IndexMap<String, Value>> {
    let mut given: serde_json::Map<String, Value> = document.read()?;
    for (section, field, value) in overrides {
        let section = given.entry(section).or_insert_with(|| Value::Object(Default::default()));
        if let Some(section) = section.as_object_mut() {
            section.insert(field.clone(), value.clone());
        }
    }
    let mut settings = IndexMap::new();
    for section in sections {
        let value =
            given.remove(&section.name).unwrap_or_else(|| Value::Object(Default::default()));
        let checked = method.check_settings(&section.name, &value).map_err(|error| {
            let (message, hint) = match error {
                StepError::Study { message, hint } => (message, hint),
                other => (other.to_string(), String::new()),
            };
            let message = if message.contains(&format!("[{}]", section.name)) {
                message
            } else {
                format!("[{}]: {message}", section.name)
            };
            let field = mentioned_field(&message, section);
            let path: Vec<&str> =
                std::iter::once(section.name.as_str()).chain(field.split('.')).collect();
            let error = document.error(&path, &message);
            if hint.is_empty() { error } else { error.with_hint(hint) }
        })?;
        settings.insert(section.name.clone(), checked);
    }
    Ok(settings)
}

/// The field of the section that a method's message names, in backticks.
fn mentioned_field<'a>(message: &'a str, section: &SettingsSection) -> &'a str {
    let is_field = |word: &&str| section.fields.iter().any(|field| field.name == *word);
    message.split('`').skip(1).step_by(2).find(is_field).unwrap_or_default()
}
