//! `cargo xtask quickstart`: from a fresh checkout to a first designed network.

use crate::{process, repo, setup};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// Sets up, builds for speed, and runs the quickstart; its exit code is handed on.
pub fn run() -> Result<ExitCode> {
    setup::run()?;
    process::run(process::cargo().args(["build", "--release", "--package", "spacewright"]))?;
    let program = repo::spacewright("release")?;
    let status = Command::new(&program)
        .args(["run", "examples/quickstart.toml"])
        .current_dir(repo::root())
        .envs(setup::fetched())
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    // A process that a signal ended has no code.
    let code = status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1));
    Ok(ExitCode::from(code))
}
