//! What must hold before anything runs.

use std::sync::Arc;

use spacewright_core::{
    import::{GRAPH, WEIGHTS},
    study::{AnyStep, FieldError, FieldProblem, Reference, Referred, StudyContext},
};

use crate::{
    error::{EngineError, Result},
    study::Study,
};

/// That steps have names of their own and read earlier steps only; shared ones only shared ones,
/// and those of a run none that is extra.
pub(super) fn check_steps(method: &str, steps: &[Arc<dyn AnyStep>]) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let name = step.name();
        let refuse = |reason: String| {
            Err(EngineError::study(format!("method `{method}`: step `{name}` {reason}")))
        };
        let before = |name: &str| steps[..index].iter().find(|earlier| earlier.name() == name);
        if before(name).is_some() {
            return refuse("has the name of an earlier one".into());
        }
        for input in step.reads() {
            match before(input) {
                None => return refuse(format!("reads `{input}`, which is no earlier step")),
                Some(read) if step.is_shared() && !read.is_shared() => {
                    return refuse(format!("is shared, but reads `{input}`, which is not"));
                }
                Some(read) if read.is_extra() && !step.is_extra() => {
                    return refuse(format!("reads `{input}`, which is no part of a run"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// That what the sections name is there, and that they go together. Gives the other targets that
/// they name.
pub(super) fn check_study(
    study: &Study,
    context: &StudyContext,
    steps: &[Arc<dyn AnyStep>],
) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for section in spacewright_core::study::sections_of(steps) {
        let references = section.references(&study.section(section.name));
        for reference in references.map_err(|error| study.refuse(error))? {
            check_reference(study, context, section.name, &reference)
                .map_err(|error| study.refuse(error))?;
            if let Referred::Target(name) = reference.to {
                targets.push(name);
            }
        }
    }
    for step in steps {
        step.check(context, &|section| study.section(section))
            .map_err(|error| study.refuse(error))?;
    }
    targets.retain(|name| *name != study.target);
    Ok(targets)
}

fn check_reference(
    study: &Study,
    context: &StudyContext,
    section: &str,
    reference: &Reference,
) -> Result<(), FieldError> {
    let known: Vec<String> = match &reference.to {
        Referred::Target(_) => context.targets.keys().cloned().collect(),
        Referred::Scorer(_) => context.scorers.keys().cloned().collect(),
        Referred::Strategy(_) => context.strategies.keys().cloned().collect(),
        Referred::Quantizer(_) => context.quantizers.keys().cloned().collect(),
        Referred::Format(_) => context.format_names(),
        // The step that builds it says more than whether it is known.
        Referred::Block(_) => return Ok(()),
        Referred::Network(folder) | Referred::Tables(folder) if folder.is_empty() => return Ok(()),
        Referred::Tables(folder) => {
            let folder = study.folder.join(folder);
            if folder.is_dir() {
                return Ok(());
            }
            let reason = format!("there is no folder {}", folder.display());
            let hint = "name the folder that holds the files; a path is relative to the folder of the study";
            return Err(FieldError::refused(section, reference.field, reason, hint));
        }
        Referred::Network(folder) => {
            let folder = study.folder.join(folder);
            if folder.is_file() {
                let reason = format!("{} is a file", folder.display());
                let hint = format!(
                    "make a folder of it with `spacewright model import {} --out DIR`, and name that",
                    folder.display()
                );
                return Err(FieldError::refused(section, reference.field, reason, hint));
            }
            let missing = |name: &&str| !folder.join(name).is_file();
            let Some(missing) = [GRAPH, WEIGHTS].into_iter().find(missing) else { return Ok(()) };
            let reason = format!("there is no file {}", folder.join(missing).display());
            let hint = "name the folder that `spacewright model import FILE --out DIR` makes, or `teacher` in that \
                        of another run; a path is relative to the folder of the study";
            return Err(FieldError::refused(section, reference.field, reason, hint));
        }
    };
    if known.iter().any(|name| name == reference.to.name()) {
        return Ok(());
    }
    let (section, field) = (section.to_owned(), reference.field.to_owned());
    let problem = FieldProblem::NoSuch { referred: reference.to.clone(), known };
    Err(FieldError { section, field, problem })
}
