//! One `adb` command: what it is asked and how it ends.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::settings::ADB;

/// Stands before the exit status of what ran on the phone. Without it a connection that broke
/// looks like an end, and before Android 7 `adb shell` gives no exit status.
const MARK: &str = "spacewright-exit-status:";
/// No command has more to say than this, in bytes.
const MOST_OUTPUT: u64 = 1 << 20;
/// Lines of output that an error shows.
const LAST_LINES: usize = 6;
/// Characters of a command that an error shows.
const LONGEST_COMMAND: usize = 100;
const POLL: Duration = Duration::from_millis(5);

/// Why an `adb` command came to nothing.
#[derive(Debug, Error)]
pub(crate) enum AdbError {
    #[error(
        "there is no `{}`: install Android's platform tools, or name adb in {ADB}", .0.display()
    )]
    Missing(PathBuf),
    #[error("`{}` cannot be run: {source}", .program.display())]
    Io { program: PathBuf, source: io::Error },
    #[error(
        "`adb {command}` was ended after {} s without an end: look at the phone and its cable, or \
         restart adb with `adb kill-server`", .after.as_secs_f64()
    )]
    Timeout { command: String, after: Duration },
    #[error("`adb {command}` was ended: it printed more than {} KiB", MOST_OUTPUT >> 10)]
    Flood { command: String },
    #[error("`adb {command}` failed: {output}")]
    Failed { command: String, output: String },
    #[error("the connection to the phone broke in `adb {command}`: {output}")]
    Broken { command: String, output: String },
}

/// What a command on the phone ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub status: i32,
    /// Both of its output streams.
    pub output: String,
}

/// `adb`, for one device or none yet.
#[derive(Debug, Clone)]
pub(crate) struct Adb {
    pub program: PathBuf,
    pub serial: Option<String>,
    pub timeout: Duration,
}

impl Adb {
    /// The list of attached devices.
    pub fn devices(&self) -> Result<String, AdbError> {
        self.succeed(&["devices".as_ref(), "-l".as_ref()])
    }

    /// Copies a file to the phone.
    pub fn push(&self, local: &Path, remote: &str) -> Result<(), AdbError> {
        self.succeed(&["push".as_ref(), local.as_ref(), remote.as_ref()]).map(drop)
    }

    /// Runs a script of the phone's shell; names in it are to be [quoted](quote).
    pub fn shell(&self, script: &str) -> Result<Finished, AdbError> {
        let marked = format!("( {script} ) 2>&1; echo {MARK}$?");
        let args: [&OsStr; 2] = ["shell".as_ref(), marked.as_ref()];
        let (_, output) = self.run(&args)?;
        finished(&output).ok_or_else(|| AdbError::Broken {
            command: text(&["shell".as_ref(), script.as_ref()]),
            output: last_lines(&output),
        })
    }

    fn succeed(&self, args: &[&OsStr]) -> Result<String, AdbError> {
        let (status, output) = self.run(args)?;
        if status.success() {
            return Ok(output);
        }
        Err(AdbError::Failed { command: text(args), output: last_lines(&output) })
    }

    /// Runs adb itself, without a shell of this machine. Its output goes to a file, which needs
    /// nobody who reads along and does not wait for an adb server that outlives the command.
    fn run(&self, args: &[&OsStr]) -> Result<(ExitStatus, String), AdbError> {
        let io = |source| self.io(source);
        let mut output = tempfile::tempfile().map_err(io)?;
        let mut command = Command::new(&self.program);
        if let Some(serial) = &self.serial {
            command.args(["-s", serial]);
        }
        command.args(args).stdin(Stdio::null());
        command.stdout(output.try_clone().map_err(io)?);
        command.stderr(output.try_clone().map_err(io)?);
        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => AdbError::Missing(self.program.clone()),
            _ => self.io(source),
        })?;
        let ended = self.wait(&mut child, &output, args);
        if ended.is_err() {
            // Fails only where it has just ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        let status = ended?;
        let mut bytes = Vec::new();
        output.rewind().map_err(io)?;
        output.take(MOST_OUTPUT).read_to_end(&mut bytes).map_err(io)?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn wait(
        &self,
        child: &mut Child,
        output: &File,
        args: &[&OsStr],
    ) -> Result<ExitStatus, AdbError> {
        let start = Instant::now();
        loop {
            let ended = child.try_wait().map_err(|source| self.io(source))?;
            let length = output.metadata().map_err(|source| self.io(source))?.len();
            if length > MOST_OUTPUT {
                return Err(AdbError::Flood { command: text(args) });
            }
            if let Some(status) = ended {
                return Ok(status);
            }
            if start.elapsed() > self.timeout {
                return Err(AdbError::Timeout { command: text(args), after: self.timeout });
            }
            thread::sleep(POLL);
        }
    }

    fn io(&self, source: io::Error) -> AdbError {
        AdbError::Io { program: self.program.clone(), source }
    }
}

/// A command as an error shows it.
fn text(args: &[&OsStr]) -> String {
    let text = args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn finished(output: &str) -> Option<Finished> {
    let (output, status) = output.rsplit_once(MARK)?;
    Some(Finished { status: status.trim().parse().ok()?, output: output.to_owned() })
}

/// The last lines of an output that are not empty, in one line.
pub(crate) fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => "it printed nothing".into(),
        count => lines[count.saturating_sub(LAST_LINES)..].join(" | "),
    }
}

/// A word as the phone's shell takes it literally.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_output_without_its_status_is_not_finished() {
        assert_eq!(finished("count=50\n"), None);
        assert_eq!(finished(&format!("{MARK}\n")), None);
        let expected = Finished { status: 127, output: "no newline".into() };
        assert_eq!(finished(&format!("no newline{MARK}127\r\n")), Some(expected));
    }

    #[test]
    fn the_last_lines_are_shown() {
        assert_eq!(last_lines("\n \n"), "it printed nothing");
        assert_eq!(last_lines("1\n2\n3\n\n4\n5\n6\n7\n"), "2 | 3 | 4 | 5 | 6 | 7");
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(text(&["devices".as_ref(), "-l".as_ref()]), "devices -l");
        let long = "é".repeat(LONGEST_COMMAND);
        assert_eq!(text(&[format!("{long}x").as_ref()]), format!("{long}…"));
    }

    #[test]
    fn names_are_quoted_where_needed() {
        assert_eq!(quote("/data/local/tmp/a-b.tflite"), "/data/local/tmp/a-b.tflite");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(quote(""), "''");
    }

    #[cfg(unix)]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_shell_takes_quoted_words_literally(word in "[ -~é\t\n]{0,12}") {
            let script = format!("printf %s {}", quote(&word));
            let shown = Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(shown.stdout).unwrap(), word);
        }
    }
}
