//! A cluster in this process whose machines do what a test says.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
};

use spacewright_engine::{
    Batch, ClusterEngine, ClusterError, Job, JobState, NodeTask, Registry, Silent, Submission,
};

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs its task.
    Runs,
    /// It runs its task twice, at the same time.
    RunsTwice,
    /// It runs its task, and its result is cut in half on the way.
    IsCut,
    /// It runs its task, and the output is changed on the way.
    IsChanged,
    /// Its machine vanishes: no result.
    Vanishes,
    /// It waits until it is cancelled.
    Waits,
}

#[derive(Default)]
struct State {
    /// Jobs that the cluster knows, with the task of each.
    jobs: Vec<(Job, String)>,
    /// What becomes of the next jobs of a task; `Runs` where nothing is said.
    fates: HashMap<String, Vec<Fate>>,
    /// Tasks of all jobs that were submitted, in order.
    submitted: Vec<String>,
    /// The same of jobs that were cancelled while they were there.
    cancelled: Vec<String>,
    /// The most jobs that were there at a time.
    most: usize,
    /// Looks that get no answer.
    silent: usize,
    /// Submissions of which nothing is taken.
    full: usize,
    /// Looks after which the head is killed.
    kill_after: Option<usize>,
}

/// A cluster in this process.
pub struct FakeCluster {
    state: Mutex<State>,
    /// What its machines have.
    registry: Registry,
    limits_batches: bool,
    /// Set where jobs are to stop.
    cancel: Arc<AtomicBool>,
}

impl FakeCluster {
    pub fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self::with(registry, true, Arc::default()))
    }

    /// One that is given no more jobs than may run at a time.
    pub fn without_limit(registry: Registry) -> Arc<Self> {
        Arc::new(Self::with(registry, false, Arc::default()))
    }

    /// The same, whose job is asked to stop by this flag.
    pub fn stopped_by(registry: Registry, cancel: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self::with(registry, false, cancel))
    }

    fn with(registry: Registry, limits_batches: bool, cancel: Arc<AtomicBool>) -> Self {
        Self { state: Mutex::default(), registry, limits_batches, cancel }
    }

    /// What becomes of the next jobs of a task.
    pub fn fates(&self, task: &str, fates: &[Fate]) {
        self.state.lock().unwrap().fates.insert(task.to_owned(), fates.to_vec());
    }

    /// Has so many looks get no answer.
    pub fn be_silent(&self, looks: usize) {
        self.state.lock().unwrap().silent = looks;
    }

    /// Takes nothing of so many submissions.
    pub fn be_full(&self, submissions: usize) {
        self.state.lock().unwrap().full = submissions;
    }

    /// Kills the head at a look.
    pub fn kill_head_after(&self, looks: usize) {
        self.state.lock().unwrap().kill_after = Some(looks);
    }

    /// Has the waiting jobs of a task run now.
    pub fn release(&self, folder: &Path, task: &str) {
        self.run(folder, task).unwrap();
        self.state.lock().unwrap().jobs.retain(|(_, known)| known != task);
    }

    pub fn submitted(&self) -> Vec<String> {
        let mut submitted = self.state.lock().unwrap().submitted.clone();
        submitted.sort();
        submitted
    }

    pub fn cancelled(&self) -> Vec<String> {
        let mut cancelled = self.state.lock().unwrap().cancelled.clone();
        cancelled.sort();
        cancelled
    }

    pub fn most(&self) -> usize {
        self.state.lock().unwrap().most
    }

    fn run(&self, folder: &Path, task: &str) -> spacewright_engine::Result<()> {
        NodeTask::read(folder, task)?.run(&self.registry, Arc::new(Silent), self.cancel.clone())
    }

    /// Runs a task, and then changes what it has left.
    fn run_and(&self, folder: &Path, task: &str, change: impl FnOnce(&Path)) {
        self.run(folder, task).unwrap();
        let of_task = format!("\"task\":\"{task}\"");
        let is_of_task = |path: &PathBuf| {
            fs::read_to_string(path.join("result")).is_ok_and(|text| text.contains(&of_task))
        };
        let entries = fs::read_dir(folder.join("results")).unwrap();
        let mut results = entries.map(|entry| entry.unwrap().path());
        change(&results.find(is_of_task).unwrap());
    }

    fn obey(&self, fate: Fate, folder: &Path, task: &str) {
        match fate {
            // Errors are the head's to tell.
            Fate::Runs => drop(self.run(folder, task)),
            Fate::RunsTwice => thread::scope(|scope| {
                scope.spawn(|| drop(self.run(folder, task)));
                drop(self.run(folder, task));
            }),
            Fate::IsCut => self.run_and(folder, task, |result| {
                let file = result.join("result");
                let text = fs::read(&file).unwrap();
                fs::write(&file, &text[..text.len() / 2]).unwrap();
            }),
            Fate::IsChanged => self.run_and(folder, task, |result| {
                fs::write(result.join("output/weights"), "others").unwrap();
            }),
            Fate::Vanishes | Fate::Waits => {}
        }
    }
}

