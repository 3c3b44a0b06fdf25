//! Studies that take the teacher and the quality tables of another: `from`.

use spacewright_core::study::{Method, Section as _};

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
    check_nothing_is_taken_twice(document, method)?;
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

/// That a study says nothing that its base says: all such fields and sections in one message.
fn check_nothing_is_taken_twice(document: &Document<'_>, method: &dyn Method) -> Result<()> {
    let mut taken = shared_sections(method);
    taken.extend(TAKEN_FIELDS);
    let twice: Vec<&str> = document.names().filter(|name| taken.contains(name)).collect();
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

/// Sections that the shared steps of a method depend on.
fn shared_sections(method: &dyn Method) -> Vec<&'static str> {
    let shared = method.steps().into_iter().filter(|step| step.is_shared());
    shared.flat_map(|step| step.sections()).map(|section| section.name).collect()
}

impl Study {
    /// The same study with what the shared steps of another depend on.
    pub(super) fn taking(mut self, base: Self, method: &dyn Method) -> Self {
        for name in shared_sections(method) {
            if let Some(section) = base.sections.get(name) {
                self.sections.insert(name.to_owned(), section.clone());
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
