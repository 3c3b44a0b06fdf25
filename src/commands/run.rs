//! `run` and its single steps.

use std::path::{Path, PathBuf};

use serde_json::json;
use spacewright_core::study::{Section as _, Step as _, duration};
use spacewright_engine::{
    ComputeSettings, Engine, EngineOptions, FieldOverride, Inputs, Overrides, Registry, Study,
    Threads, available_threads, default_home,
};
use spacewright_spaceevo::{SpaceEvo, steps::report::Report};

use crate::{
    catalog,
    cli::{Global, StepArgs, StudyArgs},
    commands::{page, task},
    launch::Launch,
    process, progress,
    render::{Failure, Output},
    report,
};

/// Puts a study together, with other values for fields of its sections.
pub fn open(
    args: &StudyArgs,
    fields: Vec<FieldOverride>,
    global: &Global,
) -> Result<Engine, Failure> {
    let registry = catalog::registry()?;
    let study = read(args, fields, global, &registry)?;
    let threads = global.threads.map_or_else(available_threads, usize::from);
    opened(args, study, Threads::InAll(threads), global, &registry)
}

/// The same to train. A process that was started together with others, and is not the first of them, trains for
/// that one instead, and does not come back.
pub fn open_to_train(
    args: &StudyArgs,
    mut fields: Vec<FieldOverride>,
    global: &Global,
) -> Result<Engine, Failure> {
    let Some(launch) = Launch::of_this_process()? else { return open(args, fields, global) };
    let (section, field) = (ComputeSettings::NAME.to_owned(), "processes".to_owned());
    let value = json!(launch.processes);
    fields.push(FieldOverride { section, field, value });
    let registry = catalog::registry()?;
    let study = read(args, fields, global, &registry)?;
    if study.compute.processes != launch.processes {
        let (asked, started) = (study.compute.processes, launch.processes);
        let error = format!("{asked} processes are asked for, but {started} were started");
        return Err(Failure::input(error).hint("leave --processes out"));
    }
    if launch.rank > 0 {
        return Err(process::train_for_the_first(&launch, study.compute.first_device()));
    }
    let shared = || (available_threads() / launch.on_this_machine).max(1);
    let threads = global.threads.map_or_else(shared, usize::from);
    opened(args, study, Threads::OfEach(threads), global, &registry)
}

fn read(
    args: &StudyArgs,
    mut fields: Vec<FieldOverride>,
    global: &Global,
    registry: &Registry,
) -> Result<Study, Failure> {
    fields.extend(args.compute.fields());
    fields.extend(args.cluster.fields());
    let overrides = Overrides { seed: global.seed, target: args.target.clone(), fields };
    Ok(Study::read(&args.study, registry, &overrides)?)
}

fn opened(
    args: &StudyArgs,
    study: Study,
    threads: Threads,
    global: &Global,
    registry: &Registry,
) -> Result<Engine, Failure> {
    let options = EngineOptions {
        runs: args.runs.clone(),
        threads,
        observer: progress::observer(global),
        cancel: process::cancelled_by_signal(),
        task_command: task::command(),
        ..EngineOptions::new(default_home()?)
    };
    Ok(Engine::open(study, registry, options)?)
}

/// Runs a whole study and shows its report.
pub fn run(args: &StudyArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open_to_train(args, Vec::new(), global)?;
    let outcomes = engine.run_all()?;
    if engine.method().name() == SpaceEvo::NAME {
        return Ok(found(&engine, &args.study)?.0);
    }
    let text = format!("finished; its files lie in {}", engine.folder().display());
    Output::new(text, &json!({ "folder": engine.folder(), "steps": outcomes }))
}

/// What a study has found, and its page, if that can be written.
fn found(engine: &Engine, study: &Path) -> Result<(Output, Option<PathBuf>), Failure> {
    let report = engine.output::<Report>()?;
    let page = page::written(engine, study);
    let mut text = report::text(&report, &engine.folder(), engine.steps());
    if let Some(page) = &page {
        text += &format!("\npage: {}\n", page.display());
    }
    Ok((Output::new(text, &report)?, page))
}

/// Runs one step; `open`s the page of the run then.
pub fn step(
    name: &str,
    args: &StepArgs,
    fields: Vec<FieldOverride>,
    open: bool,
    global: &Global,
) -> Result<Output, Failure> {
    let engine = open_to_train(&args.study, fields, global)?;
    let inputs = if args.with_inputs { Inputs::Run } else { Inputs::Require };
    let outcome = engine.run_step(name, inputs)?;
    let (output, page) = if (engine.method().name(), name) == (SpaceEvo::NAME, Report::NAME) {
        found(&engine, &args.study.study)?
    } else {
        let state = if outcome.skipped { "unchanged, skipped" } else { "finished" };
        let text = format!("{name}: {state} ({})", duration(outcome.seconds));
        let value = json!({
            "step": outcome.step,
            "skipped": outcome.skipped,
            "seconds": outcome.seconds,
            "folder": engine.folder(),
        });
        (Output::new(text, &value)?, None)
    };
    if open {
        page::open(page.as_deref())?;
    }
    Ok(output)
}
