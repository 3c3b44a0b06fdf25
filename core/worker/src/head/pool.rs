//! Workers that wait for work, and images that they know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spacewright_core::{
    data::StudyImages,
    train::{Compute, TrainContext, TrainError, Usage},
};
use tempfile::TempDir;

use super::{
    error::WorkerError,
    places::Places,
    process::{Asked, Process},
    program::WorkerProgram,
    team::{Launched, Team, TeamStarter},
};
use crate::message::{Answer, Context, Job, NamedQuantizer, Question, ToWorker};

/// All workers of a trainer.
pub struct Pool {
    program: WorkerProgram,
    /// Name of the trainer.
    name: String,
    compute: Compute,
    /// Processes that were started together with this one; at most one team is made of them.
    launched: Option<Launched>,
    /// Where workers of no team compute: on the GPUs that the team's processes of this machine take, too.
    places: Places,
    idle: Mutex<Vec<Process>>,
    /// Where the team has met; its workers are among the idle ones.
    meeting: Mutex<Option<TempDir>>,
    /// Whether those that were started together with this one have come.
    gathered: Mutex<bool>,
    images: Mutex<Vec<StudyImages>>,
    used: Mutex<Usage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Nothing is started yet.
    pub fn new(
        program: WorkerProgram,
        name: &str,
        compute: Compute,
        launched: Option<Launched>,
    ) -> Self {
        let name = name.to_owned();
        let on_this_machine = launched.as_ref().map(|launched| launched.on_this_machine);
        let places = Places::new(on_this_machine.unwrap_or(compute.processes));
        let (idle, meeting, gathered, images, used) = Default::default();
        Self { program, name, compute, launched, places, idle, meeting, gathered, images, used }
    }

    /// A worker that nobody else has.
    pub fn lease(self: &Arc<Self>) -> Result<Lease, WorkerError> {
        let process = match self.take_idle() {
            Some(process) => process,
            None => Process::start(&self.program, &self.name, &self.compute, self.places.take())?,
        };
        Ok(Lease { pool: self.clone(), process: Some(process) })
    }

    /// A worker that waits for work. Those that have ended meanwhile, killed for their memory perhaps, had
    /// nothing to lose.
    fn take_idle(&self) -> Option<Process> {
        let mut idle = lock(&self.idle);
        idle.retain_mut(|process| !process.has_ended());
        idle.pop()
    }

    /// Ends all workers that wait for work, but one: whoever uses all threads needs the memory, too.
    pub fn end_others(&self) {
        lock(&self.idle).truncate(1);
    }

    /// Waits for those that were started together with this one, if there are some: they have to hear of it,
    /// be it that there is nothing to do.
    pub fn gather(self: &Arc<Self>) -> Result<(), WorkerError> {
        if self.launched.is_some() && !*lock(&self.gathered) {
            self.team()?;
        }
        Ok(())
    }

    /// All workers of the team, by rank, started where one of them is not there; ends all others that wait
    /// for work.
    pub fn team(self: &Arc<Self>) -> Result<Vec<Lease>, WorkerError> {
        let mut members: Vec<Process> = std::mem::take(&mut *lock(&self.idle));
        members.retain_mut(|process| process.rank.is_some() && !process.has_ended());
        members.sort_by_key(|process| process.rank);
        if members.len() != self.compute.processes {
            drop(members);
            let mut meeting = lock(&self.meeting);
            let starter =
                TeamStarter { program: &self.program, name: &self.name, compute: &self.compute };
            let team = match &self.launched {
                Some(_) if *lock(&self.gathered) => return Err(WorkerError::Gone),
                Some(launched) => starter.gather(launched)?,
                None => starter.start()?,
            };
            *lock(&self.gathered) = self.launched.is_some();
            let Team { members: started, folder } = team;
            (members, *meeting) = (started, folder);
        }
        let lease = |process| Lease { pool: self.clone(), process: Some(process) };
        Ok(members.into_iter().map(lease).collect())
    }