impl ClusterEngine for FakeCluster {
    fn name(&self) -> &str {
        "Fake"
    }

    fn check(&self) -> Result<(), ClusterError> {
        Ok(())
    }

    fn limits_batches(&self) -> bool {
        self.limits_batches
    }

    fn submit(&self, submission: &Submission<'_>) -> Result<(), ClusterError> {
        let full = self.state.lock().unwrap().full;
        if full > 0 {
            self.state.lock().unwrap().full = full - 1;
            let (engine, reason) = ("Fake".to_owned(), "try again later".to_owned());
            return Err(ClusterError::NoAnswer { engine, reason });
        }
        let mut running = Vec::new();
        for (number, task) in submission.batch.tasks.iter().enumerate() {
            assert!(submission.lines[number].ends_with(task.as_str()));
            let mut state = self.state.lock().unwrap();
            let fates = state.fates.get_mut(task).filter(|fates| !fates.is_empty());
            let fate = fates.map_or(Fate::Runs, |fates| fates.remove(0));
            let id = format!("{}", 10 + state.submitted.len());
            state.submitted.push(task.clone());
            let node = "node7".to_owned();
            let (batch, waits) = (submission.batch.name.clone(), fate == Fate::Waits);
            let reason = "Resources".to_owned();
            let job_state =
                if waits { JobState::Waiting { reason } } else { JobState::Running { node } };
            state.jobs.push((Job { batch, number, id, state: job_state }, task.clone()));
            state.most = state.most.max(state.jobs.len());
            running.push((fate, task));
        }
        let folder = submission.folder;
        thread::scope(|scope| {
            for (fate, task) in &running {
                scope.spawn(|| self.obey(*fate, folder, task));
            }
        });
        let ended = |task: &String| {
            running.iter().any(|(fate, known)| known == &task && *fate != Fate::Waits)
        };
        self.state
            .lock()
            .unwrap()
            .jobs
            .retain(|(job, task)| job.batch != submission.batch.name || !ended(task));
        Ok(())
    }

    fn jobs(&self, batches: &[&Batch]) -> Result<Vec<Job>, ClusterError> {
        let mut state = self.state.lock().unwrap();
        if state.silent > 0 {
            state.silent -= 1;
            let (engine, reason) = ("Fake".to_owned(), "busy".to_owned());
            return Err(ClusterError::NoAnswer { engine, reason });
        }
        let known = |job: &Job| batches.iter().any(|batch| batch.name == job.batch);
        let jobs = state.jobs.iter().map(|(job, _)| job.clone()).filter(known).collect();
        if let Some(looks) = state.kill_after {
            state.kill_after = looks.checked_sub(1);
            // A head that is killed cancels nothing.
            let is_killed = looks == 0;
            drop(state);
            assert!(!is_killed, "killed");
        }
        Ok(jobs)
    }

    fn cancel(&self, batch: &Batch, numbers: &[usize]) -> Result<(), ClusterError> {
        let mut state = self.state.lock().unwrap();
        let is_meant = |job: &Job| job.batch == batch.name && numbers.contains(&job.number);
        let (gone, left) =
            std::mem::take(&mut state.jobs).into_iter().partition(|(job, _)| is_meant(job));
        state.jobs = left;
        let gone: Vec<(Job, String)> = gone;
        state.cancelled.extend(gone.into_iter().map(|(_, task)| task));
        Ok(())
    }
}
