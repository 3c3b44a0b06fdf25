//! What the runs of a folder tell, read again only where there is something new.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rayon::prelude::*;
use spacewright_engine::{EngineError, LiveRun, Registry, RunNow, RunState, RunVersion};
use spacewright_spaceevo_page::{Change, LiveRunData, LiveRunRow, list_changes, run_changes};

use super::pages;
use crate::render::Failure;

/// The runs of a folder.
pub struct Runs {
    /// As the user has named it.
    shown: PathBuf,
    /// Without links.
    folder: PathBuf,
    /// Names of the steps of each method in their order.
    methods: HashMap<String, Vec<String>>,
    known: Mutex<HashMap<String, Known>>,
}

/// What was read of a run that nobody works on.
struct Known {
    files: [Option<(SystemTime, u64)>; 2],
    now: RunNow,
}

impl Runs {
    /// The runs of a folder, whose steps the registry knows.
    pub fn new(folder: &Path, registry: &Registry) -> Result<Self, Failure> {
        let found = folder.canonicalize().map_err(|error| {
            Failure::input(format!("cannot look into {}: {error}", folder.display()))
                .hint("name the folder of all runs; `run` makes it")
        })?;
        if !found.is_dir() {
            return Err(Failure::input(format!("{} is no folder", folder.display())));
        }
        let methods = registry.methods.iter().map(|(name, method)| {
            let steps = method.steps();
            let of_run = steps.iter().filter(|step| !step.is_extra());
            (name.clone(), of_run.map(|step| step.name().to_owned()).collect())
        });
        Ok(Self {
            shown: folder.to_owned(),
            folder: found,
            methods: methods.collect(),
            known: Mutex::default(),
        })
    }

    /// The folder, as the user has named it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The folder of the run of a name; none where there is none, or where it or one of its files lies elsewhere.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let mut parts = Path::new(name).components();
        let (Some(Component::Normal(part)), None) = (parts.next(), parts.next()) else {
            return None;
        };
        let folder = self.folder.join(part).canonicalize().ok()?;
        let is_within = folder != self.folder && folder.starts_with(&self.folder);
        (is_within && LiveRun::is_in(&folder)).then_some(folder)
    }

    /// The report of a run.
    pub fn report(&self, name: &str) -> Option<Vec<u8>> {
        LiveRun::report(&self.find(name)?).ok()
    }

    /// All runs, those that were heard of last first. One that cannot be read is left out.
    pub fn list(&self) -> Vec<LiveRunRow> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let mut runs: Vec<LiveRunRow> =
            names.par_iter().filter_map(|name| self.row(name)).collect();
        runs.sort_by(|a, b| b.heard.total_cmp(&a.heard).then_with(|| a.name.cmp(&b.name)));
        runs
    }

    fn row(&self, name: &str) -> Option<LiveRunRow> {
        let folder = self.find(name)?;
        let now = self.glance(&folder, name).ok()?;
        Some(pages::row(&now, &self.methods, LiveRun::has_report(&folder)))
    }

    fn glance(&self, folder: &Path, name: &str) -> Result<RunNow, EngineError> {
        let files = ["run.sqlite", "run.sqlite-wal"].map(|file| {
            let found = fs::metadata(folder.join(file)).ok()?;
            // Looking leaves an empty one.
            (found.len() > 0).then_some((found.modified().ok()?, found.len()))
        });
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever begins to work on it writes so.
        if let Some(known) = lock().get(name).filter(|known| known.files == files) {
            return Ok(known.now.clone());
        }
        let now = LiveRun::open(folder)?.now()?;
        if now.state != RunState::Running {
            lock().insert(name.to_owned(), Known { files, now: now.clone() });
        }
        Ok(now)
    }
}

/// Sends what is new to one who looks.
pub trait Watch: Send + 'static {
    /// How long to wait before it is asked again.
    const PAUSE: Duration;

    /// The parts that have changed since it was asked before.
    fn changes(&mut self, runs: &Runs) -> Vec<Change>;
}

/// Parts that were sent, by name.
#[derive(Default)]
struct Sent(HashMap<String, Change>);

impl Sent {
    fn new_of(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let is_new = |change: &Change| self.0.get(change.id()) != Some(change);
        let new: Vec<Change> = changes.into_iter().filter(is_new).collect();
        self.0.extend(new.iter().map(|change| (change.id().to_owned(), change.clone())));
        new
    }
}

/// Watches the list of runs.
#[derive(Default)]
pub struct ListWatch {
    sent: Sent,
}

impl Watch for ListWatch {
    const PAUSE: Duration = Duration::from_secs(2);

    fn changes(&mut self, runs: &Runs) -> Vec<Change> {
        self.sent.new_of(list_changes(&runs.list()))
    }
}

/// Watches a run.
pub struct RunWatch {
    name: String,
    opened: Option<(LiveRun, RunVersion)>,
    sent: Sent,
}

impl RunWatch {
    /// Watches the run of a name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), opened: None, sent: Sent::default() }
    }

    /// All that the page of the run shows; none where nothing is new, or where it cannot be read.
    pub fn look(&mut self, runs: &Runs) -> Option<LiveRunData> {
        let folder = runs.find(&self.name)?;
        let mut live = match self.opened.take() {
            Some((live, before)) => match live.version() {
                Ok(version) if version == before => {
                    self.opened = Some((live, before));
                    return None;
                }
                Ok(_) => live,
                // It may have been begun anew.
                Err(_) => LiveRun::open(&folder).ok()?,
            },
            None => LiveRun::open(&folder).ok()?,
        };
        // Before it is read: what comes in between is new the next time.
        let version = live.version().ok()?;
        let data = pages::run(&mut live, &runs.methods, LiveRun::has_report(&folder));
        self.opened = Some((live, version));
        data.ok()
    }
}

impl Watch for RunWatch {
    const PAUSE: Duration = Duration::from_secs(1);

    fn changes(&mut self, runs: &Runs) -> Vec<Change> {
        let data = self.look(runs);
        data.map(|data| self.sent.new_of(run_changes(&data))).unwrap_or_default()
    }
}
