//! `run` and its single steps.

use serde_json::json;
use spacewright_engine::{
    Engine, EngineOptions, FieldOverride, Inputs, Overrides, Study, default_home,
};
use spacewright_spaceevo::{SpaceEvo, steps::report::Report};

use crate::{
    catalog,
    cli::{Global, StepArgs, StudyArgs},
    process, progress,
    render::{Failure, Output},
    report,
};

/// Puts a study together, with other values for fields of its sections.
pub fn open(
    args: &StudyArgs,
    mut fields: Vec<FieldOverride>,
    global: &Global,
) -> Result<Engine, Failure> {
    let registry = catalog::registry()?;
    fields.extend(args.compute.fields());
    let overrides = Overrides { seed: global.seed, target: args.target.clone(), fields };
    let study = Study::read(&args.study, &registry, &overrides)?;
    let mut options = EngineOptions {
        runs: args.runs.clone(),
        observer: progress::observer(global.quiet),
        cancel: process::cancelled_by_signal(),
        ..EngineOptions::new(default_home()?)
    };
    if let Some(threads) = global.threads {
        options.threads = threads.into();
    }
    Ok(Engine::open(study, &registry, options)?)
}

/// Runs a whole study and shows its report.
pub fn run(args: &StudyArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open(args, Vec::new(), global)?;
    let outcomes = engine.run_all()?;
    if engine.method().name() == SpaceEvo::NAME {
        let report = engine.output::<Report>()?;
        return Output::new(report::text(&report, &engine.folder()), &report);
    }
    let text = format!("finished; its files lie in {}", engine.folder().display());
    Output::new(text, &json!({ "folder": engine.folder(), "steps": outcomes }))
}

/// Runs one step.
pub fn step(
    name: &str,
    args: &StepArgs,
    fields: Vec<FieldOverride>,
    global: &Global,
) -> Result<Output, Failure> {
    let engine = open(&args.study, fields, global)?;
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
