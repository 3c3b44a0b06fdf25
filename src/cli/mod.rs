//! What can be typed.

mod cluster;
mod compute;
mod data;
#[cfg(test)]
mod documented_tests;
mod model;
mod offered;
mod plugin;
#[cfg(feature = "serve")]
mod serve;
mod space;
mod steps;
mod study;
mod target;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use spacewright_core::quality::Composition;
use spacewright_engine::FieldOverride;

pub use cluster::{ClusterArgs, TaskArgs};
pub use compute::ComputeArgs;
pub use data::{DataCheckArgs, DataCommand};
pub use model::{
    ImportArgs, InspectArgs, ModelCommand, ModelFileArgs, ModelRunArgs, OpeningArgs, QuantizeArgs,
};
pub use plugin::{CarrierArg, LanguageArg, PluginCommand, PluginNewArgs};
#[cfg(feature = "serve")]
pub use serve::ServeArgs;
pub use space::{FrontArg, OtherDevice, SpaceExplainArgs};
pub use steps::{command, parse};
pub use study::{
    CompareArgs, HistoryArgs, NewArgs, ReportName, SeveralStudies, StudyCommand, TOP_SECTION,
    budget,
};
pub use target::{EvaluateArgs, FitArgs, PredictArgs, ProfileArgs, TargetCommand};

/// Folder of all runs where no other is named.
pub const DEFAULT_RUNS: &str = "runs";

/// Designs INT8 neural networks that are really fast on the hardware at hand.
#[derive(Debug, Parser)]
#[command(name = "spacewright", version)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What was typed: a command of the program, or one of a method's steps.
#[derive(Debug)]
pub enum Typed {
    /// A command of the program.
    Command(Cli),
    /// A step of a run; whether to open the page of the run then.
    Step { global: Global, name: String, args: StepArgs, fields: Vec<FieldOverride>, open: bool },
    /// A step that is no part of a run.
    Bench { global: Global, name: String, args: StudyArgs, fields: Vec<FieldOverride> },
}

