//! Fetches Python wheels for their native libraries and unpacks only what is needed.

use crate::process;
use anyhow::{Context, Result};
use std::{fs, io, path::Path, process::Command};

/// A wheel, pinned by version and content.
#[derive(Clone, Copy)]
pub struct Wheel {
    /// The package's name.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-256 of the wheel for Linux on x86-64 (CPython 3.12 where it matters).
    pub sha256: &'static str,
}

/// Files to take from the wheels: all that match `pattern` go to `folder`, keeping their place
/// below the pattern's last folder without a wildcard; a pattern may have none.
pub struct Take {
    /// A shell-style pattern over the archive's paths; `*` also crosses folders.
    pub pattern: &'static str,
    /// The folder to unpack to.
    pub folder: &'static str,
}

const UNPACK: &str = include_str!("unpack.py");

/// Fetches `wheels` into `scratch` and unpacks `takes` below `target`.
pub fn fetch(wheels: &[Wheel], takes: &[Take], scratch: &Path, target: &Path) -> Result<()> {
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, requirements_text(wheels))
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let hint = "hint: check the network connection, and that `python3 -m pip --version` works";
    process::run(&mut download(&requirements, scratch)).with_context(|| {
        let names: Vec<String> =
            wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
        format!("cannot fetch {}\n{hint}", names.join(", "))
    })?;
    let mut unpack = process::python(UNPACK);
    unpack.arg(scratch).arg(target);
    for take in takes {
        unpack.args([take.pattern, take.folder]);
    }
    process::read(&mut unpack).context("cannot unpack the wheels")?;
    Ok(())
}

fn requirements_text(wheels: &[Wheel]) -> String {
    let line = |wheel: &Wheel| {
        format!("{}=={} --hash=sha256:{}\n", wheel.name, wheel.version, wheel.sha256)
    };
    wheels.iter().map(line).collect()
}

fn download(requirements: &Path, target: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]);
    command.args(["--require-hashes", "--only-binary=:all:", "--python-version", "3.12"]);
    // A platform given by hand stands for itself only, not for the older ones it can also run,
    // and these wheels are tagged with several.
    for minor in (17..=28).rev() {
        command.arg("--platform").arg(format!("manylinux_2_{minor}_x86_64"));
    }
    command.args(["--platform", "manylinux2014_x86_64"]);
    command.arg("--dest").arg(target).arg("--requirement").arg(requirements);
    // Progress is no data: standard output stays free.
    command.stdout(io::stderr());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_pinned_by_content() {
        let wheel = Wheel { name: "torch", version: "2.11.0", sha256: "0f68" };
        assert_eq!(requirements_text(&[wheel]), "torch==2.11.0 --hash=sha256:0f68\n");
    }
}
