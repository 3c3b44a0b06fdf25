//! `cargo xtask fuzz MINUTES`: looks for bytes that no reader comes back from.

use crate::{process, repo};
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// What `cargo fuzz` compiles with, but for its sanitizer, which only nightly compilers have: the
/// fuzzer sees which branches an input takes.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions \
    --cfg fuzzing";
/// Most memory of a target in MB, and most seconds for one input.
const LIMITS: [&str; 2] = ["-rss_limit_mb=1024", "-timeout=10"];

/// Runs each target for so many minutes, from its corpus, into a folder below `target`.
pub fn run(minutes: &str) -> Result<()> {
    let seconds = 60 * minutes.parse::<u64>().context("minutes are a whole number")?;
    let (fuzz, built) = (repo::root().join("fuzz"), repo::root().join("target/fuzz"));
    // With a target named, the flags are not for build scripts.
    let host = process::read(Command::new("rustc").args(["--print", "host-tuple"]))?;
    process::run(
        process::cargo()
            .args(["build", "--release", "-p", "spacewright-fuzz", "--features", "libfuzzer"])
            .args(["--bins", "--target", host.trim(), "--target-dir"])
            .arg(&built)
            .env("RUSTFLAGS", COVERAGE),
    )?;
    for name in targets(&fuzz)? {
        let found = built.join("corpus").join(&name);
        fs::create_dir_all(&found)?;
        let mut command = Command::new(built.join(host.trim()).join("release").join(&name));
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{name}-", built.display()))
            .args(LIMITS)
            .args([&found, &fuzz.join("corpus").join(&name)]);
        process::run(&mut command).with_context(|| {
            format!("`{name}` has found something; the input lies in {}", built.display())
        })?;
    }
    Ok(())
}

/// Names of all targets.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
