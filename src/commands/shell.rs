//! What a shell knows of the program: completions, and the manual.

use std::{fs, path::Path};

use clap::{Arg, Command};
use clap_complete::Shell;
use serde_json::json;

use crate::{
    catalog, cli,
    render::{Failure, Output},
};

const PROGRAM: &str = "spacewright";

/// The completions of a shell, for its own files.
pub fn completions(shell: Shell) -> Result<Output, Failure> {
    let mut script = Vec::new();
    let mut command = without_hidden(&cli::command(&catalog::steps()?));
    clap_complete::generate(shell, &mut command, PROGRAM, &mut script);
    let script = String::from_utf8(script).map_err(Failure::failed)?;
    let data = json!({ "shell": shell.to_string(), "script": script });
    Ok(Output::new(script, &data)?.verbatim())
}

/// The program without the commands that it calls itself: scripts would offer them as well.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let (subcommands, arguments): (Vec<Command>, Vec<Arg>) =
        (shown.cloned().collect(), command.get_arguments().cloned().collect());
    let version = env!("CARGO_PKG_VERSION");
    Command::new(PROGRAM).version(version).args(arguments).subcommands(subcommands)
}

/// The manual, a page for each command, in a folder such as `man/man1`.
pub fn manual(folder: &Path) -> Result<Output, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(cli::command(&catalog::steps()?).name(PROGRAM), folder)
        .map_err(failed)?;
    let text = format!(
        "wrote {}; read it with `man -l {}/{PROGRAM}.1`",
        folder.display(),
        folder.display()
    );
    Output::new(text, &json!({ "folder": folder }))
}
