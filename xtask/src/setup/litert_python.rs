//! TFLite's interpreter for Python, for tests: a reader of TFLite files that is not ours, with the
//! reference kernels.

use super::{announce, staging};
use crate::{process, repo};
use anyhow::Result;
use std::{io, path::PathBuf, process::Command};

const REQUIREMENTS: [&str; 2] = ["ai-edge-litert==2.3.0", "numpy>=1.23.2,<3"];

/// Fetches it, where there is one for this Python; without it the tests that need it are ignored.
pub fn ensure() -> Result<()> {
    let import = ["-c", "import ai_edge_litert.interpreter"];
    if place().is_dir() || process::works(Command::new("python3").args(import)) {
        return Ok(());
    }
    announce("ai-edge-litert 2.3.0 and numpy", "40 MB");
    let fetched = staging::publish("litert-python", |folder, _| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-compile", "--only-binary=:all:", "--target"])
            .arg(folder)
            .args(REQUIREMENTS)
            .stdout(io::stderr());
        process::run(&mut pip)
    });
    if let Err(error) = fetched {
        eprintln!("no TFLite interpreter for this Python: its tests are ignored ({error:#})");
    }
    Ok(())
}

/// The folder with the modules.
pub fn place() -> PathBuf {
    repo::deps().join("litert-python")
}
