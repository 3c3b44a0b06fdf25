//! Which phone, and how it is measured.

use std::{env, ffi::OsString, path::PathBuf, time::Duration};

/// Names the `adb` program.
pub(crate) const ADB: &str = "SPACEWRIGHT_ADB";
/// adb's own variable: the serial number of the device.
pub(crate) const SERIAL: &str = "ANDROID_SERIAL";
/// Names `benchmark_model`: a file of this machine, or a path on the phone.
pub(crate) const BENCHMARK: &str = "SPACEWRIGHT_BENCHMARK_MODEL";
/// Names the cores to run on.
pub(crate) const CORES: &str = "SPACEWRIGHT_CPU_MASK";

/// Folder of the phone in which the shell's user may write and run files.
pub(crate) const FOLDER: &str = "/data/local/tmp";

/// Which phone, and how it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The `adb` program.
    pub adb: PathBuf,
    /// Serial number of the phone; the only one that is attached if there is none.
    pub serial: Option<String>,
    /// `benchmark_model`: a file of this machine, which is copied to the phone for the time of the
    /// measurement, or else a path on the phone.
    pub benchmark_model: PathBuf,
    /// Cores to run on, as the hexadecimal mask that `taskset` takes; the fastest core if there
    /// is none.
    pub cores: Option<String>,
    /// How often `benchmark_model` is run; at least once.
    pub rounds: u32,
    /// Pause between two rounds, in which the phone cools down.
    pub pause: Duration,
    /// How long one `adb` command may take.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            adb: "adb".into(),
            serial: None,
            benchmark_model: format!("{FOLDER}/benchmark_model").into(),
            cores: None,
            rounds: 5,
            pause: Duration::from_secs(2),
            timeout: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// What the environment says, else the defaults: `SPACEWRIGHT_ADB`, `ANDROID_SERIAL`,
    /// `SPACEWRIGHT_BENCHMARK_MODEL` and `SPACEWRIGHT_CPU_MASK`.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// An empty variable counts as none.
    fn from_variables(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name| path(name).map(|value| value.to_string_lossy().into_owned());
        let default = Self::default();
        Self {
            adb: path(ADB).unwrap_or(default.adb),
            serial: text(SERIAL),
            benchmark_model: path(BENCHMARK).unwrap_or(default.benchmark_model),
            cores: text(CORES),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_replace_defaults_unless_they_are_empty() {
        let settings = Settings::from_variables(|name| match name {
            ADB => Some("/opt/adb".into()),
            SERIAL => Some("".into()),
            CORES => Some("f0".into()),
            _ => None,
        });
        let expected =
            Settings { adb: "/opt/adb".into(), cores: Some("f0".into()), ..Settings::default() };
        assert_eq!(settings, expected);
    }
}
