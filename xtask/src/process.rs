//! Running other programs.

use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::OsStr,
    process::{Command, Output},
};

/// Settings that keep libtorch's threads from spinning while they wait for work.
///
/// Spinning threads slow training down several times when there are more threads than free cores.
pub const PASSIVE_THREADS: [(&str, &str); 2] =
    [("OMP_WAIT_POLICY", "passive"), ("KMP_BLOCKTIME", "0")];

/// The cargo that runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::repo::root());
    command
}

/// Python's complaint about an error nobody caught, on one line instead of a traceback.
const SHORT_COMPLAINT: &str = "\
import sys
sys.excepthook = lambda kind, error, _: print(f'{kind.__name__}: {error}', file=sys.stderr)
";

/// Python, running the script given as text; its arguments are added by the caller.
pub fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-c").arg(format!("{SHORT_COMPLAINT}{script}"));
    command
}

/// Runs `command` with this program's own input and output; an error if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", show(command));
    }
    Ok(())
}

/// Runs `command` and keeps what it prints, whether it succeeds or not.
pub fn capture(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| cannot_start(command))
}

/// Runs `command` and returns what it prints; an error with its complaint if it fails.
pub fn read(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", show(command), output.status, complaint.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no text", show(command)))
}

/// Whether `program` with these arguments can be started and succeeds.
pub fn works(command: &mut Command) -> bool {
    capture(command).is_ok_and(|output| output.status.success())
}

/// The command as one would type it; a script given as text is left out.
fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| if word.contains('\n') { "<script>".into() } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_start(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("cannot start `{program}`\nhint: install {program} and put it on PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_without_its_script() {
        let error = read(python("import sys\nsys.exit('went wrong')").arg("x")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`python3 -c <script> x` failed"), "{text}");
        assert!(text.ends_with("went wrong"), "{text}");
    }

    #[test]
    fn python_complains_on_one_line() {
        let text = read(&mut python("open('/no/such')")).unwrap_err().to_string();
        assert!(text.contains(": FileNotFoundError: "), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_missing_program_comes_with_a_hint() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("\nhint: install no-such-program"));
    }
}
