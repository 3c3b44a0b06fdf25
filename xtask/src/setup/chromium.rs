//! Chromium, for the tests of pages: only where tests that take long are wanted, which start it.

use std::{io, process::Command};

use anyhow::{Context, Result};

use super::announce;
use crate::process;

/// Names of the program on different systems.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser's name, where there is one.
pub fn program() -> Option<&'static str> {
    let works = |program: &str| process::works(Command::new(program).arg("--version"));
    PROGRAMS.into_iter().find(|program| works(program))
}

/// Installs Debian's package where there is no such browser and packages may be installed.
pub fn ensure() -> Result<()> {
    if program().is_some() {
        return Ok(());
    }
    announce("chromium", "90 MB");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", "chromium"]);
    install.env("DEBIAN_FRONTEND", "noninteractive").stdout(io::stderr());
    process::run(&mut install).context(
        "the tests of pages need Chromium: install your system's package, such as `apt-get install \
         chromium`",
    )
}
