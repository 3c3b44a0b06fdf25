//! `cargo xtask setup`: fetches what cargo cannot into `.deps/`.
//!
//! Every part is built in a folder beside its place and renamed when it is complete, so whatever
//! is found in its place is whole, and an interrupted set-up is repaired by the next.

pub mod chromium;
pub mod clusters;
mod cuda;
mod fashion_mnist;
pub mod litert_python;
pub mod photographs;
mod runtimes;
mod staging;
pub mod teachers;
mod torch;
mod wheels;
pub mod ziglang;

use crate::{message, repo};
use anyhow::{Result, bail};
use std::{env, path::PathBuf};

/// Whether the wheels that the set-up fetches fit this machine.
const LINUX_X86_64: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

type Part = (&'static str, fn() -> Result<()>);
const PARTS: [Part; 4] = [
    ("libtorch", torch::ensure),
    ("ONNX Runtime", runtimes::onnx_runtime),
    ("LiteRT", runtimes::litert),
    ("Fashion-MNIST", fashion_mnist::ensure),
];

/// Fetches what is missing; tries every part before it reports failure.
pub fn run() -> Result<()> {
    fetch(&PARTS, "cargo xtask setup")
}

/// The same with what NVIDIA's GPUs need.
pub fn run_with_cuda() -> Result<()> {
    let parts = [&PARTS[..], &[("libtorch with CUDA", cuda::ensure)]].concat();
    fetch(&parts, "cargo xtask setup --cuda")
}

fn fetch(parts: &[Part], command: &str) -> Result<()> {
    let mut missing = Vec::new();
    for (name, ensure) in parts {
        if let Err(error) = ensure() {
            eprintln!("{}", message::describe(&error));
            missing.push(*name);
        }
    }
    if !missing.is_empty() {
        bail!(
            "the set-up is incomplete: no {}\nhint: see the errors above, then run `{command}` again",
            missing.join(", no ")
        );
    }
    Ok(())
}

/// What was fetched, as the environment variables that name it. The program finds it by itself
/// above its own place: nothing is needed unless cargo's output lies elsewhere.
pub fn fetched() -> Vec<(&'static str, PathBuf)> {
    if env::current_exe().is_ok_and(|this| this.starts_with(repo::root())) {
        return Vec::new();
    }
    let data = ("SPACEWRIGHT_DATA", repo::deps());
    let named = runtimes::fetched().into_iter().chain([data]);
    named.filter(|(variable, path)| env::var_os(variable).is_none() && path.exists()).collect()
}

/// Says on standard error what is being fetched and how much that is.
fn announce(what: &str, size: &str) {
    eprintln!("fetching {what} ({size})");
}
