//! `run` and its single steps.

use std::fs;

use serde_json::{Value, json};
use spacewright_engine::{Engine, EngineOptions, Inputs, Overrides, Study};

use crate::{
    catalog,
    cli::{ExportArgs, Global, StepArgs, StudyArgs},
    process, progress,
    render::{Failure, Output},
    report,
};

/// Puts a study together.
pub fn open(args: &StudyArgs, global: &Global) -> Result<Engine, Failure> {
    open_with(args, Vec::new(), global)
}

/// The same, with other values for fields of its sections.
fn open_with(
    args: &StudyArgs,
    fields: Vec<(String, String, Value)>,
    global: &Global,
) -> Result<Engine, Failure> {
    let registry = catalog::registry()?;
    let overrides = Overrides { seed: global.seed, target: args.target.clone(), fields };
    let study = Study::read(&args.study, &registry, &overrides)?;
    let mut options = EngineOptions {
        runs: args.runs.clone(),
        observer: progress::observer(global.quiet),
        cancel: process::cancelled_by_signal(),
        ..EngineOptions::default()
    };
    if let Some(threads) = global.threads {
        options.threads = threads.into();
    }
    Ok(Engine::open(study, &registry, options)?)
}

/// Runs a whole study and shows its report.
pub fn run(args: &StudyArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open(args, global)?;
    engine.run_all()?;
    let path = engine.folder().join("report.json");
    let failed = |reason: String| Failure::failed(format!("{}: {reason}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    Output::new(report::text(&value, &engine.folder()), &value)
}

/// Runs one step.
pub fn step(name: &str, args: &StepArgs, global: &Global) -> Result<Output, Failure> {
    run_step(name, args, &open(&args.study, global)?)
}

/// Writes and verifies model files.
pub fn export(args: &ExportArgs, global: &Global) -> Result<Output, Failure> {
    let mut fields = Vec::new();
    if !args.formats.is_empty() {
        fields.push(("export".to_owned(), "formats".to_owned(), json!(args.formats)));
    }
    run_step("export", &args.step, &open_with(&args.step.study, fields, global)?)
}

fn run_step(name: &str, args: &StepArgs, engine: &Engine) -> Result<Output, Failure> {
    let inputs = if args.with_inputs { Inputs::Run } else { Inputs::Require };
    let outcome = engine.run_step(name, inputs)?;
    let state = if outcome.skipped { "unchanged, skipped" } else { "finished" };
    let text = format!("{name}: {state} ({})", progress::duration(outcome.seconds));
    let value = json!({
        "step": outcome.step,
        "skipped": outcome.skipped,
        "seconds": outcome.seconds,
        "folder": engine.folder(),
    });
    Output::new(text, &value)
}
