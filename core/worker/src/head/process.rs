//! One worker: its process, what it is told, what it asks.

use std::{
    collections::HashSet,
    io::{self, BufRead as _, BufReader, Read},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use spacewright_core::{
    data::{SharedImages, StudyImages},
    operators::Operators,
    quant::Quantizer,
    train::{Compute, Monitor, TeamPlace, TrainError, Usage},
};

use super::{
    error::{End, WorkerError},
    places::HeldPlace,
    program::WorkerProgram,
};
use crate::{
    invitation::Guest,
    message::{
        Answer, FromWorker, LogLevel, NeedScales, PROTOCOL, Place, Problem, Scales,
        SharedStudyImages, ToWorker,
    },
    socket::Socket,
    wire,
};

/// How often it is asked whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// For a library to be loaded, from however slow a disk.
const GREETING: Duration = Duration::from_secs(60);
/// For a trainer to be ready: libraries of gigabytes are read.
const READY: Duration = Duration::from_secs(300);
/// For a process that has closed its connection to end.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// What it does at first, for errors.
const STARTING: &str = "starting";
/// Longest line of what it writes that is read.
const LONGEST_LINE: u64 = 1 << 14;

/// Who answers while a worker works.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub operators: &'a Operators,
    pub quantizer: &'a dyn Quantizer,
    pub monitor: Option<&'a dyn Monitor>,
    /// Whether nobody waits for the answer any more.
    pub given_up: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// A worker; it is ended when this is dropped.
pub struct Process {
    /// `None` on another machine.
    child: Option<Child>,
    program: PathBuf,
    socket: Socket,
    messages: Receiver<io::Result<FromWorker>>,
    last_line: Arc<Mutex<String>>,
    /// Numbers of the images that it knows.
    images: HashSet<usize>,
    /// The card that it computes on; none for the processor.
    pub card: Option<String>,
    /// Its number in a team, if it belongs to one.
    pub rank: Option<usize>,
    /// Its place on this machine, if it belongs to no team.
    place: Option<HeldPlace>,
    /// The name of its machine, where that is another one.
    pub machine: Option<String>,
    /// What it has used since this was taken last, as far as it has said.
    pub usage: Usage,
}

impl Process {
    /// Starts a process that serves the trainer of this name in a place of this machine, and waits until it can
    /// compute.
    pub fn start(
        program: &WorkerProgram,
        name: &str,
        compute: &Compute,
        place: HeldPlace,
    ) -> Result<Self, WorkerError> {
        let mut process = Self::launch(program, compute)?;
        process.place = Some(place);
        process.begin(name, compute, None)?;
        process.get_ready()?;
        Ok(process)
    }

    /// Starts a process, which is to [begin](Self::begin) next.
    pub fn launch(program: &WorkerProgram, compute: &Compute) -> Result<Self, WorkerError> {
        let start = |source| WorkerError::Start { program: program.path().to_owned(), source };
        let (socket, theirs) = UnixStream::pair().map_err(start)?;
        let mut command = program.command(compute.device);
        // Ctrl-C is for the head, which asks workers to stop at a safe point.
        command.process_group(0);
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        // The command holds the other end of the socket, whose closing tells that the process has ended.
        drop(command);
        let mut child = spawned.map_err(start)?;
        let last_line = Arc::<Mutex<String>>::default();
        if let Some(output) = child.stdout.take() {
            listen(output, &last_line);
        }
        if let Some(errors) = child.stderr.take() {
            listen(errors, &last_line);
        }
        let socket = Socket::Local(socket);
        Self::connected(program, Some(child), socket, last_line).map_err(start)
    }

    /// A process that was started on another machine, which is to [begin](Self::begin) next.
    pub fn of_guest(program: &WorkerProgram, guest: Guest) -> Result<Self, WorkerError> {
        let Guest { socket, rank, machine, .. } = guest;
        let start = |source| WorkerError::Start { program: program.path().to_owned(), source };
        let mut process = Self::connected(program, None, socket, Arc::default()).map_err(start)?;
        process.rank = Some(rank);
        process.machine = Some(machine);
        Ok(process)
    }

    fn connected(
        program: &WorkerProgram,
        child: Option<Child>,
        socket: Socket,
        last_line: Arc<Mutex<String>>,
    ) -> io::Result<Self> {
        let (sender, messages) = channel();
        let incoming = socket.try_clone()?;
        thread::spawn(move || {
            while let Some(message) = wire::receive(&incoming).transpose() {
                let is_last = message.is_err();
                if sender.send(message).is_err() || is_last {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            program: program.path().to_owned(),
            socket,
            messages,
            last_line,
            images: HashSet::new(),
            card: None,
            rank: None,
            place: None,
            machine: None,
            usage: Usage::default(),
        })
    }

    /// Whether it is known to have ended; of one on another machine nothing is.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Hears who it is, and tells it what to compute with, and its place in a team, if it has one.
    pub fn begin(
        &mut self,
        name: &str,
        compute: &Compute,
        in_team: Option<TeamPlace>,
    ) -> Result<(), WorkerError> {
        self.greet(name)?;
        self.rank = in_team.as_ref().map(|place| place.rank);
        let local_rank = self.place.as_ref().map_or(0, |place| place.number);
        let place = in_team.map_or(Place::Alone { local_rank }, Place::InTeam);
        let verbose = tracing::enabled!(tracing::Level::DEBUG);
        let start = ToWorker::Start { compute: *compute, place, verbose };
        self.tell(&start).map_err(|_| self.ended(STARTING))
    }

    fn greet(&mut self, name: &str) -> Result<(), WorkerError> {
        match self.hear(GREETING, "no greeting for a minute")? {
            FromWorker::Greeting { protocol, version, trainer } => {
                let expected = (PROTOCOL, env!("CARGO_PKG_VERSION"), name);
                if (protocol, version.as_str(), trainer.as_str()) == expected {
                    return Ok(());
                }
                let found = format!("{version}, protocol {protocol}, `{trainer}`");
                Err(WorkerError::Version { program: self.program.clone(), found })
            }
            _ => Err(WorkerError::Protocol { reason: "no greeting".into() }),
        }
    }

    /// Waits until it can compute.
    pub fn get_ready(&mut self) -> Result<(), WorkerError> {
        loop {
            match self.hear(READY, "not ready for five minutes")? {
                FromWorker::Started { card } => {
                    self.card = card;
                    return Ok(());
                }
                FromWorker::Refused { reason, hint } => {
                    return Err(WorkerError::Refused { reason, hint });
                }
                FromWorker::Log { level, text } => log(level, &text),
                _ => return Err(WorkerError::Protocol { reason: "not asked for".into() }),
            }
        }
    }

    /// That it lives, while it is not spoken with.
    pub fn check(&mut self) -> Result<(), WorkerError> {
        match self.child.as_mut().map(|child| child.try_wait()) {
            Some(Ok(Some(_))) => Err(self.ended(STARTING)),
            _ => Ok(()),
        }
    }

    /// What it tells next while it starts; `late` says that it tells nothing.
    fn hear(&mut self, patience: Duration, late: &str) -> Result<FromWorker, WorkerError> {
        match self.messages.recv_timeout(patience) {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(error)) => Err(self.unreadable(&error, STARTING)),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended(STARTING)),
            Err(RecvTimeoutError::Timeout) => {
                Err(WorkerError::Protocol { reason: late.to_owned() })
            }
        }
    }

    /// Sends a message.
    pub fn tell(&mut self, message: &ToWorker) -> io::Result<()> {
        wire::send(&self.socket, message)
    }

    /// Sees to it that it knows images by their number.
    pub fn tell_images(&mut self, number: usize, images: &StudyImages) -> Result<(), TrainError> {
        if self.images.contains(&number) {
            return Ok(());
        }
        let SharedImages { description, files } = images.all.share().map_err(TrainError::Image)?;
        let shared = SharedStudyImages {
            description,
            train: images.train.to_vec(),
            held_out: images.held_out.to_vec(),
            test: images.test.to_vec(),
            judging: images.judging.to_vec(),
            training: images.training.to_vec(),
        };
        let message = ToWorker::Images { id: number as u64, images: shared, files: files.len() };
        const DOING: &str = "reading images";
        self.send(&message, DOING)?;
        let handed_over = wire::send_files(&self.socket, &files);
        handed_over.map_err(|error| self.unreadable(&error, DOING))?;
        self.images.insert(number);
        Ok(())
    }

    /// Sends a message and waits for the answer.
    pub fn ask(
        &mut self,
        doing: &'static str,
        message: &ToWorker,
        asked: &Asked<'_>,
    ) -> Result<Answer, TrainError> {
        let mut cancelled = false;
        let mut unanswered = None;
        self.send(message, doing)?;
        loop {
            let heard = self.messages.recv_timeout(LOOK);
            // Whether or not something was heard: it may tell how far it is all the time.
            if !cancelled && asked.monitor.is_some_and(Monitor::cancelled) {
                cancelled = true;
                self.send(&ToWorker::Cancel, doing)?;
            }
            let heard = match heard {
                Ok(Ok(heard)) => heard,
                Ok(Err(error)) => return Err(self.unreadable(&error, doing).into()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(doing).into()),
                Err(RecvTimeoutError::Timeout) => {
                    if asked.given_up.is_some_and(|given_up| given_up()) {
                        return Err(WorkerError::GivenUp.into());
                    }
                    continue;
                }
            };
            match heard {
                FromWorker::Progress { done, total, note } => {
                    if let Some(monitor) = asked.monitor {
                        monitor.progress(done, total, &note);
                    }
                }
                FromWorker::Curve(point) => {
                    if let Some(monitor) = asked.monitor {
                        monitor.curve(&point);
                    }
                }
                FromWorker::Log { level, text } => log(level, &text),
                FromWorker::NeedGraphs(requests) => {
                    let graphs = asked.operators.graphs(&requests);
                    let graphs = graphs.map_err(|error| unanswered = Some(error.into())).ok();
                    self.send(&ToWorker::Graphs(graphs), doing)?;
                }
                FromWorker::NeedScales(need) => {
                    let scales = scales(asked.quantizer, &need);
                    let scales = scales.map_err(|error| unanswered = Some(error)).ok();
                    self.send(&ToWorker::Scales(scales), doing)?;
                }
                FromWorker::Done { answer, usage } => {
                    self.usage = self.usage.and(usage);
                    return Ok(*answer);
                }
                FromWorker::Failed { problem, usage } => {
                    self.usage = self.usage.and(usage);
                    return Err(failure(problem, unanswered));
                }
                FromWorker::Greeting { .. }
                | FromWorker::Started { .. }
                | FromWorker::Refused { .. } => {
                    let reason = "started a second time".into();
                    return Err(WorkerError::Protocol { reason }.into());
                }
            }
        }
    }

    fn send(&mut self, message: &ToWorker, doing: &'static str) -> Result<(), TrainError> {
        match self.tell(message) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(self.ended(doing).into())
            }
            told => told.map_err(|error| self.unreadable(&error, doing).into()),
        }
    }

    /// That the connection is closed: how the process ended, or what it goes on with.
    fn ended(&mut self, doing: &'static str) -> WorkerError {
        let status = self.child.as_mut().and_then(status);
        // What it wrote last may not have been read yet.
        thread::sleep(Duration::from_millis(20));
        let last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = if last.is_empty() { String::new() } else { format!(": {last}") };
        WorkerError::Ended { doing, end: End(status), said }
    }

    /// What was heard is no message: often since the process ended in the middle of one.
    fn unreadable(&mut self, error: &io::Error, doing: &'static str) -> WorkerError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => self.ended(doing),
            _ => WorkerError::Protocol { reason: error.to_string() },
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; what it had to keep, it has kept. One of another machine ends with its connection.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.socket.close();
    }
}

