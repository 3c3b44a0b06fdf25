//! The process that asks, and that ends the other one where a limit is reached.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use spacewright_core::foreign::{Escaped, MeasuredInput, shortened};
use spacewright_engine::EngineError;
use tempfile::TempDir;

use super::{
    memory_hint,
    messages::{Found, Message, OpenTask, ReadTask, Request, Task},
};
use crate::{process::cancelled_by_signal, render::Failure};

/// For everything before the file is opened: loading plugins and runtimes.
const START: Duration = Duration::from_secs(120);
/// How many times the limit a plugin may take that opens, runs and measures a file in one call.
const UNWATCHED: u64 = 40;
/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// For a process that says nothing any more to end.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Longest line that is read of the other process.
const LONGEST_ANSWER: u64 = 1 << 28;
const LONGEST_LOG_LINE: u64 = 1 << 14;

/// Opens a file in a process of its own, and gives what became known of it. Where that process had
/// to be ended after it had said what the file holds, the reason is [`Found::not_measured`].
pub fn ask(request: &Request, verbose: bool) -> Result<Found, Failure> {
    check_names(request)?;
    check_file(request)?;
    let mut process = Process::start(request, verbose)?;
    let mut watched = Watched::new(request);
    let cancel = cancelled_by_signal();
    let outcome = loop {
        let wait = watched.deadline.saturating_duration_since(Instant::now());
        let message = process.messages.recv_timeout(wait.min(LOOK));
        if cancel.load(Ordering::Relaxed) {
            return Err(EngineError::cancelled().into());
        }
        match message {
            Ok(Message::Done) => break Ok(()),
            Ok(Message::Failed(problem)) => {
                let failure = match problem.is_input {
                    true => Failure::input(problem.message),
                    false => Failure::failed(problem.message),
                };
                break Err(match problem.hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                });
            }
            Ok(message) => watched.hear(message),
            Err(RecvTimeoutError::Timeout) if wait > LOOK => {}
            Err(RecvTimeoutError::Timeout) => break Err(watched.too_long()),
            Err(RecvTimeoutError::Disconnected) => {
                let (status, last_line) = process.end();
                break Err(watched.ended(status, &last_line));
            }
        }
    };
    drop(process);
    let mut found = watched.found;
    match outcome {
        Err(failure) if found.summary.is_some() && watched.inspects => {
            found.not_measured = Some(failure.in_one_line());
            Ok(found)
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(found),
    }
}

/// That the other process can be told of all files, which is done in JSON.
fn check_names(request: &Request) -> Result<(), Failure> {
    let more = match &request.task {
        Task::Read(ReadTask::Import { folder } | ReadTask::Structure { folder }) => {
            std::slice::from_ref(folder)
        }
        Task::Open(OpenTask::Run { images }) => &images[..],
        Task::Open(OpenTask::Inspect { .. } | OpenTask::Measure) => &[],
    };
    let mut all = std::iter::once(&request.model).chain(more);
    match all.find(|path| path.to_str().is_none()) {
        Some(path) => Err(Failure::input(format!("{}: its name is no UTF-8", path.display()))
            .hint("give it another name, or a link with one")),
        None => Ok(()),
    }
}

/// That there is a file which fits into memory: devices and pipes have no end.
fn check_file(request: &Request) -> Result<(), Failure> {
    let Request { model, memory_gib, .. } = request;
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", model.display()));
    let hint = "name a model file, such as one in ONNX or TFLite format";
    let about = fs::metadata(model).map_err(|error| wrong(error.to_string()).hint(hint))?;
    if !about.is_file() {
        return Err(wrong("this is no file".into()).hint(hint));
    }
    if about.len() > memory_gib.saturating_mul(1 << 30) {
        let reason = format!("it has {} bytes, more than may be read", about.len());
        return Err(wrong(reason).hint(memory_hint(*memory_gib)));
    }
    Ok(())
}

/// The other process; it is ended when this is dropped.
struct Process {
    child: Child,
    messages: Receiver<Message>,
    last_line: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
    /// Temporary files of a process that was ended are nobody's.
    _temporary: TempDir,
}

impl Process {
    fn start(request: &Request, verbose: bool) -> Result<Self, Failure> {
        let program = env::current_exe().map_err(Failure::failed)?;
        let temporary = tempfile::tempdir().map_err(Failure::failed)?;
        let mut child = Command::new(program)
            .arg("foreign-file")
            .args(verbose.then_some("--verbose"))
            .env("TMPDIR", temporary.path())
            // Lines after the one that says what went wrong are no use.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Failure::failed)?;
        let last_line = Arc::<Mutex<String>>::default();
        let (sender, messages) = channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || forward(output, &sender));
        }
        let logging = child.stderr.take().map(|errors| {
            let last_line = last_line.clone();
            thread::spawn(move || log(errors, &last_line))
        });
        let request = serde_json::to_vec(request).map_err(Failure::failed)?;
        if let Some(mut input) = child.stdin.take() {
            // One that has ended already is noticed by its silence.
            let _ = input.write_all(&request);
        }
        Ok(Self { child, messages, last_line, logging, _temporary: temporary })
    }

    /// How it ended, and the last line that it wrote to standard error; it may go on, and what it
    /// has started may keep standard error open.
    fn end(&mut self) -> (Option<ExitStatus>, String) {
        let status = soon(|| self.child.try_wait().ok().flatten());
        soon(|| self.logging.as_ref().is_none_or(JoinHandle::is_finished).then_some(()));
        let last_line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (status, last_line)
    }
}

