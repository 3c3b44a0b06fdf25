//! The `spacewright` command: reads what was typed, runs it, shows what came out.

mod catalog;
mod cli;
mod commands;
mod compiler;
mod foreign;
mod launch;
mod measuring;
mod process;
mod progress;
mod render;
mod report;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = compiler::run_if_asked() {
        return code;
    }
    process::link_plugins();
    let steps = match catalog::steps() {
        Ok(steps) => steps,
        Err(failure) => return render::show(Err(failure), false),
    };
    let typed = cli::parse(&steps);
    let global = typed.global();
    process::prepare(global.verbose && !global.quiet);
    let outcome = commands::run(&typed);
    render::show(outcome, global.json)
}