/// How a process has ended that does not speak any more.
fn status(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut status = child.try_wait().ok().flatten();
    while status.is_none() && start.elapsed() < LAST_WAIT {
        thread::sleep(Duration::from_millis(5));
        status = child.try_wait().ok().flatten();
    }
    status
}

fn scales(quantizer: &dyn Quantizer, need: &NeedScales) -> Result<Scales, TrainError> {
    Ok(match need {
        NeedScales::Activations(items) => Scales::Activations(quantizer.activations(items)?),
        NeedScales::Weights(channels, range) => {
            Scales::Weights(quantizer.weights(channels, *range)?)
        }
    })
}

fn failure(problem: Problem, unanswered: Option<TrainError>) -> TrainError {
    match problem {
        Problem::Cancelled => TrainError::Cancelled,
        Problem::Diverged { what, step } => TrainError::Diverged { what, step },
        Problem::Said(text) => TrainError::Said(text),
        Problem::Unanswered => {
            unanswered.unwrap_or_else(|| TrainError::Said("was not answered".into()))
        }
    }
}

fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Error => tracing::error!("{text}"),
        LogLevel::Warn => tracing::warn!("{text}"),
        LogLevel::Info => tracing::info!("{text}"),
        LogLevel::Debug => tracing::debug!("{text}"),
    }
}

/// Passes on what libraries write to who looks for mistakes, and keeps the last line.
fn listen(output: impl Read + Send + 'static, last_line: &Arc<Mutex<String>>) {
    let last_line = last_line.clone();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim().to_owned();
                    if !text.is_empty() {
                        tracing::debug!("trainer: {text}");
                        *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
                    }
                }
            }
        }
    });
}
