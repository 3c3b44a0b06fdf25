//! Workers that train one network together: how they are started, and do a job.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use spacewright_core::train::{
    Compute, CurvePoint, Meeting, Monitor, TeamPlace, TrainContext, TrainError,
};
use tempfile::TempDir;

use super::{
    error::WorkerError,
    pool::Lease,
    process::{Asked, Process},
    program::WorkerProgram,
};
use crate::{
    invitation::Invitation,
    message::{Answer, Job},
};

/// How long processes are waited for that were started with this one.
const ARRIVAL: Duration = Duration::from_secs(15 * 60);
/// How often it is looked meanwhile whether the user asks to stop.
const LOOK: Duration = Duration::from_secs(5);
/// How long the others of a team may go on after one has failed: most wait in vain for what it would have computed.
const GRACE: Duration = Duration::from_secs(5);
/// How long they may go on after one of them has stopped on request: all stop after the same step, but the first one
/// writes a checkpoint then, of gigabytes perhaps, to a disk that may be slow.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10 * 60);

/// Other processes that were started together with the head's, perhaps on other machines, as `torchrun` and
/// `srun` do. Each of them is to [`join`](crate::join).
#[derive(Debug, Clone)]
pub struct Launched {
    /// How many there are, the head's included.
    pub processes: usize,
    /// How many of them are on the head's machine.
    pub on_this_machine: usize,
    /// The head's number among those of its machine.
    pub local_rank: usize,
    /// The head's machine, by which the others know it.
    pub host: String,
    /// A port of it where all meet.
    pub port: u16,
    /// Whether the head's trainer listens there; otherwise who has started the processes does.
    pub listens: bool,
    /// Is set where the user asks to stop, before all have come too.
    pub cancelled: Arc<AtomicBool>,
}

/// The workers of a team, by rank.
pub struct Team {
    pub members: Vec<Process>,
    /// Where they have met; they look at it until they end.
    pub folder: Option<TempDir>,
}

/// What it takes to start a team.
pub struct TeamStarter<'a> {
    pub program: &'a WorkerProgram,
    pub name: &'a str,
    pub compute: &'a Compute,
}

impl TeamStarter<'_> {
    /// Starts so many workers as compute together, and waits until all of them can.
    pub fn start(&self) -> Result<Team, WorkerError> {
        let Self { program, name, compute } = self;
        let folder = tempfile::tempdir().map_err(|error| self.failed(error))?;
        let processes = compute.processes;
        let mut members = Vec::new();
        for _ in 0..processes {
            members.push(Process::launch(program, compute)?);
        }
        for (rank, process) in members.iter_mut().enumerate() {
            let meeting = Meeting::File(folder.path().join("meeting"));
            let place = TeamPlace { rank, processes, local_rank: rank, meeting, announces: None };
            let begun = process.begin(name, compute, Some(place));
            begun.map_err(|error| in_team(error, rank, processes, None))?;
        }
        self.ready(members, Some(folder))
    }

    /// Starts the first worker, and waits for those that were launched.
    pub fn gather(&self, launched: &Launched) -> Result<Team, WorkerError> {
        let Self { program, name, compute } = self;
        let Launched { processes, local_rank, host, port, listens, cancelled, .. } = launched;
        let invitation = Invitation::new().map_err(|error| self.failed(error))?;
        let announced = invitation.announced(host).map_err(|error| self.failed(error))?;
        let place = |rank: usize, local_rank: usize| {
            let is_first = rank == 0;
            let (host, port, listens) = (host.clone(), *port, is_first && *listens);
            let meeting = Meeting::Port { host, port, listens };
            let announces = is_first.then(|| announced.clone());
            TeamPlace { rank, processes: *processes, local_rank, meeting, announces }
        };
        let mut first = Process::launch(program, compute)?;
        first.begin(name, compute, Some(place(0, *local_rank)))?;
        let mut members: Vec<Option<Process>> = (0..*processes).map(|_| None).collect();
        members[0] = Some(first);
        let (until, mut said) = (Instant::now() + ARRIVAL, false);
        while members.iter().any(Option::is_none) {
            if let Some(first) = &mut members[0] {
                first.check()?;
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(WorkerError::Cancelled);
            }
            let look = until.min(Instant::now() + LOOK);
            let guest = invitation.wait(look).map_err(|error| self.failed(error))?;
            let Some(guest) = guest else {
                let missing: Vec<usize> =
                    (0..*processes).filter(|&rank| members[rank].is_none()).collect();
                if Instant::now() < until {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!("waiting for {} of {processes} processes", missing.len());
                    }
                    continue;
                }
                let minutes = ARRIVAL.as_secs() / 60;
                return Err(WorkerError::Missing { missing, processes: *processes, minutes });
            };
            let rank = guest.rank;
            if members.get(rank).is_none_or(Option::is_some) {
                let reason = format!("a process came as number {rank}, which there is already");
                return Err(WorkerError::Protocol { reason });
            }
            let (machine, local_rank) = (guest.machine.clone(), guest.local_rank);
            let mut process = Process::of_guest(program, guest)?;
            let begun = process.begin(name, compute, Some(place(rank, local_rank)));
            begun.map_err(|error| in_team(error, rank, *processes, Some(&machine)))?;
            members[rank] = Some(process);
        }
        self.ready(members.into_iter().flatten().collect(), None)
    }

    fn ready(
        &self,
        mut members: Vec<Process>,
        folder: Option<TempDir>,
    ) -> Result<Team, WorkerError> {
        let processes = members.len();
        for (rank, process) in members.iter_mut().enumerate() {
            let ready = process.get_ready();
            let machine = process.machine.as_deref();
            ready.map_err(|error| in_team(error, rank, processes, machine))?;
        }
        Ok(Team { members, folder })
    }

    fn failed(&self, source: io::Error) -> WorkerError {
        WorkerError::Start { program: self.program.path().to_owned(), source }
    }
}

