//! The connection to the head, as everything in this process uses it.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use spacewright_core::{
    graph::Graph,
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
    quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange},
    train::TrainError,
};

use super::{problem, usage::UsageMeter};
use crate::{
    message::{
        Answer, FromWorker, NamedQuantizer, NeedScales, Problem, Scales, SharedStudyImages,
        ToWorker,
    },
    socket::Socket,
    wire,
};

pub use crate::message::ToWorker as FromHead;

/// Exit code where the head says what cannot be understood.
const UNREADABLE: i32 = 3;

/// For a process without work to end by itself.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How often it is told how far the work is.
const OFTEN: Duration = Duration::from_millis(50);

/// What the head has told.
pub enum Incoming {
    Images { id: u64, images: SharedStudyImages, files: Vec<File> },
    Told(FromHead),
}

/// The connection.
pub struct Line {
    socket: Mutex<Socket>,
    incoming: Mutex<Receiver<Incoming>>,
    last_progress: Mutex<Option<Instant>>,
    /// Whether the head wants the present job to stop.
    pub cancelled: Arc<AtomicBool>,
    /// Whether the head did not answer a question of the present job.
    unanswered: AtomicBool,
    usage: UsageMeter,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// Starts to listen.
    pub fn new(socket: Socket) -> io::Result<Self> {
        let (sender, incoming) = channel();
        let cancelled = Arc::<AtomicBool>::default();
        let (reader, flag) = (socket.try_clone()?, cancelled.clone());
        thread::spawn(move || {
            let heard = listen(&reader, &sender, &flag);
            // The process ends by itself where it waits for work.
            drop(sender);
            match heard {
                Ok(()) => {
                    // Who has started it on another machine looks at how it ends.
                    if matches!(reader, Socket::Remote(_)) {
                        thread::sleep(LAST_WAIT);
                    }
                    // Whatever this process does, nobody waits for it any more.
                    end()
                }
                Err(error) => {
                    let _ = writeln!(io::stderr(), "what the head says cannot be read: {error}");
                    std::process::exit(UNREADABLE);
                }
            }
        });
        Ok(Self {
            socket: Mutex::new(socket),
            incoming: Mutex::new(incoming),
            last_progress: Mutex::new(None),
            cancelled,
            unanswered: AtomicBool::new(false),
            usage: UsageMeter::default(),
        })
    }

    /// What the head tells next.
    pub fn next(&self) -> Option<Incoming> {
        lock(&self.incoming).recv().ok()
    }

    /// Tells something. Where nobody listens any more, the thread that does ends the process.
    pub fn tell(&self, message: &FromWorker) {
        let _ = wire::send(&lock(&self.socket), message);
    }

    /// Tells how far the work is, but not too often.
    pub fn progress(&self, done: usize, total: usize, note: &str) {
        let mut last = lock(&self.last_progress);
        if done < total && last.is_some_and(|last| last.elapsed() < OFTEN) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        self.tell(&FromWorker::Progress { done, total, note: note.to_owned() });
    }

    /// Ends a job, or answers a question.
    pub fn done(&self, answer: Answer) {
        self.unanswered.store(false, Ordering::Relaxed);
        let answer = Box::new(answer);
        self.tell(&FromWorker::Done { answer, usage: self.usage.take() });
    }

    /// Says why there is no answer.
    pub fn failed(&self, error: &TrainError) {
        let unanswered = self.unanswered.swap(false, Ordering::Relaxed);
        let problem = match error {
            TrainError::Cancelled => Problem::Cancelled,
            _ if unanswered => Problem::Unanswered,
            other => problem(other),
        };
        self.tell(&FromWorker::Failed { problem, usage: self.usage.take() });
    }

    /// Asks the head something; `None` where it has no answer.
    fn ask<T>(
        &self,
        question: &FromWorker,
        answer: impl FnOnce(FromHead) -> Option<T>,
    ) -> Option<T> {
        // Held until the answer is there: questions of several threads come one after the other.
        let incoming = lock(&self.incoming);
        self.tell(question);
        let answered = match incoming.recv() {
            Ok(Incoming::Told(told)) => answer(told),
            Ok(Incoming::Images { .. }) | Err(_) => None,
        };
        if answered.is_none() {
            self.unanswered.store(true, Ordering::Relaxed);
        }
        answered
    }
}

fn listen(socket: &Socket, sender: &Sender<Incoming>, cancelled: &AtomicBool) -> io::Result<()> {
    while let Some(told) = wire::receive::<ToWorker>(socket)? {
        let incoming = match told {
            ToWorker::Cancel => {
                cancelled.store(true, Ordering::Relaxed);
                continue;
            }
            ToWorker::Images { id, images, files } => {
                let files = wire::receive_files(socket, files)?;
                Incoming::Images { id, images, files }
            }
            told => {
                if matches!(told, ToWorker::Work { .. }) {
                    cancelled.store(false, Ordering::Relaxed);
                }
                Incoming::Told(told)
            }
        };
        if sender.send(incoming).is_err() {
            break;
        }
    }
    Ok(())
}

/// Ends this process at once, in whatever its other threads are.
fn end() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::exit(1)
}

/// All operator sets of the head.
pub struct RemoteOperators {
    pub line: Arc<Line>,
    pub blocks: Vec<BlockType>,
}

impl OperatorSet for RemoteOperators {
    fn name(&self) -> &str {
        "head"
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.blocks.clone()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let question = FromWorker::NeedGraphs(requests.to_vec());
        let answer = self.line.ask(&question, |told| match told {
            FromHead::Graphs(graphs) => graphs,
            _ => None,
        });
        answer.ok_or_else(|| OperatorError::other("there are no graphs"))
    }
}

/// A quantizer of the head.
pub struct RemoteQuantizer {
    pub line: Arc<Line>,
    pub named: NamedQuantizer,
}

impl RemoteQuantizer {
    fn ask(&self, need: NeedScales) -> Result<Scales, QuantizerError> {
        let answer = self.line.ask(&FromWorker::NeedScales(need), |told| match told {
            FromHead::Scales(scales) => scales,
            _ => None,
        });
        answer.ok_or_else(|| self.error())
    }

    fn error(&self) -> QuantizerError {
        QuantizerError::new(&self.named.name, "there are no scales")
    }
}

impl Quantizer for RemoteQuantizer {
    fn name(&self) -> &str {
        &self.named.name
    }

    fn learnable(&self) -> bool {
        self.named.learnable
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        match self.ask(NeedScales::Activations(items.to_vec()))? {
            Scales::Activations(scales) => Ok(scales),
            Scales::Weights(_) => Err(self.error()),
        }
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        match self.ask(NeedScales::Weights(channels.to_vec(), range))? {
            Scales::Weights(scales) => Ok(scales),
            Scales::Activations(_) => Err(self.error()),
        }
    }
}