impl Typed {
    /// Flags of every command.
    pub fn global(&self) -> &Global {
        match self {
            Self::Command(cli) => &cli.global,
            Self::Step { global, .. } | Self::Bench { global, .. } => global,
        }
    }
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Threads to use; all cores by default, but one where a model file is measured.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Seed of everything random; the study's own, or 0, where not given.
    #[arg(long, global = true, value_parser = seed)]
    pub seed: Option<u64>,
    /// Show no progress.
    #[arg(long, global = true)]
    pub quiet: bool,
    /// How a study tells its progress on standard error.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub progress: ProgressFormat,
    /// Show debug messages.
    #[arg(long, global = true)]
    pub verbose: bool,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressFormat {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Text,
    /// One event a line, as JSON.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole study; goes on where an earlier run stopped.
    Run(StudyArgs),
    /// What a study found, put to the test.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Study files and their runs.
    #[command(subcommand)]
    Study(StudyCommand),
    /// Pieces of hardware with their runtimes.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Show runs in a browser while they go on: progress, training curves, the front as it forms.
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Which operators and widths INT8 speeds up, and which it slows down.
    Profile(ProfileArgs),
    /// Extensions: new operators, scores, targets.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Candidate spaces: count, show, draw, score, search, explain.
    #[command(subcommand)]
    Space(SpaceCommand),
    /// Single networks.
    #[command(subcommand)]
    Subnet(SubnetCommand),
    /// Quality tables.
    #[command(subcommand)]
    Table(TableCommand),
    /// Sets of images.
    #[command(subcommand)]
    Data(DataCommand),
    /// Model files.
    #[command(subcommand)]
    Model(ModelCommand),
    /// What the program keeps on the disk.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Write what a shell completes to standard output: `source <(spacewright completions bash)`.
    Completions {
        /// Whose completions.
        shell: clap_complete::Shell,
    },
    /// Write the manual, a page for each command.
    Man {
        /// The folder, such as `~/.local/share/man/man1`.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Run one task of a study for the head that has submitted it (docs/clusters.md).
    #[command(hide = true)]
    Task(TaskArgs),
    /// Open a model file for the process that says on standard input which.
    #[command(hide = true)]
    ForeignFile,
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// What is kept in the home and in runs, and how much of it nothing needs.
    List(CacheArgs),
    /// Remove what nothing needs: compiled code, unpacked libraries and tables, which are made anew when
    /// asked for, objects of no task, damaged files that were set aside.
    Clear(CacheArgs),
}

#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Folder of all runs.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUNS)]
    pub runs: PathBuf,
    /// Count what runs have made under other settings than their present ones, too.
    #[arg(long)]
    pub superseded: bool,
}

#[derive(Debug, Subcommand)]
pub enum SpaceCommand {
    /// Count the candidate spaces of a hyperspace.
    Count {
        /// Built-in name, or path of a TOML file.
        hyperspace: String,
    },
    /// Show the stages of a space and count its subnets.
    Show {
        /// Encoding, such as `onnxw-151122-023231`.
        space: String,
        /// Hyperspace of the space, where its encoding does not name a built-in one.
        #[arg(long)]
        hyperspace: Option<String>,
    },
    /// Draw random spaces, and the smallest and largest subnet of each.
    Sample {
        /// Built-in name, or path of a TOML file.
        hyperspace: String,
        /// How many.
        #[arg(long, default_value_t = 10)]
        count: usize,
    },
    /// Score spaces against latency limits.
    Score(SpaceScoreArgs),
    /// Search a hyperspace for the space with the best score.
    Search(SpaceSearchArgs),
    /// Say what each choice of a space gains, what its score rests on, and how its subnets compare
    /// with those of other spaces.
    Explain(SpaceExplainArgs),
}

#[derive(Debug, Args)]
pub struct SpaceScoreArgs {
    /// Encodings of spaces.
    #[arg(required = true)]
    pub spaces: Vec<String>,
    /// Hyperspace of the spaces, where their encodings do not name a built-in one.
    #[arg(long)]
    pub hyperspace: Option<String>,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    /// Score every space this often, with the seeds that follow.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub repeats: u16,
}

#[derive(Debug, Args)]
pub struct SpaceSearchArgs {
    /// Built-in name, or path of a TOML file.
    #[arg(long)]
    pub hyperspace: String,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    /// How to walk through the spaces.
    #[arg(long, default_value = "aging-evolution")]
    pub strategy: String,
    /// The strategy's options as JSON, such as `{"population": 200}`.
    #[arg(long, value_parser = json_object)]
    pub strategy_options: Option<Value>,
    /// Spaces to score, the first ones included, before the descent or the proof that ends the
    /// search.
    #[arg(long, default_value_t = 5000)]
    pub evaluations: usize,
    /// How many of the best spaces to list.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// In how many stages listed spaces differ, at least.
    #[arg(long, default_value_t = 2)]
    pub apart: usize,
    /// Another device that the space is for: the folder of its tables, and its latency limits in
    /// milliseconds; may be given several times.
    #[arg(long = "and", value_name = "DIR=MS,MS", conflicts_with = "front")]
    pub devices: Vec<OtherDevice>,
    /// Also list the spaces that trade these against each other, and that no other beats.
    #[arg(long, value_enum)]
    pub front: Option<FrontArg>,
}

#[derive(Debug, Clone, Args)]
pub struct ScoringArgs {
    /// Folder of published tables, `<stage>_<block>_<window>.csv`, or a folder with one folder
    /// per hyperspace.
    #[arg(long)]
    pub tables: PathBuf,
    /// Latency limit in milliseconds; may be given several times.
    #[arg(long = "constraint", required = true, value_parser = positive)]
    pub constraints: Vec<f64>,
    /// How `q-t` finds the best subnets of a space; exactly where not given.
    #[arg(long, value_enum, conflicts_with = "options")]
    pub score: Option<ScoreMode>,
    /// How rows of neighbouring stages are combined.
    #[arg(long, value_enum, default_value_t = CompositionArg::Consistent)]
    pub composition: CompositionArg,
    /// Subnets that are drawn per space and limit, or as if they were; 100,000 where not given.
    #[arg(long, conflicts_with = "options")]
    pub draws: Option<usize>,
    /// What scores spaces.
    #[arg(long, default_value = "q-t")]
    pub scorer: String,
    /// The scorer's options as JSON, such as `{"draws": 20000}`.
    #[arg(long, value_parser = json_object)]
    pub options: Option<Value>,
}

/// Options by name.
fn json_object(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).map(Value::Object)
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScoreMode {
    /// What drawing gives on average, computed.
    Exact,
    /// By drawing subnets at random, as published.
    MonteCarlo,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompositionArg {
    /// A row's input width is the width that the stage before it reached.
    Consistent,
    /// Every stage's row is drawn on its own, as published.
    Independent,
}

impl From<CompositionArg> for Composition {
    fn from(typed: CompositionArg) -> Self {
        match typed {
            CompositionArg::Consistent => Self::Consistent,
            CompositionArg::Independent => Self::Independent,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum SubnetCommand {
    /// Show the shapes, multiply-adds and parameters of a network.
    Show {
        /// Encoding, such as `d1#…_k3#…_w16#…_e0#…_r160`.
        subnet: String,
        /// Space of the network: says the block type of each stage.
        #[arg(long)]
        space: Option<String>,
        /// Built-in name, or path of a TOML file. Without `--space`, block types are concluded
        /// from the network's kernels, widths and expand ratios, where only one type allows them.
        #[arg(long, required_unless_present = "space")]
        hyperspace: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum TableCommand {
    /// Compare the multiply-adds and parameters of published tables with the blocks' graphs.
    Check {
        /// Folder of the tables, or a folder with one folder per hyperspace.
        folder: PathBuf,
        /// Built-in name, or path of a TOML file.
        #[arg(long)]
        hyperspace: String,
    },
    /// Whether the losses of a study's rows rank as those that were published for them. First runs its steps up to
    /// `distil`, where they are not current. The study should take its rows out of the same tables (`published` below
    /// `[tables]`).
    Compare {
        #[command(flatten)]
        study: StudyArgs,
        /// Folder of the published tables.
        #[arg(long, value_name = "DIR")]
        tables: PathBuf,
    },
}

/// A study and where it runs.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// The study file (TOML).
    pub study: PathBuf,
    /// Folder of all runs.
    #[arg(long, default_value = DEFAULT_RUNS, value_name = "DIR")]
    pub runs: PathBuf,
    /// Another target than the study's.
    #[arg(long)]
    pub target: Option<String>,
    #[command(flatten)]
    pub compute: ComputeArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// One step of a study.
#[derive(Debug, Args)]
pub struct StepArgs {
    #[command(flatten)]
    pub study: StudyArgs,
    /// First run the steps that this one reads, where they are not current.
    #[arg(long)]
    pub with_inputs: bool,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How many spaces are scored per second, in a search and from scratch, on one thread.
    Score(BenchScoreArgs),
    /// How many images of a study one thread reads, judges and augments per second.
    Data(StudyArgs),
    /// How many images per second a space's supernet is trained on, without and with quantizers.
    Train(BenchTrainArgs),
}

#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// The space, as studies and `space show` write it.
    pub space: String,
    /// Built-in name of its hyperspace, or path of a TOML file; by default the one that its name begins with.
    #[arg(long)]
    pub hyperspace: Option<String>,
    /// Whose quantization scheme.
    #[arg(long, default_value = "host-ort")]
    pub target: String,
    /// Images of each of the four subnets of a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..))]
    pub batch: u16,
    /// Images that are computed together; by default all of a subnet's.
    #[arg(long, default_value_t = 0)]
    pub micro_batch: u16,
    /// Steps that are measured.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Writes the subnets of all steps as JSON, so that another program can train the same.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BenchScoreArgs {
    /// Built-in name, or path of a TOML file.
    #[arg(long)]
    pub hyperspace: String,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    /// Spaces that the search scores before the descent that ends it.
    #[arg(long, default_value_t = 5000)]
    pub evaluations: usize,
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a whole number from 0 to {}", u64::MAX))
}

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| "not a positive number".into())
}
