//! What the commands do: parse, call, show.

pub mod run;

use crate::cli::{Cli, Command};

/// Runs a command.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let output = &cli.output();
    match &cli.command {
        Command::Run(args) => run::run(args, output),
        Command::Measure(args) => run::step("measure", args, output),
        Command::Teach(args) => run::step("teach", args, output),
        Command::Distil(args) => run::step("distil", args, output),
        Command::Evolve(args) => run::step("evolve", args, output),
        Command::Train(args) => run::step("train", args, output),
        Command::Search(args) => run::step("search", args, output),
        Command::Export(args) => run::step("export", args, output),
        Command::Report(args) => run::step("report", args, output),
    }
}
