//! `cargo xtask faults`: kills, failing system calls and damaged files, all of them.

use crate::{process, setup, test};
use anyhow::Result;

/// Runs the fault suite in its long form; how many kills and damages, the environment says.
pub fn run() -> Result<()> {
    setup::run()?;
    for arguments in
        [["-p", "spacewright-engine", "--test", "faults"], ["-p", "spacewright", "--test", "study"]]
    {
        let mut command = process::cargo();
        command.arg("test").args(arguments).env(test::LONG, "1");
        if arguments.contains(&"study") {
            command.args(["--", "--nocapture", "faults::"]);
        }
        process::run(test::one_thread(&mut command))?;
    }
    Ok(())
}
