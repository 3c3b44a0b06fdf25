//! `[compute]`: where trainings are computed, and what that comes to on this machine.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    study::{FieldError, Section},
    train::{Compute, Device, Precision, Trainer},
};
use thiserror::Error;

use crate::registry::Registry;

/// A device, or the best one that there is; written as `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first GPU, where it can be used, else the processor.
    #[default]
    Auto,
    /// This one.
    On(Device),
}

/// A text that chooses no device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no device; allowed are `auto`, `cpu`, `cuda`, and `cuda:1` for the second NVIDIA GPU"
)]
pub struct UnknownChoice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            other => other.parse().map(Self::On).map_err(|_| UnknownChoice(other.to_owned())),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownChoice;

    fn try_from(text: String) -> Result<Self, UnknownChoice> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::On(device) => device.fmt(f),
        }
    }
}

/// Where networks are trained and judged, and how exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct ComputeSettings {
    /// `cpu`; `cuda`, an NVIDIA GPU, `cuda:1` the second one; `auto`: the first GPU where one can be used,
    /// else the CPU.
    #[schemars(schema_with = "device")]
    pub device: DeviceChoice,
    /// Of convolutions and linear layers: `fp32`; `tf32`, on GPUs, and `bf16` multiply fewer digits, and are
    /// faster where the hardware is made for them.
    #[schemars(schema_with = "precision")]
    pub precision: Precision,
    /// Processes that train a teacher or a supernet together, each with a share of the images of a step, of the
    /// threads, and a GPU of its own where there are several.
    #[default = 1]
    #[schemars(range(min = 1, max = MOST_PROCESSES))]
    pub processes: usize,
}

/// More than anybody has.
const MOST_PROCESSES: usize = 4096;

fn device(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^(auto|cpu|cuda(:[0-9]+)?)$" })
}

fn precision(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": Precision::ALL.map(Precision::name) })
}

impl Section for ComputeSettings {
    const NAME: &'static str = "compute";

    fn check(&self) -> Result<(), FieldError> {
        // Settings from flags have not been compared with the schema.
        let processes = self.processes;
        if !(1..=MOST_PROCESSES).contains(&processes) {
            let reason = format!("{processes} is not between 1 and {MOST_PROCESSES}");
            let hint = "1 trains in one process";
            return Err(FieldError::refused(Self::NAME, "processes", reason, hint));
        }
        match (self.device, self.precision) {
            (DeviceChoice::On(Device::Cpu), Precision::Tf32) => Err(only_on_gpus("")),
            _ => Ok(()),
        }
    }
}

fn only_on_gpus(why: &str) -> FieldError {
    let reason = format!("`tf32` is a format of GPUs, and the CPU computes{why}");
    let hint = "take `fp32` or `bf16`, or a GPU: `device = \"cuda\"`";
    FieldError::refused(ComputeSettings::NAME, "precision", reason, hint)
}

/// Threads of the processes that train together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threads {
    /// Of all of them, which share them.
    InAll(usize),
    /// Of each, as they were started by somebody else, perhaps on several machines.
    OfEach(usize),
}

impl Threads {
    /// Those that this process may use.
    pub fn here(self) -> usize {
        match self {
            Self::InAll(threads) | Self::OfEach(threads) => threads,
        }
    }
}

/// What settings come to on a machine.
#[derive(Clone)]
pub struct Chosen {
    /// What is computed with.
    pub compute: Compute,
    /// Who computes so, where the program has a trainer.
    pub trainer: Option<Arc<dyn Trainer>>,
}

impl ComputeSettings {
    /// What is computed with on this machine by processes with so many `threads` in all. A GPU that was chosen by
    /// name is not tried before it is needed.
    pub fn choose(&self, registry: &Registry, threads: Threads) -> Result<Chosen, FieldError> {
        self.choose_with(registry, threads, has_nvidia_driver)
    }

    /// The device to look for first.
    pub fn first_device(&self) -> Device {
        match self.device {
            DeviceChoice::On(device) => device,
            DeviceChoice::Auto if has_nvidia_driver() => Device::Cuda(0),
            DeviceChoice::Auto => Device::Cpu,
        }
    }

    fn choose_with(
        &self,
        registry: &Registry,
        threads: Threads,
        has_driver: impl FnOnce() -> bool,
    ) -> Result<Chosen, FieldError> {
        self.check()?;
        let Self { precision, processes, .. } = *self;
        let threads = match threads {
            Threads::InAll(threads) => (threads / processes).max(1),
            Threads::OfEach(threads) => threads,
        };
        let on = |device| {
            let compute = Compute { threads, processes, device, precision };
            Chosen { trainer: registry.trainer(&compute), compute }
        };
        let device = match self.device {
            DeviceChoice::On(device) => device,
            DeviceChoice::Auto => {
                if has_driver() {
                    let chosen = on(Device::Cuda(0));
                    match chosen.trainer.as_ref().map(|trainer| trainer.prepare()) {
                        Some(Ok(())) => return Ok(chosen),
                        Some(Err(error)) => tracing::warn!(
                            "the CPU computes: {error}; `device = \"cpu\"` below [compute] asks for that"
                        ),
                        None => {}
                    }
                }
                if self.precision == Precision::Tf32 {
                    return Err(only_on_gpus(", as no GPU can be used here"));
                }
                Device::Cpu
            }
        };
        Ok(on(device))
    }
}

/// Whether this machine has a driver of NVIDIA's: on Linux, or on Windows below Linux.
fn has_nvidia_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"]
        .iter()
        .any(|file| Path::new(file).exists())
}

#[cfg(test)]
mod tests;
