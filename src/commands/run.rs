//! `run` and its single steps.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use spacewright_engine::{Engine, EngineOptions, Inputs, Overrides, Registry, Study};

use crate::{output::Output, progress, report};

/// A study and where it runs.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// The study file (TOML).
    pub study: PathBuf,
    /// Folder of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub runs: PathBuf,
    /// Another target than the study's.
    #[arg(long)]
    pub target: Option<String>,
}

/// One step of a study.
#[derive(Debug, Args)]
pub struct StepArgs {
    /// Study and place.
    #[command(flatten)]
    pub study: StudyArgs,
    /// First run the steps that this one reads, where they are not current.
    #[arg(long)]
    pub with_inputs: bool,
}

impl StudyArgs {
    /// Puts the study together.
    pub fn open(&self, output: &Output) -> anyhow::Result<Engine> {
        let registry = Registry::built_in()?;
        let overrides = Overrides { seed: output.seed, target: self.target.clone() };
        let study = Study::read(&self.study, &registry, &overrides)?;
        let mut options = EngineOptions {
            runs: self.runs.clone(),
            observer: progress::observer(output.quiet),
            cancel: cancel_on_signal(),
            ..EngineOptions::default()
        };
        if let Some(threads) = output.threads {
            options.threads = threads;
        }
        Ok(Engine::open(study, &registry, options)?)
    }
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the process at once.
fn cancel_on_signal() -> Arc<AtomicBool> {
    const INTERRUPTED: i32 = 130;
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        tracing::warn!("stopping at the next safe point; once more to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!("cannot listen for Ctrl-C: {error}");
    }
    cancel
}

/// Runs a whole study and shows its report.
pub fn run(args: &StudyArgs, output: &Output) -> anyhow::Result<()> {
    let engine = args.open(output)?;
    engine.run_all()?;
    let path = engine.folder().join("report.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let value: Value = serde_json::from_str(&text)?;
    output.show(&value, |value| report::text(value, &engine.folder()))
}

/// Runs one step.
pub fn step(name: &str, args: &StepArgs, output: &Output) -> anyhow::Result<()> {
    let engine = args.study.open(output)?;
    let inputs = if args.with_inputs { Inputs::Run } else { Inputs::Require };
    let outcome = engine.run_step(name, inputs)?;
    let value = json!({
        "step": outcome.step,
        "skipped": outcome.skipped,
        "seconds": outcome.seconds,
        "folder": engine.folder(),
    });
    output.show(&value, |_| {
        let seconds = progress::duration(outcome.seconds);
        let state = if outcome.skipped { "unchanged, skipped" } else { "finished" };
        format!("{}: {state} ({seconds})", outcome.step)
    })
}
