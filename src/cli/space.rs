//! What can be typed after `space search` and `space explain`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use thiserror::Error;

use super::ScoringArgs;

#[derive(Debug, Args)]
pub struct SpaceExplainArgs {
    /// Encoding of the space.
    pub space: String,
    /// Hyperspace of the space, where its encoding does not name a built-in one.
    #[arg(long)]
    pub hyperspace: Option<String>,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    /// Encodings of other spaces to compare with, beside those with one block type everywhere.
    #[arg(long, value_name = "SPACE", num_args = 1..)]
    pub against: Vec<String>,
    /// Folder for the error-distribution functions, as `edf.csv` and one plot per latency limit.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FrontArg {
    /// What each latency limit contributes to the score.
    Constraints,
    /// The score, and the number of subnets: fewer are easier to train.
    Size,
}

/// A device beside the first one.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherDevice {
    pub tables: PathBuf,
    /// Latency limits in milliseconds.
    pub constraints: Vec<f64>,
}

/// A text that is no [`OtherDevice`].
#[derive(Debug, PartialEq, Eq, Error)]
pub enum OtherDeviceError {
    #[error("needed is a folder of tables, `=`, and latency limits in milliseconds: `DIR=15,20`")]
    NoLimits,
    #[error("`{0}` is no number of milliseconds")]
    Limit(String),
}

impl FromStr for OtherDevice {
    type Err = OtherDeviceError;

    fn from_str(text: &str) -> Result<Self, OtherDeviceError> {
        let (tables, limits) = text.rsplit_once('=').ok_or(OtherDeviceError::NoLimits)?;
        let limit = |text: &str| {
            text.trim().parse::<f64>().map_err(|_| OtherDeviceError::Limit(text.to_owned()))
        };
        let constraints = limits.split(',').map(limit).collect::<Result<_, _>>()?;
        Ok(Self { tables: tables.into(), constraints })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_folder_with_limits() {
        let device: OtherDevice = "a=b/tables=15,20.5".parse().unwrap();
        let wanted = OtherDevice { tables: "a=b/tables".into(), constraints: vec![15.0, 20.5] };
        assert_eq!(device, wanted);
        assert_eq!("tables".parse::<OtherDevice>(), Err(OtherDeviceError::NoLimits));
        assert_eq!("tables=15,x".parse::<OtherDevice>(), Err(OtherDeviceError::Limit("x".into())));
    }
}
