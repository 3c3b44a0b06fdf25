//! What is meant: one function per command, from arguments to [`Output`].

mod bench;
mod cache;
mod data;
mod model;
mod page;
mod plugin;
mod profile;
mod run;
mod scoring;
#[cfg(feature = "serve")]
mod serve;
mod shell;
mod space;
mod study;
mod subnet;
mod table;
mod target;
mod task;

pub use model::predict;

use crate::{
    cli::{Command, Typed},
    foreign,
    render::{Failure, Output},
};

/// Runs what was typed.
pub fn run(typed: &Typed) -> Result<Output, Failure> {
    if let Some(threads) = typed.global().threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .map_err(Failure::failed)?;
    }
    let cli = match typed {
        Typed::Step { global, name, args, fields, open } => {
            return run::step(name, args, fields.clone(), *open, global);
        }
        Typed::Bench { global, name, args, fields } => {
            return bench::step(name, args, fields.clone(), global);
        }
        Typed::Command(cli) => cli,
    };
    match &cli.command {
        Command::Run(args) => run::run(args, &cli.global),
        Command::Bench(command) => bench::run(command, &cli.global),
        Command::Study(command) => study::run(command, &cli.global),
        Command::Target(command) => target::run(command, &cli.global),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args, &cli.global),
        Command::Profile(args) => profile::run(args, &cli.global),
        Command::Plugin(command) => plugin::run(command),
        Command::Space(command) => {
            space::run(command, cli.global.seed.unwrap_or(0), cli.global.quiet)
        }
        Command::Subnet(command) => subnet::run(command),
        Command::Table(command) => table::run(command, &cli.global),
        Command::Data(command) => data::run(command, &cli.global),
        Command::Model(command) => model::run(command, &cli.global),
        Command::Cache(command) => cache::run(command),
        Command::Completions { shell } => shell::completions(*shell),
        Command::Man { folder } => shell::manual(folder),
        Command::Task(args) => task::run(args, &cli.global),
        Command::ForeignFile => foreign::serve(),
    }
}
