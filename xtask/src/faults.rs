//! `cargo xtask faults`: kills, failing system calls and damaged files, all of them.

use crate::{process, setup, test};
use anyhow::Result;
use std::env;

/// Kills and damages of whole studies, where the environment does not say how many.
const COUNTS: [(&str, &str); 2] =
    [("SPACEWRIGHT_TEST_KILLS", "200"), ("SPACEWRIGHT_TEST_DAMAGES", "300")];

/// Runs the fault suite in its long form.
pub fn run() -> Result<()> {
    setup::run()?;
    for arguments in
        [["-p", "spacewright-engine", "--test", "faults"], ["-p", "spacewright", "--test", "study"]]
    {
        let mut command = process::cargo();
        command.arg("test").args(arguments).env(test::LONG, "1");
        if arguments.contains(&"study") {
            command.args(["--", "--nocapture", "faults::"]);
            command
                .envs(COUNTS.into_iter().filter(|(variable, _)| env::var_os(variable).is_none()));
        }
        process::run(test::one_thread(&mut command))?;
    }
    Ok(())
}
