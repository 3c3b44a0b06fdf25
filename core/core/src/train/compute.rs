//! What trainings are computed with.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a trainer computes with. All of it changes results in their last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    /// Threads of the processor that each process may use.
    pub threads: usize,
    /// Processes that train a teacher or a supernet together.
    pub processes: usize,
    /// Where networks are computed.
    pub device: Device,
    /// How exactly convolutions and linear layers multiply.
    pub precision: Precision,
}

impl Compute {
    /// So many threads of the processor, in single precision, in one process.
    pub fn on_processor(threads: usize) -> Self {
        Self { threads, processes: 1, device: Device::Cpu, precision: Precision::Fp32 }
    }

    /// What of it results depend on, as it stands in keys behind a trainer's name: threads of the processor,
    /// or the card, whose number does not matter; a precision other than single; processes, if there are several.
    pub fn in_keys(&self, card: Option<&str>) -> String {
        let mut text = match self.device {
            Device::Cpu => format!("{} threads", self.threads),
            Device::Cuda(_) => format!("cuda, {}", card.unwrap_or_default()),
        };
        if self.precision != Precision::Fp32 {
            text = format!("{text}, {}", self.precision.name());
        }
        if self.processes > 1 {
            text = format!("{text}, {} processes", self.processes);
        }
        text
    }
}

/// Where networks are computed; written as `cpu` or `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
}

impl Device {
    /// `cpu` or `cuda`: which kind it is of.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no device; devices are `cpu`, `cuda`, and `cuda:1` for the second GPU")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(text.to_owned());
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = UnknownDevice;

    fn try_from(text: String) -> Result<Self, UnknownDevice> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// How exactly convolutions and linear layers multiply; everything else is in single precision, where no more is
/// said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Fp32,
    /// NVIDIA's TensorFloat-32: factors keep 10 bits of their fraction, sums are in single precision.
    /// GPUs only.
    Tf32,
    /// Factors and results keep 7 bits of their fraction, sums are in single precision; what follows a convolution is
    /// kept as short up to the next one. Fast on GPUs and on processors that multiply such numbers (AVX-512 BF16, AMX).
    Bf16,
}

impl Precision {
    /// All of them, the most exact one first.
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Tf32, Self::Bf16];

    /// Its name in studies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

/// A text that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no precision; allowed are {names}", names = Precision::ALL.map(Precision::name).join(", "))]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        let named = Self::ALL.into_iter().find(|precision| precision.name() == text);
        named.ok_or_else(|| UnknownPrecision(text.to_owned()))
    }
}

/// Who trains, and with what: for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrainedWith {
    /// Name and version of the trainer.
    pub trainer: String,
    /// Where it computes: `cpu`, or `cuda:0` and so on.
    #[schemars(with = "String")]
    pub device: Device,
    /// How exactly it multiplies.
    pub precision: Precision,
}

impl fmt::Display for TrainedWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} ({})", self.device, self.precision.name(), self.trainer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_what_results_depend_on() {
        let compute = Compute::on_processor(2);
        assert_eq!(compute.in_keys(None), "2 threads");
        let precise = Compute { precision: Precision::Bf16, ..compute };
        assert_eq!(precise.in_keys(None), "2 threads, bf16");
        let card = Compute { device: Device::Cuda(1), precision: Precision::Tf32, ..compute };
        assert_eq!(card.in_keys(Some("NVIDIA A100")), "cuda, NVIDIA A100, tf32");
        let together = Compute { processes: 4, ..precise };
        assert_eq!(together.in_keys(None), "2 threads, bf16, 4 processes");
    }

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CUDA"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&Device::Cuda(1)).unwrap(), "\"cuda:1\"");
    }

    #[test]
    fn precisions_have_one_name_each() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse(), Ok(precision));
            let written = format!("\"{}\"", precision.name());
            assert_eq!(serde_json::to_string(&precision).unwrap(), written);
        }
        let error = "fp16".parse::<Precision>().unwrap_err();
        assert_eq!(error.to_string(), "`fp16` is no precision; allowed are fp32, tf32, bf16");
    }
}
