//! Studies, on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spacewright_spaceevo::settings::Budget;

use super::{ClusterArgs, ComputeArgs, DEFAULT_RUNS, StudyArgs};

/// The name under which `explain` shows the fields outside of sections.
pub const TOP_SECTION: &str = "study";

#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// Write a study for one's own images and hardware: a short file with comments.
    New(NewArgs),
    /// The fields of study files with their defaults, as a study file.
    Schema {
        /// As JSON Schema, which editors read.
        #[arg(long)]
        json_schema: bool,
        /// JSON Schema of a report instead, for programs that read it.
        #[arg(long, value_enum, conflicts_with = "json_schema")]
        report: Option<ReportName>,
    },
    /// What the fields of a section mean; of all sections where none is named.
    Explain {
        /// Name of a section; `study` for the fields outside of sections.
        section: Option<String>,
    },
    /// The runs of a folder.
    List {
        /// Folder of all runs.
        #[arg(long, default_value = DEFAULT_RUNS, value_name = "DIR")]
        runs: PathBuf,
    },
    /// How the steps of a study stand, and why those run again that have run before.
    Show(StudyArgs),
    /// How a step went: attempts, and where each training ended; with `--json` also whole training
    /// curves and events.
    History(HistoryArgs),
    /// The spaces and networks of several studies side by side, all measured on the targets of
    /// all. First runs their steps up to `export`, where they are not current.
    Compare(CompareArgs),
    /// How several studies of one hyperspace rank block types, and whether they agree: with other teachers, say. First
    /// runs their steps up to `evolve`, where they are not current.
    Blocks(SeveralStudies),
}

/// What programs read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportName {
    /// What a study found.
    #[value(name = "report.json")]
    Study,
    /// Its networks against networks trained alone.
    #[value(name = "plain.json")]
    Plain,
    /// Losses of blocks against accuracies.
    #[value(name = "proxy.json")]
    Proxy,
    /// Its space against others.
    #[value(name = "spaces.json")]
    Spaces,
    /// What `--json study compare` prints.
    Compare,
    /// What `--json study blocks` prints.
    Blocks,
    /// What `--json table compare` prints.
    Published,
    /// A line of what `--progress json` tells.
    Progress,
}

#[derive(Debug, Args)]
pub struct SeveralStudies {
    /// Study files (TOML), two or more.
    #[arg(required = true, value_name = "STUDY")]
    pub studies: Vec<PathBuf>,
    /// Folder of all runs.
    #[arg(long, default_value = DEFAULT_RUNS, value_name = "DIR")]
    pub runs: PathBuf,
    #[command(flatten)]
    pub compute: ComputeArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub several: SeveralStudies,
    /// Also write a page that shows them side by side: one file, which opens in a browser without a network.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Open the page in the browser.
    #[arg(long, requires = "html")]
    pub open: bool,
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The study file to write (TOML); its name without the extension is that of the run.
    pub file: PathBuf,
    /// The images: `fashion-mnist`, `synthetic`, or a folder (or shards: `train-{000..146}.tar`) in any
    /// layout that `data check` knows, of which each is looked at. Asked for on a
    /// terminal, else `fashion-mnist`.
    #[arg(long, value_name = "SET|DIR")]
    pub data: Option<String>,
    /// What the folder is, where it looks like several: cifar, idx, image-folder or webdataset.
    #[arg(long)]
    pub layout: Option<String>,
    /// The hardware and its runtime. Asked for on a terminal, else `host-ort`.
    #[arg(long)]
    pub target: Option<String>,
    /// With a twentieth of the training steps: to see that everything runs, before hours are spent. What such a
    /// study finds means nothing.
    #[arg(long)]
    pub short: bool,
    /// A latency budget: milliseconds, such as `1.5`, or a share of all subnets, such as `20%`; may
    /// be given several times. Asked for on a terminal, else `10%`, `30%` and `60%`.
    #[arg(long = "budget", value_parser = budget)]
    pub budgets: Vec<Budget>,
}

/// Milliseconds, or a share of all subnets in percent.
pub fn budget(text: &str) -> Result<Budget, BudgetError> {
    let error = || BudgetError { text: text.to_owned() };
    let number = |digits: &str| digits.trim().parse::<f64>().map_err(|_| error());
    match text.trim().strip_suffix('%') {
        Some(percent) => match number(percent)? {
            percent if (0.0..=100.0).contains(&percent) => Ok(Budget::Quantile(percent / 100.0)),
            _ => Err(error()),
        },
        None => match number(text.trim().trim_end_matches("ms"))? {
            ms if ms > 0.0 && ms.is_finite() => Ok(Budget::Ms(ms)),
            _ => Err(error()),
        },
    }
}

/// A budget that cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{text}` is no latency budget: give milliseconds, such as 1.5, or a share, such as 20%")]
pub struct BudgetError {
    text: String,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub study: StudyArgs,
    /// The step; all that have run where not given.
    #[arg(long)]
    pub step: Option<String>,
}