    /// What all workers have used since this was asked last.
    pub fn take_usage(&self) -> Usage {
        std::mem::take(&mut *lock(&self.used))
    }

    /// The number by which workers know these images.
    fn number(&self, images: &StudyImages) -> usize {
        let mut known = lock(&self.images);
        let number = known.iter().position(|other| is_same(other, images));
        number.unwrap_or_else(|| {
            known.push(images.clone());
            known.len() - 1
        })
    }
}

fn is_same(a: &StudyImages, b: &StudyImages) -> bool {
    let lists = |images: &StudyImages| {
        [&images.train, &images.held_out, &images.test]
            .map(|list| Arc::as_ptr(list).cast::<usize>())
    };
    Arc::ptr_eq(&a.all, &b.all)
        && lists(a) == lists(b)
        && a.judging == b.judging
        && a.training == b.training
}

/// A worker that is given back when this is dropped, unless it is of no use any more.
pub struct Lease {
    pool: Arc<Pool>,
    /// None where it was ended.
    process: Option<Process>,
}

impl Lease {
    /// The card that the worker computes on; none for the processor.
    pub fn card(&self) -> Option<&str> {
        self.process.as_ref()?.card.as_deref()
    }

    /// The name of its machine, where that is another one.
    pub fn machine(&self) -> Option<&str> {
        self.process.as_ref()?.machine.as_deref()
    }

    /// Has the worker do something.
    pub fn work(
        &mut self,
        context: &TrainContext,
        job: Job,
        asked: &Asked<'_>,
    ) -> Result<Answer, TrainError> {
        let images = self.pool.number(&context.images);
        let TrainContext { operators, hyperspace, scheme, quantizer, seed, .. } = context;
        let told = Context {
            images: images as u64,
            blocks: operators.block_types().into_iter().cloned().collect(),
            hyperspace: hyperspace.clone(),
            scheme: scheme.clone(),
            quantizer: NamedQuantizer {
                name: quantizer.name().to_owned(),
                learnable: quantizer.learnable(),
            },
            seed: *seed,
        };
        let doing = job.doing();
        self.with(|process| {
            process.tell_images(images, &context.images)?;
            let work = ToWorker::Work { context: Box::new(told), job: Box::new(job) };
            process.ask(doing, &work, asked)
        })
    }

    /// Asks about what it has opened.
    pub fn ask(&mut self, question: Question, asked: &Asked<'_>) -> Result<Answer, TrainError> {
        let doing = Job::EVALUATING;
        self.with(|process| process.ask(doing, &ToWorker::Ask(question), asked))
    }

    /// Ends what it has opened.
    pub fn close(&mut self) {
        if let Some(process) = &mut self.process
            && process.tell(&ToWorker::Ask(Question::Close)).is_err()
        {
            self.process = None;
        }
    }

    fn with(
        &mut self,
        work: impl FnOnce(&mut Process) -> Result<Answer, TrainError>,
    ) -> Result<Answer, TrainError> {
        // Whoever panics meanwhile leaves nothing that could be given back in the middle of its work.
        let Some(mut process) = self.process.take() else { return Err(super::other_answer()) };
        let outcome = work(&mut process);
        let mut used = lock(&self.pool.used);
        *used = used.and(std::mem::take(&mut process.usage));
        drop(used);
        if !matches!(outcome, Err(TrainError::Worker { .. })) {
            self.process = Some(process);
        }
        outcome
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            lock(&self.pool.idle).push(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_worker_that_ended_while_it_waited_is_not_given_work() {
        let pool = |program: &str| {
            let (program, compute) = (WorkerProgram::at(program.into()), Compute::on_processor(1));
            let process = Process::launch(&program, &compute).unwrap();
            let pool = Pool::new(program, "test", compute, None);
            lock(&pool.idle).push(process);
            pool
        };
        // Reads what it is told, and ends when its input does.
        assert!(pool("cat").take_idle().is_some());
        let ends = pool("true");
        while !lock(&ends.idle)[0].has_ended() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(ends.take_idle().is_none());
    }
}
