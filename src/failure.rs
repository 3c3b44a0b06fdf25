//! Errors on standard error, with what to do about them, and exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something failed |
//! | 2 | wrong use: an option, a name or a file is wrong |
//! | 130 | stopped on request; the same command goes on |

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use spacewright_engine::{EngineError, ErrorKind};

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;
const STOPPED: u8 = 130;

/// Wrong use of the command, with what to do.
#[derive(Debug)]
pub struct Usage {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Usage {
    /// An error without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Usage {}

/// Shows an error and gives its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let (code, hint) = if let Some(error) = error.downcast_ref::<EngineError>() {
        let code = match error.kind {
            ErrorKind::Cancelled => STOPPED,
            ErrorKind::Study | ErrorKind::Missing => WRONG_USE,
            ErrorKind::Locked | ErrorKind::Storage | ErrorKind::Step => FAILED,
        };
        (code, error.hint.clone())
    } else if let Some(usage) = error.downcast_ref::<Usage>() {
        (WRONG_USE, usage.hint.clone())
    } else {
        (FAILED, None)
    };
    let mut stderr = stderr().lock();
    // Standard error may be closed; the exit code tells all the same.
    let _ = writeln!(stderr, "error: {error:#}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    ExitCode::from(code)
}
