//! A C compiler that makes WebAssembly, for tests of plugins in C: pip's `ziglang`.

use super::{LINUX_X86_64, announce, litert_python, staging};
use crate::{process, repo};
use anyhow::{Context, Result};
use std::{env, ffi::OsString, fs, io, path::Path, process::Command};

const REQUIREMENT: &str = "ziglang==0.17.1 \
    --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54\n";

/// Makes sure that `plugin build` finds a compiler, where one can be had; without one the tests of
/// plugins in C are ignored.
pub fn ensure() -> Result<()> {
    let works =
        |program: &str, arguments: &[&str]| process::works(Command::new(program).args(arguments));
    let clang = works("clang", &["--version"]) && works("wasm-ld", &["--version"]);
    if clang || works("python3", &["-m", "ziglang", "version"]) || place().is_dir() {
        return Ok(());
    }
    if !LINUX_X86_64 {
        eprintln!("no C compiler for WebAssembly: plugins in C are not tested");
        return Ok(());
    }
    announce("ziglang 0.17.1", "101 MB");
    staging::publish("ziglang", |folder, scratch| {
        let requirements = scratch.join("requirements.txt");
        fs::write(&requirements, REQUIREMENT)
            .with_context(|| format!("cannot write {}", requirements.display()))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-compile", "--require-hashes", "--only-binary=:all:", "--target"])
            .arg(folder)
            .arg("--requirement")
            .arg(&requirements)
            .stdout(io::stderr());
        process::run(&mut pip).context(
            "cannot fetch ziglang\nhint: check the network connection, or install clang and lld",
        )
    })
}

fn place() -> std::path::PathBuf {
    repo::deps().join("ziglang")
}

/// Where Python looks for modules, with what was fetched.
pub fn python_path() -> OsString {
    let own = env::var_os("PYTHONPATH").unwrap_or_default();
    let fetched = [place(), litert_python::place()];
    let all = env::split_paths(&own).filter(|path| path != Path::new("")).chain(fetched);
    env::join_paths(all).unwrap_or(own)
}
