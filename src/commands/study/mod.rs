//! Study files and their runs.

mod compare;

use std::fmt::Write;

use serde_json::json;
use spacewright_core::method::SettingsSection;
use spacewright_engine::{StepState, engine_sections, list_runs};

use crate::{
    catalog,
    cli::{Global, StudyCommand},
    commands::run::open,
    progress::duration,
    render::{Failure, Output, Table},
};

/// The name under which `explain` shows the fields outside of sections.
const TOP: &str = "study";

pub fn run(command: &StudyCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        StudyCommand::Schema => schema(),
        StudyCommand::Explain { section } => explain(section.as_deref()),
        StudyCommand::List { runs } => {
            let runs = list_runs(runs)?;
            let mut table = Table::new(&["run", "finished steps", "folder"]);
            for run in &runs {
                let steps: Vec<&str> = run
                    .steps
                    .iter()
                    .filter(|step| step.finished)
                    .map(|step| step.step.as_str())
                    .collect();
                table.row([
                    run.study.name.clone(),
                    steps.join(", "),
                    run.folder.display().to_string(),
                ]);
            }
            Output::new(table.render(), &json!({ "runs": runs }))
        }
        StudyCommand::Compare(args) => compare::run(args, global),
        StudyCommand::Show(args) => {
            let engine = open(args, global)?;
            let steps = engine.status()?;
            let mut table = Table::new(&["step", "state", "tasks", "time"]);
            for step in &steps {
                let state = match step.state {
                    StepState::Current => "current",
                    StepState::Stale => "stale",
                    StepState::Missing => "missing",
                };
                let state = if step.extra { format!("{state}, extra") } else { state.into() };
                let time = step.seconds.map(duration).unwrap_or_default();
                table.row([step.step.clone(), state, step.tasks.to_string(), time]);
            }
            let value =
                json!({ "study": engine.study().name, "folder": engine.folder(), "steps": steps });
            Output::new(table.render(), &value)
        }
    }
}

/// The engine's sections, then those of all methods.
fn sections() -> Result<Vec<SettingsSection>, Failure> {
    let mut sections = engine_sections();
    for method in catalog::registry()?.methods.values() {
        sections.extend(method.sections());
    }
    Ok(sections)
}

fn schema() -> Result<Output, Failure> {
    let sections = sections()?;
    let mut text = String::new();
    for section in &sections {
        if section.name.is_empty() {
            let _ = writeln!(text, "# {}", section.summary);
        } else {
            let _ = writeln!(text, "\n# {}\n[{}]", section.summary, section.name);
        }
        for field in &section.fields {
            let _ = if field.default.is_empty() {
                writeln!(text, "{} = # required", field.name)
            } else {
                writeln!(text, "# {} = {}", field.name, field.default)
            };
        }
    }
    Output::new(text, &json!({ "sections": sections }))
}

fn explain(name: Option<&str>) -> Result<Output, Failure> {
    let mut sections = sections()?;
    for section in &mut sections {
        if section.name.is_empty() {
            TOP.clone_into(&mut section.name);
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
        for field in &section.fields {
            let default = if field.default.is_empty() { "required" } else { &field.default };
            let _ = writeln!(
                text,
                "  {}\n      {}\n      default: {default}",
                field.name, field.summary
            );
        }
        text.push('\n');
    }
    Output::new(text, &json!({ "sections": sections }))
}
