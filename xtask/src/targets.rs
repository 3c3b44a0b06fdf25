//! `cargo xtask targets`: builds the plugins of `hardware-targets` and installs them.

use crate::{process, repo, setup};
use anyhow::Result;
use std::process::Command;

/// Folders of target plugins with the extension of what they are built into.
const PLUGINS: [(&str, &str); 3] = [
    ("intel-vnni", std::env::consts::DLL_EXTENSION),
    ("pixel-arm", std::env::consts::DLL_EXTENSION),
    ("pixel-npu", "wasm"),
];

/// Builds the program and the plugins, and installs these for the user. Trusting libraries that
/// were just built from this checkout needs no question.
pub fn run() -> Result<()> {
    setup::run()?;
    process::run(process::cargo().args(["build", "--release", "--workspace"]))?;
    let program = repo::spacewright("release")?;
    let spacewright = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        process::run(command.args(arguments).current_dir(repo::root()).envs(setup::fetched()))
    };
    for (name, extension) in PLUGINS {
        let folder = format!("hardware-targets/{name}");
        let file = format!("{folder}/{name}.{extension}");
        spacewright(&["plugin", "build", &folder])?;
        if extension != "wasm" {
            spacewright(&["plugin", "trust", &file, "--yes"])?;
        }
        spacewright(&["plugin", "install", &file])?;
    }
    spacewright(&["target", "list"])
}
