//! Why the engine of a site is of no use.

use std::io;

use thiserror::Error;

/// Why the engine of a site is of no use.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// A command of the engine cannot be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The command.
        program: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The engine does not answer now.
    #[error("{engine} does not answer: {reason}")]
    NoAnswer {
        /// The engine, with its address where it has one.
        engine: String,
        /// What was heard instead.
        reason: String,
    },
    /// The engine does not do what it is asked for.
    #[error("{engine} refuses: {reason}")]
    Refused {
        /// The engine, with its address where it has one.
        engine: String,
        /// Why, in its words.
        reason: String,
    },
    /// The engine's answer cannot be read.
    #[error("{engine} answers what cannot be read: {answer}")]
    Answer {
        /// The engine, with its address where it has one.
        engine: String,
        /// The beginning of what it said.
        answer: String,
    },
}

impl ClusterError {
    /// An answer of which the beginning is told.
    pub(super) fn answer(engine: &str, answer: &str) -> Self {
        const SHOWN: usize = 200;
        Self::Answer { engine: engine.to_owned(), answer: answer.chars().take(SHOWN).collect() }
    }

    /// Whether the same question may be answered later.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Answer { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Start { .. } => {
                "run this where the site's Slurm is at hand, or without it: `--cluster none`"
            }
            Self::NoAnswer { .. } | Self::Answer { .. } => {
                "see that it runs and can be reached from here; the same command goes on with what was \
                 submitted; `--cluster none` does without it"
            }
            Self::Refused { .. } => {
                "look at [cluster] of the study: `spacewright study explain cluster` lists its fields"
            }
        }
    }
}
