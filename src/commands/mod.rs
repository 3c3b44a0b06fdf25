//! What is meant: one function per command, from arguments to [`Output`].

mod bench;
mod model;
mod plugin;
mod profile;
mod run;
mod scoring;
mod space;
mod study;
mod subnet;
mod table;
mod target;

use crate::{
    cli::{Cli, Command},
    render::{Failure, Output},
};

/// Runs the command.
pub fn run(cli: &Cli) -> Result<Output, Failure> {
    if let Some(threads) = cli.global.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .map_err(Failure::failed)?;
    }
    match &cli.command {
        Command::Run(args) => run::run(args, &cli.global),
        Command::Measure(args) => run::step("measure", args, &cli.global),
        Command::Teach(args) => run::step("teach", args, &cli.global),
        Command::Distil(args) => run::step("distil", args, &cli.global),
        Command::Evolve(args) => run::step("evolve", args, &cli.global),
        Command::Train(args) => run::step("train", args, &cli.global),
        Command::Search(args) => run::step("search", args, &cli.global),
        Command::Export(args) => run::export(args, &cli.global),
        Command::Report(args) => run::step("report", args, &cli.global),
        Command::Bench(command) => bench::run(command, &cli.global),
        Command::Study(command) => study::run(command, &cli.global),
        Command::Target(command) => target::run(command, &cli.global),
        Command::Profile(args) => profile::run(args, &cli.global),
        Command::Plugin(command) => plugin::run(command),
        Command::Space(command) => {
            space::run(command, cli.global.seed.unwrap_or(0), cli.global.quiet)
        }
        Command::Subnet(command) => subnet::run(command),
        Command::Table(command) => table::run(command),
        Command::Model(command) => model::run(command),
    }
}
