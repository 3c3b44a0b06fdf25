//! Other machines, on the command line.

use std::{path::PathBuf, str::FromStr as _};

use clap::Args;
use serde_json::json;
use spacewright_core::study::Section as _;
use spacewright_engine::{ClusterKind, ClusterSettings, FieldOverride};

use super::offered::offered;

/// Everybody who can hand tasks to other machines, and nobody.
const CLUSTERS: [ClusterKind; 3] = [ClusterKind::None, ClusterKind::Slurm, ClusterKind::Ray];

/// Which other machines run tasks, instead of what a study says.
#[derive(Debug, Clone, Copy, Args)]
pub struct ClusterArgs {
    /// Who hands tasks to other machines: `slurm`, `ray`, or `none`; the study's own, or `none`, where not
    /// given.
    #[arg(
        long,
        value_name = "ENGINE",
        value_parser = offered(ClusterKind::from_str, CLUSTERS.map(ClusterKind::name)),
        hide_possible_values = true
    )]
    pub cluster: Option<ClusterKind>,
}

impl ClusterArgs {
    /// What it sets of a study.
    pub fn fields(&self) -> impl Iterator<Item = FieldOverride> {
        self.cluster.into_iter().map(|cluster| FieldOverride {
            section: ClusterSettings::NAME.to_owned(),
            field: "engine".to_owned(),
            value: json!(cluster),
        })
    }
}

/// A task that a head has handed to this machine.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// Where the head has described the step: a folder below `cluster` of the run.
    pub folder: PathBuf,
    /// The task.
    pub task: String,
}
