//! Why a worker is of no use.

use std::{
    borrow::Cow, fmt, io, os::unix::process::ExitStatusExt as _, path::PathBuf, process::ExitStatus,
};

use spacewright_core::train::TrainError;
use thiserror::Error;

/// Why a worker is of no use.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The program is not there, or the system starts no more processes.
    #[error("cannot start the trainer, {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program is not of this version.
    #[error(
        "the trainer, {}, is of version {found}, this program of {}",
        program.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
    },
    /// It cannot compute where it should.
    #[error("{reason}")]
    Refused {
        /// What the trainer says.
        reason: String,
        /// What it says about what to do.
        hint: Option<String>,
    },
    /// It ended.
    #[error("the trainer's process {end} while {doing}{said}")]
    Ended {
        /// What it was doing, such as `training a supernet`.
        doing: &'static str,
        /// How it ended.
        end: End,
        /// The last line that it wrote, after a colon.
        said: String,
    },
    /// One of a team's processes.
    #[error("process {rank} of {processes}{on}: {source}")]
    InTeam {
        /// Its number, from 0.
        rank: usize,
        /// How many there are.
        processes: usize,
        /// On which machine, after ` on `, where that is another one.
        on: String,
        /// What happened to it.
        source: Box<WorkerError>,
    },
    /// Processes that were started with this one have not come.
    #[error("{} of {processes} processes have not come within {minutes} minutes: {}", missing.len(), listed(missing))]
    Missing {
        /// Their numbers.
        missing: Vec<usize>,
        /// How many there should be.
        processes: usize,
        /// How long they were waited for.
        minutes: u64,
    },
    /// The user asked to stop while processes were waited for.
    #[error("stopped on request")]
    Cancelled,
    /// Some of the processes that were started with this one have ended.
    #[error("processes that were started with this one have ended")]
    Gone,
    /// It could not be waited for any more, as another one of its team has failed.
    #[error("the work was given up, as another process has failed")]
    GivenUp,
    /// It said what cannot be understood.
    #[error("the trainer's process sent what is no message: {reason}")]
    Protocol {
        /// What is wrong.
        reason: String,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(pub Option<ExitStatus>);

const SIGKILL: i32 = 9;

fn listed(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(status) = self.0 else { return f.write_str("closed its connection") };
        match (status.signal(), status.code()) {
            (Some(signal), _) => {
                let known = [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE")];
                let others = [(SIGKILL, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")];
                let mut names = known.iter().chain(&others);
                let name = names.find(|(number, _)| *number == signal);
                write!(f, "was ended by signal {signal}")?;
                name.map_or(Ok(()), |(_, name)| write!(f, " ({name})"))
            }
            (None, Some(code)) => write!(f, "ended with code {code}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

impl WorkerError {
    /// What to do about it.
    pub fn hint(&self) -> Cow<'static, str> {
        let known = match self {
            Self::Refused { hint: Some(hint), .. } => return hint.clone().into(),
            Self::Refused { hint: None, .. } => "compute on the processor: `--device cpu`",
            Self::Start { .. } | Self::Version { .. } => {
                "build both programs: `cargo build --release`; SPACEWRIGHT_TRAINER can name the second one"
            }
            Self::Ended { said, .. }
                if said.contains("shared librar") || said.contains("undefined symbol") =>
            {
                "run `cargo xtask setup`, install torch 2.11 where this program was installed by pip, or let \
                 SPACEWRIGHT_TORCH name the folder of libtorch"
            }
            Self::Ended { said, .. } if said.contains("CUDA out of memory") => {
                "use smaller batches or a smaller `micro_batch`, or fewer --threads, as many processes share the GPU; \
                 the same command goes on from the last checkpoint"
            }
            Self::Ended { end: End(Some(status)), .. } if status.signal() == Some(SIGKILL) => {
                "the system ends processes so when memory runs out: use fewer --threads or smaller batches; \
                 the same command goes on from the last checkpoint"
            }
            Self::Ended { .. } => {
                "the same command goes on from the last checkpoint; --verbose shows what the process said"
            }
            Self::InTeam { source, .. } => return source.hint(),
            Self::Missing { .. } => {
                "start every process with the same command; each has to reach the first one's machine by its name"
            }
            Self::Gone => {
                "start all of them again; the same command goes on from the last checkpoint"
            }
            Self::Protocol { .. } | Self::GivenUp | Self::Cancelled => {
                "the same command goes on from the last checkpoint"
            }
        };
        known.into()
    }
}

impl From<WorkerError> for TrainError {
    fn from(error: WorkerError) -> Self {
        if let WorkerError::Cancelled = error {
            return Self::Cancelled;
        }
        Self::Worker { hint: error.hint(), source: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trainer_that_refuses_says_what_to_do() {
        let refused = |hint: Option<&str>| {
            let (reason, hint) = ("no driver".to_owned(), hint.map(str::to_owned));
            TrainError::from(WorkerError::Refused { reason, hint })
        };
        assert_eq!(refused(None).to_string(), "no driver");
        assert!(refused(None).hint().unwrap().contains("--device cpu"));
        assert_eq!(refused(Some("install one")).hint(), Some("install one"));
    }

    fn ended(status: i32, said: &str) -> WorkerError {
        WorkerError::Ended {
            doing: "training a supernet",
            end: End(Some(ExitStatus::from_raw(status))),
            said: format!(": {said}"),
        }
    }

    #[test]
    fn memory_of_a_gpu_that_runs_out_has_a_remedy() {
        let said =
            "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to …";
        let hint = ended(101 << 8, said).hint();
        assert!(hint.contains("micro_batch") && hint.contains("--threads"), "{hint}");
    }

    #[test]
    fn a_signal_is_named_with_what_to_do() {
        let ended = |status| ended(status, "the last line");
        let killed = ended(9);
        assert_eq!(
            killed.to_string(),
            "the trainer's process was ended by signal 9 (SIGKILL) while training a supernet: the last line"
        );
        assert!(killed.hint().contains("memory"));
        assert!(ended(101 << 8).to_string().contains("ended with code 101"));
        assert!(!ended(11).hint().contains("memory"));
    }
}
