//! `target` and `profile`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use spacewright_core::latency::Precision;

use super::{ModelFileArgs, OpeningArgs};

#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// All targets, how their latencies are known and how good predictions are.
    List,
    /// What a target allows, how its latencies are known and with which errors.
    Inspect {
        /// Its name.
        target: String,
    },
    /// Measure how long a model file takes.
    Measure(ModelFileArgs),
    /// Predict how long a network takes, kernel by kernel.
    Predict(PredictArgs),
    /// Compare predicted latencies with measured ones.
    Evaluate(EvaluateArgs),
    /// Fit a predictor to measurements: of files, or made now.
    Fit(FitArgs),
}

/// What predicts, and what for.
#[derive(Debug, Args)]
pub struct PredictorArgs {
    /// Arithmetic of the network, or of measured blocks.
    #[arg(long, value_enum, default_value_t = PrecisionArg::Int8)]
    pub precision: PrecisionArg,
    /// A fitted model instead of the target's own predictions; one for each precision.
    #[arg(long = "model", value_name = "FILE")]
    pub models: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Name of a target.
    pub target: String,
    /// The network: a file of a trained network, a folder that `model import` made, or the encoding of a
    /// subnet, such as `d1#…_k3#…_w16#…_e0#…_r160`.
    pub network: String,
    /// Where it is a subnet: built-in name, or path of a TOML file.
    #[arg(long)]
    pub hyperspace: Option<String>,
    /// Space of the network: says the block type of each stage, where the encoding does not.
    #[arg(long)]
    pub space: Option<String>,
    #[command(flatten)]
    pub predictor: PredictorArgs,
    #[command(flatten)]
    pub opening: OpeningArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rows").required(true).args(["blocks", "tables", "networks"])))]
pub struct EvaluateArgs {
    /// Name of a target.
    pub target: String,
    /// Measured blocks: CSV with the columns block, input_hw, cin, cout, kernel, expand, stride,
    /// activation, latency_ms.
    #[arg(long, value_name = "FILE")]
    pub blocks: Option<PathBuf>,
    /// Folder of published tables, `<stage>_<block>_<window>.csv`, or the folder above.
    #[arg(long, value_name = "DIR", requires = "hyperspace")]
    pub tables: Option<PathBuf>,
    /// Whole networks, drawn at random and measured now.
    #[arg(long, value_name = "COUNT", requires = "hyperspace", value_parser = clap::value_parser!(u16).range(1..))]
    pub networks: Option<u16>,
    /// Built-in name, or path of a TOML file.
    #[arg(long)]
    pub hyperspace: Option<String>,
    #[command(flatten)]
    pub predictor: PredictorArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("measurements").args(["blocks", "tables"])))]
pub struct FitArgs {
    /// Name of the target that is measured, or of the new predictor where files are fitted.
    pub target: String,
    /// Measured blocks: CSV with the columns block, input_hw, cin, cout, kernel, expand, stride,
    /// activation, latency_ms.
    #[arg(long, value_name = "FILE", conflicts_with = "hyperspace", requires = "output")]
    pub blocks: Option<PathBuf>,
    /// Folder of tables, `<stage>_<block>_<window>.csv`, or the folder above.
    #[arg(long, value_name = "DIR", requires = "hyperspace", requires = "output")]
    pub tables: Option<PathBuf>,
    /// Whose networks and stages are measured. Built-in name, or path of a TOML file.
    #[arg(long, required_unless_present = "blocks")]
    pub hyperspace: Option<String>,
    /// Minutes of measuring; what is known from an earlier fit costs none.
    #[arg(long, default_value_t = 20.0, value_name = "MINUTES", value_parser = super::positive)]
    pub budget: f64,
    /// Stop when this share of validation networks is predicted within 10 %, twice in a row.
    #[arg(long, default_value_t = 0.98, value_name = "SHARE", value_parser = super::positive)]
    pub goal: f64,
    /// Stop after this many graphs.
    #[arg(long, default_value_t = 2000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub most: u32,
    /// Networks for validation, which no fit sees before the last.
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub validation: u32,
    /// Arithmetic of measurements in files.
    #[arg(long, value_enum, default_value_t = PrecisionArg::Int8)]
    pub precision: PrecisionArg,
    /// What the latencies of files hold for: hardware, runtime, threads.
    #[arg(long, value_name = "TEXT")]
    pub hardware: Option<String>,
    /// Folder for the fitted models; for what is measured now by default where predictions for
    /// the target look for them.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    Fp32,
    Int8,
}

impl From<PrecisionArg> for Precision {
    fn from(typed: PrecisionArg) -> Self {
        match typed {
            PrecisionArg::Fp32 => Self::Fp32,
            PrecisionArg::Int8 => Self::Int8,
        }
    }
}

#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Whose latencies.
    #[arg(long, default_value = "host-ort")]
    pub target: String,
    /// Fewer sizes and widths: a minute instead of several.
    #[arg(long)]
    pub quick: bool,
    /// Say first what INT8 does to the operators of this hyperspace. Built-in name, or path of a
    /// TOML file.
    #[arg(long)]
    pub hyperspace: Option<String>,
    /// Folder for `profile.csv`, `profile.json`, `operators.svg` and `widths.svg`.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}
