//! `run` and its single steps.

use std::{fs, sync::Arc};

use serde_json::{Value, json};
use spacewright_engine::{Engine, EngineOptions, Inputs, Overrides, Study};

use crate::{
    catalog,
    cli::{Global, StepArgs, StudyArgs},
    process, progress,
    render::{Failure, Output},
    report,
};

/// Puts a study together.
pub fn open(args: &StudyArgs, global: &Global) -> Result<Engine, Failure> {
    let registry = catalog::registry()?;
    let overrides = Overrides { seed: global.seed, target: args.target.clone() };
    let study = Study::read(&args.study, &registry, &overrides)?;
    let mut options = EngineOptions {
        runs: args.runs.clone(),
        observer: progress::observer(global.quiet),
        ..EngineOptions::default()
    };
    if let Some(threads) = global.threads {
        options.threads = threads.into();
    }
    process::cancel_on_signal(Arc::clone(&options.cancel));
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
    let engine = open(&args.study, global)?;
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
