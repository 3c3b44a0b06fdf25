//! The side that computes: does what it is told, one job after the other.

mod line;
mod log;
mod session;
mod usage;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{Arc, atomic::Ordering},
};

use spacewright_core::{
    data::StudyImages,
    operators::Operators,
    train::{Compute, CurvePoint, Monitor, TeamPlace, TrainContext, TrainError, Trainer},
};
use spacewright_data::CatalogImages;

use crate::{
    invitation,
    message::{Answer, Context, FromWorker, Job, PROTOCOL, Problem, SharedStudyImages, ToWorker},
    socket::Socket,
    wire,
};
use line::{FromHead, Incoming, Line, RemoteOperators, RemoteQuantizer};

/// A trainer, and the name of the card that it computes on, if it is one; or why there is none.
type Made<T> = Result<(T, Option<String>), TrainError>;

/// Serves the trainer of this name over the socket that is the standard input of this process, until the other
/// side closes it; then the process ends at once. `make` gives the trainer, and the name of the card that it
/// computes on, if it is one; it is told what to compute with, this process's number among those of its machine,
/// which GPUs go by, and its place in a team, if it has one.
///
/// # Errors
///
/// A standard input that is no socket, or another side that says what cannot be understood.
pub fn serve<T: Trainer>(
    name: &str,
    make: impl FnOnce(&Compute, usize, Option<&TeamPlace>) -> Made<T>,
) -> io::Result<()> {
    serve_on(take_socket()?, name, make)
}

/// Connects to the head at the address `announced` and serves it as process `rank` (`local_rank` on this machine).
///
/// # Errors
///
/// A head that cannot be reached, or that says what cannot be understood.
pub fn join<T: Trainer>(
    announced: &str,
    (rank, local_rank): (usize, usize),
    name: &str,
    make: impl FnOnce(&Compute, usize, Option<&TeamPlace>) -> Made<T>,
) -> io::Result<()> {
    serve_on(invitation::accept(announced, rank, local_rank)?, name, make)
}

fn serve_on<T: Trainer>(
    socket: Socket,
    name: &str,
    make: impl FnOnce(&Compute, usize, Option<&TeamPlace>) -> Made<T>,
) -> io::Result<()> {
    tell_panics_in_one_line();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let trainer = name.to_owned();
    wire::send(&socket, &FromWorker::Greeting { protocol: PROTOCOL, version, trainer })?;
    let Some(ToWorker::Start { compute, place, verbose }) = wire::receive(&socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "was not told how to start"));
    };
    let line = Arc::new(Line::new(socket)?);
    log::send_to(&line, verbose);
    let trainer = match make(&compute, place.local_rank(), place.in_team()) {
        Ok((trainer, card)) => {
            line.tell(&FromWorker::Started { card });
            trainer
        }
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            line.tell(&FromWorker::Refused { reason: error.to_string(), hint });
            return Ok(());
        }
    };
    let mut worker = Worker { trainer, line, images: HashMap::new() };
    while let Some(incoming) = worker.line.next() {
        worker.handle(incoming);
    }
    Ok(())
}

/// The last line that this process writes is what the head tells of its end.
fn tell_panics_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        let _ = writeln!(io::stderr(), "{text}");
    }));
}

/// The standard input, which libraries find empty from now on.
fn take_socket() -> io::Result<Socket> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Socket::Local(socket))
}

struct Worker<T> {
    trainer: T,
    line: Arc<Line>,
    images: HashMap<u64, Result<StudyImages, String>>,
}

impl<T: Trainer> Worker<T> {
    fn handle(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Images { id, images, files } => {
                let images = own_images(images, files).map_err(|error| error.to_string());
                self.images.insert(id, images);
            }
            Incoming::Told(FromHead::Work { context, job }) => {
                let context = self.context(*context);
                let outcome = context.and_then(|context| self.work(&context, *job));
                match outcome {
                    Ok(Some(answer)) => self.line.done(answer),
                    Ok(None) => {}
                    Err(error) => self.line.failed(&error),
                }
            }
            // What came too late for what it was about.
            Incoming::Told(_) => {}
        }
    }

    fn context(&self, told: Context) -> Result<TrainContext, TrainError> {
        let images = match self.images.get(&told.images) {
            Some(Ok(images)) => images.clone(),
            Some(Err(reason)) => return Err(TrainError::Said(reason.clone())),
            None => return Err(TrainError::Said("these images were not told before".into())),
        };
        let set = RemoteOperators { line: self.line.clone(), blocks: told.blocks };
        let quantizer = RemoteQuantizer { line: self.line.clone(), named: told.quantizer };
        Ok(TrainContext {
            operators: Operators::new([Arc::new(set) as _])?,
            images,
            hyperspace: told.hyperspace,
            scheme: told.scheme,
            quantizer: Arc::new(quantizer),
            seed: told.seed,
        })
    }

    /// The answer; none where all was answered already.
    fn work(&self, context: &TrainContext, job: Job) -> Result<Option<Answer>, TrainError> {
        let monitor = LineMonitor(&self.line);
        let answer = match job {
            Job::Teach { job, output, scratch } => {
                Answer::Taught(self.trainer.teach(context, &job, &output, &scratch, &monitor)?)
            }
            Job::Features { job, output } => {
                self.trainer.features(context, &job, &output, &monitor)?;
                Answer::Nothing
            }
            Job::Distil { job, output, scratch } => {
                Answer::Distilled(self.trainer.distil(context, &job, &output, &scratch, &monitor)?)
            }
            Job::Judge { job } => Answer::Judged(self.trainer.judge(context, &job, &monitor)?),
            Job::Train { job, files } => {
                Answer::Trained(self.trainer.train(context, &job, &files, &monitor)?)
            }
            Job::TrainSubnet { job, files } => {
                Answer::Trained(self.trainer.train_subnet(context, &job, &files, &monitor)?)
            }
            Job::LearnScales { job, output, scratch } => {
                self.trainer.learn_scales(context, &job, &output, &scratch, &monitor)?;
                Answer::Nothing
            }
            Job::Benchmark { job } => {
                Answer::Benchmark(self.trainer.benchmark(context, &job, &monitor)?)
            }
            Job::Evaluate { job } => {
                let evaluator = self.trainer.evaluator(context, &job)?;
                session::answer_all(evaluator, &self.line);
                return Ok(None);
            }
        };
        Ok(Some(answer))
    }
}

fn own_images(
    shared: SharedStudyImages,
    files: Vec<File>,
) -> Result<StudyImages, spacewright_core::train::AnyError> {
    let SharedStudyImages { description, train, held_out, test, judging, training } = shared;
    Ok(StudyImages {
        all: Arc::new(CatalogImages::shared(&description, files)?),
        train: train.into(),
        held_out: held_out.into(),
        test: test.into(),
        judging: judging.into(),
        training: training.into(),
    })
}

/// Tells the head how far the work is, and asks whether to go on.
struct LineMonitor<'a>(&'a Line);

impl Monitor for LineMonitor<'_> {
    fn progress(&self, done: usize, total: usize, note: &str) {
        self.0.progress(done, total, note);
    }

    fn curve(&self, point: &CurvePoint) {
        self.0.tell(&FromWorker::Curve(point.clone()));
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }
}

/// An error as it crosses.
fn problem(error: &TrainError) -> Problem {
    match error {
        TrainError::Cancelled => Problem::Cancelled,
        TrainError::Diverged { what, step } => {
            Problem::Diverged { what: what.clone(), step: *step }
        }
        other => Problem::Said(other.to_string()),
    }
}
