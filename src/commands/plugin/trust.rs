//! Allowing a native library to run.

use std::{
    io::{self, IsTerminal, Write as _},
    path::Path,
};

use serde_json::json;
use spacewright_engine::{
    Carrier, default_home,
    plugins::{PluginFile, Trust, Trusted, carrier_of},
};

use crate::render::{Failure, Output};

const MEANING: &str = "\
A native library runs with all your rights: it can read, change and send whatever you can. No
limit holds for it, and what it breaks may end the program: a segmentation fault, a stack
overflow, a panic that it does not catch. A WebAssembly component can do none of this.
Trust covers this very content: after any change, it has to be trusted again.";

pub fn trust(file: &Path, yes: bool) -> Result<Output, Failure> {
    let content = PluginFile::read(file)?;
    match carrier_of(&content.bytes) {
        Some(Carrier::Native) => {}
        Some(_) => {
            let message = format!("{}: a WebAssembly component needs no trust", file.display());
            return Err(Failure::input(message).hint("install it: it runs within limits"));
        }
        None => {
            return Err(Failure::input(format!("{}: no native library", file.display())));
        }
    }
    if !yes && !agreed(file, &content)? {
        return Err(Failure::input(format!("{} is not trusted", file.display())));
    }
    let trusted = Trust::new(&default_home()?).trust(file, &content)?;
    let text = format!("trusted {} (SHA-256 {})", file.display(), trusted.sha256);
    Output::new(text, &json!({ "trusted": trusted }))
}

/// Takes trust back.
pub fn untrust(library: &str) -> Result<Output, Failure> {
    let gone = Trust::new(&default_home()?).untrust(library)?;
    let line = |one: &Trusted| {
        format!("no longer trusted: {} (SHA-256 {})", one.from.display(), one.sha256)
    };
    let lines: Vec<String> = gone.iter().map(line).collect();
    Output::new(lines.join("\n"), &json!({ "untrusted": gone }))
}

/// Says what it is about and asks.
fn agreed(file: &Path, content: &PluginFile) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::input(
            "nobody is there to answer: read `spacewright plugin trust --help`, then give --yes",
        ));
    }
    let mut stderr = io::stderr();
    let asked = write!(
        stderr,
        "{} ({} bytes)\nSHA-256 {}\n\n{MEANING}\n\nTrust it? [y/N] ",
        file.display(),
        content.bytes.len(),
        content.sha256
    );
    asked.and_then(|()| stderr.flush()).map_err(Failure::input)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
