//! The `spacewright` command: reads what was typed, runs it, shows what came out.

mod catalog;
mod cli;
mod commands;
mod measuring;
mod process;
mod progress;
mod render;
mod report;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    process::prepare(cli.global.verbose);
    let outcome = commands::run(&cli);
    render::show(outcome, cli.global.json)
}
