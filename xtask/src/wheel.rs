//! `cargo xtask wheel`: the Python package with both programs, as a wheel, and its tests.

use crate::{process, repo, setup};
use anyhow::{Context, Result, bail};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds wheels out of programs; pinned, as the tag of a wheel is its finding.
const MATURIN: &str = "maturin==1.16.0";
/// Has build scripts leave out where the libraries of this machine are.
const PORTABLE: &str = "SPACEWRIGHT_PORTABLE";
/// What the tests of the package need besides the wheel's own extras. Torch comes with all of its libraries:
/// Python loads those for GPUs, too.
const EXTRAS: &str = "ort,plot,test,train";

/// Builds the wheel and says where it is.
pub fn run() -> Result<()> {
    let wheel = build()?;
    println!("{}", wheel.display());
    Ok(())
}

/// Builds the wheel, installs it into an environment of its own, and runs the tests of the package there.
pub fn test() -> Result<()> {
    let wheel = build()?;
    let (environment, package) =
        (repo::deps().join("python-package"), repo::root().join("sdk/python"));
    let python = environment.join("bin/python");
    if !process::works(Command::new(&python).args(["-c", "import torch, pytest, mypy"])) {
        make_environment(&environment)?;
        let wanted = format!("{}[{EXTRAS}]", wheel.display());
        process::run(pip(&python).args(["install", &wanted]))?;
    }
    let again = ["install", "--force-reinstall", "--no-deps"];
    process::run(pip(&python).args(again).arg(&wheel))?;
    let mut tests = Command::new(&python);
    // Outside of the folder, so that the package that is tested is the installed one.
    tests.args(["-m", "pytest", "--import-mode", "importlib", "-q"]).arg(package.join("tests"));
    tests.current_dir(&environment).env("SPACEWRIGHT_DATA", repo::deps());
    tests.env("SPACEWRIGHT_EXAMPLES", repo::root().join("examples")).env_remove("PYTHONPATH");
    process::run(&mut tests)?;
    let mut types = Command::new(&python);
    process::run(types.args(["-m", "mypy"]).current_dir(&package))
}

fn build() -> Result<PathBuf> {
    setup::run()?;
    let maturin = maturin()?;
    let out = target()?.join("wheels");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let mut build = Command::new(maturin);
    build.args(["build", "--release", "--locked", "--out"]).arg(&out);
    build.current_dir(repo::root().join("sdk/python")).env(PORTABLE, "1").stdout(io::stderr());
    process::run(&mut build)?;
    let files = fs::read_dir(&out).with_context(|| format!("cannot read {}", out.display()))?;
    let mut wheels = files.filter_map(|file| Some(file.ok()?.path()));
    match wheels.find(|path| path.extension().is_some_and(|end| end == "whl")) {
        Some(wheel) => Ok(wheel),
        None => bail!("maturin has left no wheel in {}", out.display()),
    }
}

/// Cargo's output folder, by where this program is.
fn target() -> io::Result<PathBuf> {
    let program = repo::spacewright("release")?;
    Ok(program.ancestors().nth(2).unwrap_or(repo::root()).to_owned())
}

fn maturin() -> Result<PathBuf> {
    let environment = repo::deps().join("maturin");
    let program = environment.join("bin/maturin");
    let version = MATURIN.replace("==", " ");
    let mut asked = Command::new(&program);
    if process::read(asked.arg("--version")).is_ok_and(|found| found.trim() == version) {
        return Ok(program);
    }
    make_environment(&environment)?;
    process::run(pip(&environment.join("bin/python")).args(["install", MATURIN]))?;
    Ok(program)
}

/// Python writes the place of an environment into its programs: it is made where it stays.
fn make_environment(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    process::run(Command::new("python3").args(["-m", "venv"]).arg(folder))
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--disable-pip-version-check"]).stdout(io::stderr());
    // What was fetched for other tests is no part of the environment.
    pip.env_remove("PYTHONPATH");
    pip
}
