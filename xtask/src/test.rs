//! `cargo xtask test`: every check and test of the project, in the order that fails fastest.

use crate::{book, light, process, repo, setup, steps::Steps, wheel};
use anyhow::{Context, Result};
use std::{env, fs, io, path::Path, process::Command};

/// Whether formatting and lints are checked or repaired.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Report what is wrong.
    Check,
    /// Rewrite the sources.
    Fix,
}

const CLIPPY_ALL: &[&str] = &["--workspace", "--all-targets"];
/// Without its tests, which are checked with all features: what they need would be built again.
const CLIPPY_LEAN: &[&str] = &["-p", "spacewright", "--no-default-features"];

/// The variable that asks for the tests that take long.
pub const LONG: &str = "SPACEWRIGHT_TEST_LONG";

/// Runs all parts, and the tests that take `long` only where they are wanted; the first that fails ends
/// it.
pub fn run(mode: Mode, long: bool) -> Result<()> {
    let mut steps = Steps::default();
    steps.add("set-up", setup::run);
    match mode {
        Mode::Check => {
            steps.add("formatting", || cargo(&["fmt", "--all", "--check"]));
            steps.add("lints", || clippy(mode, CLIPPY_ALL));
            steps.add("lints without torch", || clippy(mode, CLIPPY_LEAN));
        }
        Mode::Fix => {
            steps.add("lints, repaired", || clippy(mode, CLIPPY_ALL));
            steps.add("lints without torch, repaired", || clippy(mode, CLIPPY_LEAN));
            // Last, because a repaired lint may be badly formatted.
            steps.add("formatting, repaired", || cargo(&["fmt", "--all"]));
        }
    }
    steps.add("light crates", light::check);
    steps.add("standard library for WebAssembly", wasm_std);
    steps.add("C compiler for WebAssembly", setup::ziglang::ensure);
    steps.add("TFLite's interpreter for Python", setup::litert_python::ensure);
    if long {
        steps.add("networks trained on ImageNet", setup::teachers::ensure);
        steps.add("photographs", setup::photographs::ensure);
        steps.add("Chromium", setup::chromium::ensure);
        steps.add("Slurm", setup::clusters::slurm);
        steps.add("Ray", setup::clusters::ray);
    }
    steps.add("documentation", || {
        process::run(
            process::cargo()
                // With examples, crates have the features that lints and tests have checked them with.
                .args(["doc", "--workspace", "--no-deps", "--lib", "--bins", "--examples"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
    steps.add("tests", move || tests(long));
    steps.add("tests of the example plugins", example_plugins);
    steps.add("documentation tests", || {
        process::run(one_thread(process::cargo().args(["test", "--workspace", "--doc"])))
    });
    steps.add("smoke run", smoke);
    if long {
        steps.add("Python package", wheel::test);
        steps.add("documents as a site", book::run);
    }
    steps.run()
}

fn cargo(args: &[&str]) -> Result<()> {
    process::run(process::cargo().args(args))
}

fn clippy(mode: Mode, what: &[&str]) -> Result<()> {
    let mut command = process::cargo();
    command.arg("clippy").args(what);
    if mode == Mode::Fix {
        command.args(["--fix", "--allow-dirty", "--allow-staged"]);
    }
    process::run(command.args(["--", "-D", "warnings"]))
}

/// The unit and integration tests, with `cargo nextest` where it is installed.
fn tests(long: bool) -> Result<()> {
    let mut command = process::cargo();
    if process::works(process::cargo().args(["nextest", "--version"])) {
        // Its report goes to standard error; the closing line belongs to standard output.
        command.args(["nextest", "run", "--workspace"]).stderr(io::stdout());
    } else {
        eprintln!("cargo-nextest is not installed: using `cargo test`");
        command.args(["test", "--workspace", "--all-targets"]);
    }
    if long {
        let (ray, program) = setup::clusters::variable();
        // Who has waited for hours wants to know of all that fail.
        command.arg("--no-fail-fast").env(LONG, "1").env(ray, program);
    }
    process::run(one_thread(&mut command))
}

/// The tests that the example plugins bring; each is a workspace of its own.
fn example_plugins() -> Result<()> {
    let folder = repo::root().join("examples/plugins");
    let mut crates: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("Cargo.toml")))
        .filter(|manifest| manifest.is_file())
        .collect();
    crates.sort();
    crates.iter().try_for_each(|manifest| {
        process::run(
            process::cargo()
                .args(["test", "--manifest-path"])
                .arg(manifest)
                .env("CARGO_TARGET_DIR", repo::root().join("target/plugins")),
        )
    })
}

/// Sees to it that plugins can be compiled to WebAssembly.
fn wasm_std() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    const ARCHIVE: &str = "SPACEWRIGHT_WASM_STD";
    let sysroot = process::read(Command::new("rustc").args(["--print", "sysroot"]))?;
    let installed = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET);
    if installed.is_dir() || env::var_os(ARCHIVE).is_some() {
        return Ok(());
    }
    process::run(Command::new("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!(
            "plugins cannot be compiled: get `{TARGET}` with rustup, or let {ARCHIVE} name an \
             archive of Rust's standard library for it, of the version of your rustc"
        )
    })
}

/// One whole run of the program on the smallest example, away from the user's own runs.
fn smoke() -> Result<()> {
    // The program that the tests ran: built alone, it would have other features, and take its time again.
    process::run(one_thread(process::cargo().args(["test", "--workspace", "--no-run"])))?;
    let program = repo::spacewright("debug")?;
    let folder = env::temp_dir().join(format!("spacewright-smoke-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = Command::new(program);
    command
        .args(["run", "examples/smoke.toml", "--runs"])
        .arg(folder.join("runs"))
        .env("SPACEWRIGHT_HOME", folder.join("home"))
        .current_dir(repo::root());
    process::run(one_thread(&mut command))
        .with_context(|| format!("its files are kept in {}", folder.display()))?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Gives libtorch one thread, as tests run side by side already, and names what was fetched. Whatever builds
/// tests takes it, or they would be built again: build scripts look for what is named.
pub fn one_thread(command: &mut Command) -> &mut Command {
    command.env("OMP_NUM_THREADS", "1").envs(process::PASSIVE_THREADS).envs(setup::fetched());
    command.env("PYTHONPATH", setup::ziglang::python_path())
}
