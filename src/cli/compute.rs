//! Where to compute, on the command line.

use std::str::FromStr as _;

use clap::Args;
use serde_json::json;
use spacewright_core::{study::Section as _, train::Precision};
use spacewright_engine::{ComputeSettings, DeviceChoice, FieldOverride};

use super::offered::offered;

/// Devices that any machine may have; others have a number.
const DEVICES: [&str; 3] = ["auto", "cpu", "cuda"];

/// What trainings are computed with, instead of what a study says.
#[derive(Debug, Clone, Copy, Args)]
pub struct ComputeArgs {
    /// Where to train: `cpu`, `cuda`, `cuda:1`, or `auto`; the study's own, or `auto`, where not given.
    #[arg(
        long,
        value_parser = offered(DeviceChoice::from_str, DEVICES),
        hide_possible_values = true
    )]
    pub device: Option<DeviceChoice>,
    /// How exactly to train: `fp32`, `tf32` or `bf16`; the study's own, or `fp32`, where not given.
    #[arg(
        long,
        value_parser = offered(Precision::from_str, Precision::ALL.map(Precision::name)),
        hide_possible_values = true
    )]
    pub precision: Option<Precision>,
    /// Processes that train a teacher or a supernet together; the study's own number, or 1, where not given.
    #[arg(long, value_name = "N")]
    pub processes: Option<usize>,
}

impl ComputeArgs {
    /// What it sets of a study.
    pub fn fields(&self) -> impl Iterator<Item = FieldOverride> {
        let given = [
            ("device", self.device.map(|device| json!(device))),
            ("precision", self.precision.map(|precision| json!(precision))),
            ("processes", self.processes.map(|processes| json!(processes))),
        ];
        given.into_iter().filter_map(|(field, value)| {
            let (section, field) = (ComputeSettings::NAME.to_owned(), field.to_owned());
            Some(FieldOverride { section, field, value: value? })
        })
    }

    /// The settings where there is no study.
    pub fn settings(&self) -> ComputeSettings {
        ComputeSettings {
            device: self.device.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            processes: self.processes.unwrap_or(ComputeSettings::default().processes),
        }
    }
}
