//! `[cluster]`

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::study::{FieldError, Section};
use thiserror::Error;

use super::{ClusterEngine, ray::Ray, slurm::Slurm};

/// Who hands tasks to other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterKind {
    /// Nobody: this machine runs them.
    #[default]
    None,
    /// Slurm, through its commands.
    Slurm,
    /// Ray, through the address of its dashboard.
    Ray,
}

impl ClusterKind {
    const ALL: [Self; 3] = [Self::None, Self::Slurm, Self::Ray];

    /// As study files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slurm => "slurm",
            Self::Ray => "ray",
        }
    }
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no engine of clusters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no engine of clusters; allowed are `none`, `slurm` and `ray`")]
pub struct UnknownKind(String);

impl FromStr for ClusterKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// Other machines, to which the site's own engine takes tasks that know nothing of each other. Where they
/// run does not change what they find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// The engine: `slurm`, `ray`, or `none`: this machine runs all tasks.
    pub engine: ClusterKind,
    /// Jobs at a time, at most; each runs one task.
    #[default = 16]
    #[schemars(range(min = 1))]
    pub jobs: usize,
    /// Cores that a job asks for.
    #[default = 1]
    #[schemars(range(min = 1))]
    pub cpus: usize,
    /// Slurm only: further long options of `sbatch`, such as `--partition=long`, handed on as they are.
    pub options: Vec<String>,
    /// Ray only: the address of its dashboard.
    #[default = "http://127.0.0.1:8265"]
    pub address: String,
    /// Seconds from one look at jobs and results to the next.
    #[default = 5.0]
    pub poll_seconds: f64,
    /// Jobs that are submitted for a task, at most, where they end without a result: on a machine that
    /// vanishes, at a limit of time. Each goes on from the last checkpoint.
    #[default = 3]
    #[schemars(range(min = 1))]
    pub attempts: usize,
}

/// Options of `sbatch` that the program sets, or with which a study, which may be a stranger's, would run
/// or overwrite something else.
const OWN_OPTIONS: [&str; 17] = [
    "array",
    "bb",
    "bbf",
    "bcast",
    "chdir",
    "clusters",
    "container",
    "error",
    "export",
    "export-file",
    "get-user-env",
    "input",
    "job-name",
    "output",
    "parsable",
    "test-only",
    "wrap",
];

impl Section for ClusterSettings {
    const NAME: &'static str = "cluster";

    fn check(&self) -> Result<(), FieldError> {
        let refused = |field: &str, reason: String, hint: &str| {
            Err(FieldError::refused(Self::NAME, field, reason, hint))
        };
        // Less than the head's patience with an engine that does not answer.
        if !(0.01..=300.0).contains(&self.poll_seconds) {
            let reason = format!("{} is not between 0.01 and 300", self.poll_seconds);
            return refused("poll_seconds", reason, "5 suits most sites");
        }
        if self.engine == ClusterKind::Ray && !self.address.starts_with("http://") {
            let reason = format!("`{}` does not begin with `http://`", self.address);
            let hint =
                "Ray prints the address of its dashboard when it starts; it knows no https itself";
            return refused("address", reason, hint);
        }
        for option in &self.options {
            let Some(long) = option.strip_prefix("--") else {
                let reason = format!("`{option}` is no long option");
                return refused("options", reason, "write each as one text: `--time=02:00:00`");
            };
            // Slurm understands the beginning of a name as well.
            let name = long.split('=').next().unwrap_or_default();
            if OWN_OPTIONS.iter().any(|own| own.starts_with(name)) {
                let reason =
                    format!("`{option}` would change what is run, or how it is found again");
                return refused("options", reason, "leave it out; the program says this itself");
            }
        }
        Ok(())
    }
}

impl ClusterSettings {
    /// The engine, where there is one.
    pub(crate) fn open(&self) -> Option<Arc<dyn ClusterEngine>> {
        match self.engine {
            ClusterKind::None => None,
            ClusterKind::Slurm => Some(Arc::new(Slurm::new(self))),
            ClusterKind::Ray => Some(Arc::new(Ray::new(self))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(settings: &ClusterSettings) -> Option<String> {
        settings.check().err().map(|error| error.to_string())
    }

    #[test]
    fn options_that_run_something_else_are_refused() {
        let with = |option: &str| ClusterSettings {
            options: vec!["--partition=long".into(), option.into()],
            ..ClusterSettings::default()
        };
        for option in ["--time=5", "--constraint=avx512", "--gres=gpu:1", "--exclusive", "--mem=4G"]
        {
            assert_eq!(refusal(&with(option)), None, "{option}");
        }
        for option in
            ["--wrap=id", "--wra=id", "--output=/etc/passwd", "--export=A=b", "--", "-o/x", "x"]
        {
            assert!(refusal(&with(option)).unwrap().contains(option), "{option}");
        }
    }

    #[test]
    fn a_head_that_would_not_stop_and_an_address_that_ray_has_not_are_refused() {
        for poll_seconds in [0.0, -1.0, f64::NAN, 1e9] {
            assert!(refusal(&ClusterSettings { poll_seconds, ..Default::default() }).is_some());
        }
        let ray = |address: &str| ClusterSettings {
            engine: ClusterKind::Ray,
            address: address.into(),
            ..ClusterSettings::default()
        };
        assert_eq!(refusal(&ray("http://10.0.0.1:8265")), None);
        assert!(refusal(&ray("10.0.0.1:8265")).is_some());
    }

    #[test]
    fn engines_are_read_as_they_are_written() {
        for kind in ClusterKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert!(
            "k8s".parse::<ClusterKind>().unwrap_err().to_string().contains("`slurm` and `ray`")
        );
    }
}
