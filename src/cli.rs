//! What can be typed.

use clap::{Parser, Subcommand};

use crate::{
    commands::run::{StepArgs, StudyArgs},
    output::Output,
};

/// Designs INT8 neural networks that are really fast on the hardware at hand.
#[derive(Debug, Parser)]
#[command(name = "spacewright", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Show debug messages.
    #[arg(long, global = true)]
    pub verbose: bool,
    /// Seed of everything random.
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads to use; one per core where not given.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl Cli {
    /// The global options.
    pub fn output(&self) -> Output {
        let threads = self.threads.map(usize::from);
        Output { json: self.json, quiet: self.quiet, seed: self.seed, threads }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole study; goes on where an earlier run stopped.
    Run(StudyArgs),
    /// Measure the blocks of the quality tables.
    Measure(StepArgs),
    /// Train the teacher and keep its features.
    Teach(StepArgs),
    /// Distil every stage with every block type.
    Distil(StepArgs),
    /// Search for the best space.
    Evolve(StepArgs),
    /// Train the supernet of the space.
    Train(StepArgs),
    /// Search for the best subnet within each budget.
    Search(StepArgs),
    /// Write and verify model files.
    Export(StepArgs),
    /// Say what was found.
    Report(StepArgs),
}
