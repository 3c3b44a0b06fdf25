//! Slurm and Ray, for the tests of clusters: only where tests that take long are wanted, which start them.

use super::announce;
use crate::{process, repo};
use anyhow::{Context, Result};
use std::{env, fs, io, path::PathBuf, process::Command};

/// Debian's packages of Slurm and of what its programs know each other by.
const SLURM: [&str; 2] = ["slurm-wlm", "munge"];
const RAY: &str = "ray[default]==2.60.0";
/// The variable that names Ray's program to the tests.
const VARIABLE: &str = "SPACEWRIGHT_RAY";

/// Installs Slurm where the system's packages have it and may be installed; without it its tests are
/// ignored.
pub fn slurm() -> Result<()> {
    if process::works(Command::new("slurmctld").arg("-V")) {
        return Ok(());
    }
    announce("slurm-wlm and munge", "20 MB");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(SLURM);
    install.env("DEBIAN_FRONTEND", "noninteractive").stdout(io::stderr());
    if let Err(error) = process::run(&mut install) {
        eprintln!("no Slurm: its tests are ignored ({error:#})");
    }
    Ok(())
}

/// Fetches Ray where there is one for this Python; without it its tests are ignored.
pub fn ray() -> Result<()> {
    if process::works(Command::new(ray_program()).arg("--version")) {
        return Ok(());
    }
    announce("ray 2.60.0", "382 MB");
    if let Err(error) = fetch_ray() {
        eprintln!("no Ray for this Python: its tests are ignored ({error:#})");
    }
    Ok(())
}

/// Python writes the place of an environment into its programs: it is made where it stays, and an
/// interrupted one, whose program does not work, is made anew.
fn fetch_ray() -> Result<()> {
    let folder = place();
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:", RAY]);
    process::run(pip.stdout(io::stderr()))
}

fn place() -> PathBuf {
    repo::deps().join("ray")
}

/// The one that the user names, that of the system, or the one that was fetched.
fn ray_program() -> PathBuf {
    if let Some(named) = env::var_os(VARIABLE) {
        return named.into();
    }
    match process::works(Command::new("ray").arg("--version")) {
        true => "ray".into(),
        false => place().join("bin/ray"),
    }
}

/// How tests find Ray.
pub fn variable() -> (&'static str, PathBuf) {
    (VARIABLE, ray_program())
}
