//! `cargo xtask book`: the documents as a site, by mdBook.

use crate::{process, repo};
use anyhow::Result;
use std::{path::PathBuf, process::Command};

const VERSION: &str = "0.5.4";

/// Builds the site and says where it is.
pub fn run() -> Result<()> {
    let mut build = Command::new(mdbook()?);
    process::run(build.arg("build").arg(repo::root().join("docs")))?;
    println!("{}", repo::root().join("target/book/index.html").display());
    Ok(())
}

/// The program, which is built where it is not there in this version.
fn mdbook() -> Result<PathBuf> {
    let folder = repo::deps().join("mdbook");
    let program = folder.join("bin/mdbook");
    let known = process::read(Command::new(&program).arg("--version"));
    if known.is_ok_and(|version| version.contains(VERSION)) {
        return Ok(program);
    }
    eprintln!("building mdBook {VERSION}");
    let mut install = process::cargo();
    install.args(["install", "mdbook", "--locked", "--version", VERSION, "--force", "--root"]);
    process::run(install.arg(&folder))?;
    Ok(program)
}