fn in_team(
    error: WorkerError,
    rank: usize,
    processes: usize,
    machine: Option<&str>,
) -> WorkerError {
    match error {
        // It says nothing of one process alone.
        WorkerError::Refused { .. } | WorkerError::Version { .. } => error,
        other => {
            let on = machine.map(|machine| format!(" on {machine}")).unwrap_or_default();
            WorkerError::InTeam { rank, processes, on, source: Box::new(other) }
        }
    }
}

/// Why a member of a team has no answer.
struct Failure {
    when: Instant,
    rank: usize,
    error: TrainError,
    machine: Option<String>,
}

impl Failure {
    /// How long the others may go on after it.
    fn patience(&self) -> Duration {
        match self.error {
            // The first one has written its checkpoint before it says that it has stopped.
            TrainError::Cancelled if self.rank > 0 => LAST_CHECKPOINT,
            _ => GRACE,
        }
    }

    /// What matters most first: a request to stop, a process that has ended, what was first.
    fn weight(&self) -> (u8, Instant) {
        let kind = match &self.error {
            TrainError::Cancelled => 0,
            TrainError::Worker { source, .. } => match source.downcast_ref::<WorkerError>() {
                Some(WorkerError::GivenUp) => 3,
                _ => 1,
            },
            _ => 2,
        };
        (kind, self.when)
    }

    fn told(self, processes: usize) -> TrainError {
        let Self { rank, error, machine, .. } = self;
        match error {
            TrainError::Worker { source, hint } => match source.downcast::<WorkerError>() {
                Ok(source) => in_team(*source, rank, processes, machine.as_deref()).into(),
                Err(source) => TrainError::Worker { source, hint },
            },
            other => other,
        }
    }
}

/// Nobody hears of it; only the first process is asked to stop.
struct Unheard;

impl Monitor for Unheard {
    fn progress(&self, _: usize, _: usize, _: &str) {}

    fn curve(&self, _: &CurvePoint) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Has all workers of a team do a job; the answer of the first one.
pub fn work(
    team: Vec<Lease>,
    context: &TrainContext,
    job: &Job,
    monitor: &dyn Monitor,
) -> Result<Answer, TrainError> {
    let processes = team.len();
    let failures: Mutex<Vec<Failure>> = Mutex::default();
    let lock = || failures.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = |failure: &Failure| failure.when.elapsed() > failure.patience();
    let given_up = || lock().iter().any(is_over);
    let one = |rank: usize, mut lease: Lease| {
        let monitor = if rank == 0 { monitor } else { &Unheard };
        let asked = Asked {
            operators: &context.operators,
            quantizer: &*context.quantizer,
            monitor: Some(monitor),
            given_up: Some(&given_up),
        };
        let machine = lease.machine().map(str::to_owned);
        let outcome = lease.work(context, job.clone(), &asked);
        outcome
            .map_err(|error| lock().push(Failure { when: Instant::now(), rank, error, machine }))
            .ok()
    };
    let first = thread::scope(|scope| {
        let one = &one;
        let mut members = team.into_iter().enumerate();
        let first = members.next();
        for (rank, lease) in members {
            scope.spawn(move || one(rank, lease));
        }
        first.and_then(|(rank, lease)| one(rank, lease))
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (failures.into_iter().min_by_key(Failure::weight), first) {
        (Some(failure), _) => Err(failure.told(processes)),
        (None, Some(answer)) => Ok(answer),
        (None, None) => Err(super::other_answer()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_the_checkpoint_is_waited_for() {
        let patience = |rank: usize, error: TrainError| {
            Failure { when: Instant::now(), rank, error, machine: None }.patience()
        };
        assert!(patience(1, TrainError::Cancelled) >= Duration::from_secs(60));
        assert_eq!(patience(0, TrainError::Cancelled), GRACE);
        let diverged = TrainError::Diverged { what: "a network".into(), step: 3 };
        assert_eq!(patience(1, diverged), GRACE);
    }
}
