//! The command as a whole: arguments in; standard output, standard error and exit code out.

#[macro_use]
mod published;
mod data;
mod explain;
mod foreign;
mod lite0;
mod reference;
mod shell;
mod space;
mod study;
mod subnet;
mod table;

use std::process::Command;

use serde_json::Value;

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// `spacewright` with these arguments, split at spaces.
fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    command
        .args(arguments.split_whitespace())
        // Plugins that are installed on this machine are not part of the tests.
        .env("SPACEWRIGHT_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-home"));
    command
}

/// Runs `spacewright` with these arguments, split at spaces.
fn run(arguments: &str) -> Ran {
    let output = command(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Standard output of a run that must succeed and say nothing else.
fn text(arguments: &str) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, &*ran.stderr), (0, ""), "{arguments}");
    ran.stdout
}

fn json(arguments: &str) -> Value {
    serde_json::from_str(&text(&format!("--json {arguments}"))).unwrap()
}

/// Standard error of a run that must refuse its input.
fn refusal(arguments: &str) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, &*ran.stdout), (2, ""), "{arguments}");
    ran.stderr
}
