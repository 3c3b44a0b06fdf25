//! `spacewright bench …`: extra steps of a study and what they found; how fast scores are.

mod proxy;
mod score;
mod spaces;

use std::path::Path;

use serde_json::{Value, json};
use spacewright_engine::Inputs;

use crate::{
    cli::{BenchCommand, Global, StudyArgs},
    commands::run::open,
    render::{Failure, Output},
};

pub fn run(command: &BenchCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        BenchCommand::Proxy(args) => step("proxy", args, global, proxy::text, &proxy::FILES),
        BenchCommand::Score(args) => score::score(args, global.seed.unwrap_or_default()),
        BenchCommand::Spaces(args) => step("spaces", args, global, spaces::text, &spaces::FILES),
    }
}

/// Runs an extra step behind those that it reads, and shows its report and its files.
fn step(
    name: &str,
    args: &StudyArgs,
    global: &Global,
    text: fn(&Value) -> String,
    files: &[&str],
) -> Result<Output, Failure> {
    let engine = open(args, global)?;
    engine.run_step(name, Inputs::Run)?;
    let mut report = engine.result(&format!("{name}/report"))?;
    let written: Vec<String> = files.iter().map(|file| shown(&engine.folder(), file)).collect();
    let mut shown = text(&report);
    for file in &written {
        shown += &format!("\nwrote {file}");
    }
    report["files"] = json!(written);
    Output::new(shown, &report)
}

fn shown(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}
