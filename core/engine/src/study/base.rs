//! Studies that take shared steps of another, with what all of its steps have in common: `from`.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use spacewright_core::study::{AnyStep, Method, Referred, Section as _, SectionKind, sections_of};

use super::{
    FieldOverride, Overrides, Source, Study, document::Document, fields::StudyFields, read_text,
};
use crate::{
    cluster::ClusterSettings,
    compute::ComputeSettings,
    error::{EngineError, Result},
    registry::Registry,
};

/// Fields at the top of a study that are those of the base.
const TAKEN_FIELDS: [&str; 4] = ["seed", "hyperspace", "quantizer", "data"];

/// The study that the field `from` names, if it names one.
pub(super) fn read(
    document: &Document<'_>,
    source: &Source<'_>,
    method: &dyn Method,
    fields: &StudyFields,
    registry: &Registry,
    overrides: &Overrides,
) -> Result<Option<Study>> {
    if fields.from.is_empty() {
        return Ok(None);
    }
    let at_from = |error| document.place(&["from"], error);
    if source.is_base {
        let error = EngineError::study("it is taken from, and takes from another study itself");
        return Err(at_from(error.with_hint("name the first of them in `from`")));
    }
    check_nothing_is_taken_twice(document)?;
    check_something_is_taken(document, method)?;
    let path = source.folder.join(&fields.from);
    let (text, folder) = read_text(&path).map_err(at_from)?;
    let origin = path.display().to_string();
    let base = Source { origin: &origin, text: &text, folder, is_base: true };
    let common = [ComputeSettings::NAME, ClusterSettings::NAME];
    let is_common = |other: &&FieldOverride| common.contains(&other.section.as_str());
    let common = overrides.fields.iter().filter(is_common).cloned().collect();
    let overrides = Overrides { seed: overrides.seed, target: None, fields: common };
    let base = Study::parse_source(&base, registry, &overrides).map_err(at_from)?;
    if base.method != method.name() {
        let message = format!("`{}` is another method than `{}`", base.method, method.name());
        return Err(at_from(EngineError::study(message)));
    }
    if base.name == fields.name {
        let message = "the study that `from` names has the same name, hence the same run";
        let error = EngineError::study(message).with_hint("give this one another name");
        return Err(document.place(&["name"], error));
    }
    Ok(Some(base))
}

/// That a study says nothing that is always that of its base: all such fields and sections in one message.
fn check_nothing_is_taken_twice(document: &Document<'_>) -> Result<()> {
    let twice: Vec<&str> = document.names().filter(|name| TAKEN_FIELDS.contains(name)).collect();
    let Some(first) = twice.first() else { return Ok(()) };
    let shown = |name: &&str| match document.is_table(name) {
        true => format!("[{name}]"),
        false => format!("`{name}`"),
    };
    let list = twice.iter().map(shown).collect::<Vec<_>>().join(", ");
    let verb = if twice.len() == 1 { "is that" } else { "are those" };
    let error = EngineError::study(format!("{list} {verb} of the study that `from` names"));
    Err(document.place(&[*first], error.with_hint(format!("leave out {list}"))))
}

/// That not every shared step is the study's own.
fn check_something_is_taken(document: &Document<'_>, method: &dyn Method) -> Result<()> {
    let (shared, own) = (shared_steps(method), own_steps(document, method));
    if own.len() < shared.len() {
        return Ok(());
    }
    let sections = sections_of(&shared).into_iter().map(|section| section.name);
    let given: Vec<&str> = sections.filter(|name| document.has(name)).collect();
    let Some(first) = given.first() else { return Ok(()) };
    let list = given.iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(" and ");
    let message =
        format!("with {list} of its own, a study takes no step of the one that `from` names");
    let hint = format!("leave out {list}, or `from`");
    Err(document.place(&[*first], EngineError::study(message).with_hint(hint)))
}

fn shared_steps(method: &dyn Method) -> Vec<Arc<dyn AnyStep>> {
    method.steps().into_iter().filter(|step| step.is_shared()).collect()
}

/// The shared steps that a study runs itself though it takes others: those that it has a section of, and those that
/// read one of these.
pub(super) fn own_steps(document: &Document<'_>, method: &dyn Method) -> Vec<String> {
    let mut own: Vec<String> = Vec::new();
    for step in shared_steps(method) {
        let is_own = |read: &&str| own.iter().any(|own| own == read);
        let has_section = step.sections().iter().any(|section| document.has(section.name));
        if has_section || step.reads().iter().any(is_own) {
            own.push(step.name().to_owned());
        }
    }
    own
}

impl Study {
    /// The same study with what it takes of another, which it names as `from`: seed, quantizer, images, and those
    /// sections of shared steps that it has none of.
    pub(super) fn taking(
        mut self,
        base: Self,
        from: &str,
        document: &Document<'_>,
        method: &dyn Method,
    ) -> Result<Self> {
        let folder = Path::new(from).parent().unwrap_or(Path::new("")).components();
        let folder: PathBuf = folder.filter(|part| *part != Component::CurDir).collect();
        for kind in sections_of(&shared_steps(method)) {
            if document.has(kind.name) {
                continue;
            }
            let Some(section) = base.sections.get(kind.name) else { continue };
            let section = seen_from(&folder, &kind, section.clone())?;
            self.sections.insert(kind.name.to_owned(), section);
        }
        let mut data = base.data.clone();
        if !data.path.is_empty() {
            data.path = folder.join(data.path).display().to_string();
        }
        Ok(Self {
            seed: base.seed,
            quantizer: base.quantizer.clone(),
            data,
            own_steps: own_steps(document, method),
            from: Some(Box::new(base)),
            ..self
        })
    }
}

/// A section whose paths are relative to a folder, as it is from where that folder has this path.
fn seen_from(folder: &Path, kind: &SectionKind, mut section: Value) -> Result<Value> {
    let mut fields: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for reference in kind.references(&section)? {
        if let Referred::Network(path) | Referred::Tables(path) = reference.to {
            fields.entry(reference.field).or_default().push(path);
        }
    }
    for (field, paths) in fields {
        let moved = |value: &mut Value| match value.as_str() {
            Some(path) if !path.is_empty() && paths.iter().any(|known| known == path) => {
                *value = folder.join(path).display().to_string().into();
            }
            _ => {}
        };
        match section.pointer_mut(&format!("/{}", field.replace('.', "/"))) {
            Some(Value::Array(items)) => items.iter_mut().for_each(moved),
            Some(value) => moved(value),
            None => {}
        }
    }
    Ok(section)
}
