//! `cargo xtask bench-train`: training steps here and in PyTorch, in turns.

use crate::{process, repo, setup};
use anyhow::Result;
use std::process::Command;

/// Builds for speed and compares; `arguments` are those of `benches/pytorch/compare.py` after the program,
/// `--device cuda --precision tf32` among them. On a GPU both sides need a libtorch that is built for it.
pub fn run(arguments: &[&str]) -> Result<()> {
    setup::run()?;
    process::run(process::cargo().args(["build", "--release", "--package", "spacewright"]))?;
    let program = repo::spacewright("release")?;
    let script = repo::root().join("benches/pytorch/compare.py");
    // What PyTorch does by itself is what it is compared with.
    let mut command = Command::new("python3");
    command.arg(script).arg(program).args(arguments);
    command.env_remove("OMP_NUM_THREADS").env_remove("OMP_WAIT_POLICY");
    process::run(&mut command)
}
