//! Compiling in a process of its own, whose memory and time are limited: code that takes the
//! compiler long cannot be told from other code before it is compiled.

use std::{
    io::{Read, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

/// Exit code of a compiler that says on standard error why it refuses a component.
pub const REFUSED: u8 = 3;

/// More compiled code than any component that is allowed to be compiled has.
const MOST_CODE: u64 = 48 << 20;
const LONGEST_REASON: u64 = 16 << 10;
const POLL: Duration = Duration::from_millis(2);

/// A command that reads a component from standard input and writes what
/// [`compile`](super::compile) makes of it to standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why a component was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum CompilerError {
    /// The compiler says why.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("compiling it takes longer than {:.1} s, the most that it may", .0.as_secs_f64())]
    Time(Duration),
    /// The process was ended.
    #[error("compiling it takes more memory than it may, or breaks the compiler ({0})")]
    Ended(ExitStatus),
    /// The system could not run the process.
    #[error("the compiler cannot be run: {0}")]
    System(String),
}

impl Compiler {
    /// Compiles a component within this time.
    pub(super) fn compile(
        &self,
        component: &[u8],
        time: Duration,
    ) -> Result<Vec<u8>, CompilerError> {
        let system = |error: std::io::Error| CompilerError::System(error.to_string());
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(system)?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            // A compiler that ends early does not read all.
            scope.spawn(|| input.map(|mut input| input.write_all(component)));
            let code = scope.spawn(|| read(output, MOST_CODE));
            let reason = scope.spawn(|| read(errors, LONGEST_REASON));
            let status = wait(&mut child, time).map_err(system)?;
            let [code, reason] = [code, reason].map(|reader| reader.join().unwrap_or_default());
            match status {
                None => Err(CompilerError::Time(time)),
                Some(status) if status.success() => Ok(code),
                Some(status) if status.code() == Some(REFUSED.into()) => {
                    Err(CompilerError::Refused(String::from_utf8_lossy(&reason).into_owned()))
                }
                Some(status) => Err(CompilerError::Ended(status)),
            }
        })
    }
}

/// Limits the memory and processor time of this process from now on, where the system can.
#[cfg(unix)]
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
pub(super) fn confine(memory: usize, time: Duration) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Cpu, most(time.as_secs().max(1)))?;
    let used = data_bytes().unwrap_or(0);
    Ok(setrlimit(Resource::Data, most(used.saturating_add(memory as u64)))?)
}

#[cfg(not(unix))]
#[cfg_attr(not(feature = "wasm-plugins"), allow(dead_code))]
pub(super) fn confine(_: usize, _: Duration) -> std::io::Result<()> {
    Ok(())
}

/// Bytes of data that the process has: what its libraries brought along is not counted twice.
#[cfg(unix)]
fn data_bytes() -> Option<u64> {
    const DATA: usize = 5;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(DATA)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(from) = from {
        let _ = from.take(most).read_to_end(&mut content);
    }
    content
}

/// How the process ended; `None` where it had to be stopped.
fn wait(child: &mut Child, time: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > time {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Compiler {
        Compiler { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[test]
    fn what_a_compiler_says_and_how_it_ends_is_told_apart() {
        let compile = |script: &str| shell(script).compile(b"component", Duration::from_secs(5));
        assert_eq!(compile("cat").unwrap(), b"component");
        let refused = CompilerError::Refused("too much\n".into());
        assert_eq!(compile("echo too much >&2; exit 3"), Err(refused));
        assert!(matches!(compile("kill -9 $$"), Err(CompilerError::Ended(_))));
        assert!(matches!(compile("exit 1"), Err(CompilerError::Ended(_))));
        let missing = Compiler { program: "/nowhere".into(), arguments: Vec::new() };
        let error = missing.compile(b"", Duration::from_secs(5)).unwrap_err();
        assert!(matches!(error, CompilerError::System(_)));
    }

    #[test]
    fn an_endless_compiler_is_stopped() {
        let start = Instant::now();
        let time = Duration::from_millis(100);
        assert_eq!(shell("exec sleep 60").compile(b"", time), Err(CompilerError::Time(time)));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