/// Asks again until there is an answer, but not for long.
fn soon<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        match ask() {
            None if start.elapsed() < LAST_WAIT => thread::sleep(Duration::from_millis(10)),
            answer => return answer,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `each` with every line, cut at `most` bytes.
fn lines(input: impl Read, most: u64, mut each: impl FnMut(&[u8]) -> bool) {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    while input.by_ref().take(most).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if !each(&line) {
            break;
        }
        line.clear();
    }
}

fn forward(output: impl Read, sender: &Sender<Message>) {
    lines(output, LONGEST_ANSWER, |line| match serde_json::from_slice(line) {
        Ok(message) => sender.send(message).is_ok(),
        Err(error) => {
            tracing::debug!("an answer cannot be read: {error}");
            false
        }
    });
}

fn log(errors: impl Read, last_line: &Mutex<String>) {
    lines(errors, LONGEST_LOG_LINE, |line| {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if !text.is_empty() {
            tracing::debug!("{}", Escaped(text));
        }
        // Notes say how to see more of what went wrong.
        if !text.is_empty() && !text.starts_with("note: ") {
            let mut last = last_line.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Escaped(shortened(text, 200)).to_string();
        }
        true
    });
}

/// What is known, and until when there has to be more.
struct Watched<'r> {
    request: &'r Request,
    inspects: bool,
    found: Found,
    phase: Phase,
    deadline: Instant,
}

enum Phase {
    Starting,
    Opening,
    FirstRun(Vec<MeasuredInput>),
    Measuring,
    /// On images.
    Running,
    /// By a plugin, which opens and runs it as often as it likes.
    Unwatched,
}

impl<'r> Watched<'r> {
    fn new(request: &'r Request) -> Self {
        let inspects = matches!(request.task, Task::Open(OpenTask::Inspect { .. }));
        let (found, deadline) = (Found::default(), Instant::now() + START);
        Self { request, inspects, found, phase: Phase::Starting, deadline }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.deadline = Instant::now() + self.limit();
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Ready { target } => {
                self.found.target = target;
                self.enter(Phase::Opening);
            }
            // The first run is part of what opening may take.
            Message::Opened(inputs) => self.phase = Phase::FirstRun(inputs),
            Message::Measuring | Message::Running => self.enter(Phase::Measuring),
            Message::Unwatched => self.enter(Phase::Unwatched),
            Message::Summary(summary) => self.found.summary = Some(*summary),
            Message::FloatOperators { by, operators } => self.found.correct(by, operators),
            Message::Predicted(predicted) => self.found.predicted = Some(predicted),
            Message::Measured(measured) => self.found.measured = Some(*measured),
            Message::NotMeasured(reason) => self.found.not_measured = Some(reason),
            Message::Loaded => self.enter(Phase::Running),
            Message::Ran(logits) => {
                self.found.ran.push(logits);
                self.enter(Phase::Running);
            }
            Message::Imported(report) => self.found.imported = Some(*report),
            Message::Failed(_) | Message::Done => {}
        }
    }

    /// How long the present phase may last.
    fn limit(&self) -> Duration {
        let seconds = self.request.seconds;
        match self.phase {
            Phase::Starting => START,
            Phase::Unwatched => Duration::from_secs(seconds.saturating_mul(UNWATCHED)),
            _ => Duration::from_secs(seconds),
        }
    }

    /// What the other process was doing.
    fn doing(&self) -> String {
        match &self.phase {
            Phase::Starting => "the runtime was loaded".into(),
            Phase::Opening => "it was opened".into(),
            Phase::FirstRun(inputs) => {
                let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
                format!("it first ran, with {}", inputs.join(", "))
            }
            Phase::Measuring | Phase::Unwatched => "it was measured".into(),
            Phase::Running => format!("it ran on image {}", self.found.ran.len() + 1),
        }
    }

    fn too_long(&self) -> Failure {
        let (model, seconds) = (&self.request.model, self.limit().as_secs());
        let message = format!(
            "{}: the limit of {seconds} s was reached while {}",
            model.display(),
            self.doing()
        );
        Failure::input(message)
            .hint("--limit SECONDS allows more time; a model whose loop never ends needs for ever")
    }

    fn ended(&self, status: Option<ExitStatus>, last_line: &str) -> Failure {
        let Request { model, memory_gib, .. } = self.request;
        let how = status.map_or_else(|| "no answer".into(), |status| status.to_string());
        let said = match last_line {
            "" => String::new(),
            line => format!(": {line}"),
        };
        let message = format!(
            "{}: the runtime's process ended ({how}) while {}{said}",
            model.display(),
            self.doing()
        );
        let hint = memory_hint(*memory_gib);
        Failure::input(message)
            .hint(format!("{hint}; else the file is damaged, or the runtime cannot run it"))
    }
}
