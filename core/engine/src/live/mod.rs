//! Looking at runs while somebody works on them. Nothing is written, and nothing waits.
//!
//! A data base is not checked as a whole, which takes as long as it is large: rows whose checksum is
//! wrong are left out as they are read.

pub(crate) mod plain;
mod progress;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use spacewright_core::train::JudgedNetwork;

pub use progress::{Progress, RunningTask};

use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    events::Event,
    lock::Lock,
    runs::{PAGE, StepRecord},
    store::{Attempt, AttemptOutcome, StepHistory, Store},
};
use plain::{Identity, are_plain, identity, is_plain};
use progress::Follower;

/// What the run is of.
const STUDY: &str = "study.json";
/// The data base of a run.
const DATA: &str = "run.sqlite";
/// Lines of a step that are kept.
const LINES: usize = 20;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process works on it.
    Running,
    /// The last step that was worked on is finished, and nobody works on another one.
    Finished,
    /// The last step failed.
    Failed,
    /// The user stopped the last step.
    Stopped,
    /// The process of the last step ended without a word.
    Killed,
    /// No step was begun.
    New,
}

/// A run at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunNow {
    /// Name of its folder.
    pub name: String,
    /// Name of its method.
    pub method: String,
    /// Name of its target.
    pub target: String,
    /// How it stands.
    pub state: RunState,
    /// The steps in the order of their start.
    pub steps: Vec<StepRecord>,
    /// Name of the step that was worked on last; none where no step was begun.
    pub step: Option<String>,
    /// When it was last heard of, in seconds since 1970.
    pub heard: f64,
    /// How far the step has come that is worked on.
    pub progress: Option<Progress>,
    /// Why the last step failed or was stopped, as far as is known.
    pub reason: Option<String>,
    /// The last lines of that step, the latest one last.
    pub lines: Vec<String>,
}

/// Differs from an earlier one of the same [`LiveRun`] where there is something new to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunVersion {
    written: i64,
    held: bool,
}

/// The part of `study.json` that is looked at.
#[derive(Deserialize)]
struct StudySummary {
    method: String,
    target: String,
}

/// What is known of a step from its events.
#[derive(Default)]
struct Followed {
    key: String,
    last: i64,
    follower: Follower,
    lines: Vec<String>,
    judged: Vec<JudgedNetwork>,
    known: HashSet<String>,
}

/// A run that is looked at again and again: what was read before is not read anew.
pub struct LiveRun {
    folder: PathBuf,
    /// The data base, whose name may have become that of another run's.
    file: Option<Identity>,
    store: Store,
    followed: Vec<Followed>,
}

impl LiveRun {
    /// Whether a folder is that of a run whose files are all its own: none that is opened to look at it is a link, or
    /// a pipe, at which whoever opens it would wait.
    pub fn is_in(folder: &Path) -> bool {
        is_plain(&folder.join(STUDY)) && are_plain(folder)
    }

    /// Whether the run of a folder has a page of its own, its report.
    pub fn has_report(folder: &Path) -> bool {
        is_plain(&folder.join(PAGE))
    }

    /// The page of the run of a folder, its report.
    ///
    /// # Errors
    ///
    /// Where there is none, or something else is in its place, such as a link.
    pub fn report(folder: &Path) -> Result<Vec<u8>> {
        let path = folder.join(PAGE);
        plain::read(&path).at(&path)
    }

    /// Opens a run's folder to look at it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] where the folder holds no run, or one of its files is a link or a pipe.
    pub fn open(folder: &Path) -> Result<Self> {
        // Before it is opened: another one that takes its place in between is noticed the next time.
        let file = identity(&folder.join(DATA));
        let store = are_plain(folder).then(|| Store::to_glance(folder)).transpose()?.flatten();
        let store = store.ok_or_else(|| missing(folder, "no run"))?;
        Ok(Self { folder: folder.to_owned(), file, store, followed: Vec::new() })
    }

    /// What changes when there is something new to see.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] where the run was removed, or begun anew in its place: then it is to be opened again.
    pub fn version(&self) -> Result<RunVersion> {
        // SQLite would read on in the file that was removed.
        if identity(&self.folder.join(DATA)) != self.file {
            return Err(missing(&self.folder, "the run was removed"));
        }
        let held = Lock::is_held(&self.folder);
        Ok(RunVersion { written: self.store.data_version()?, held })
    }

    /// How the run stands.
    pub fn now(&mut self) -> Result<RunNow> {
        // Before the attempt is read: one that ends in between is not taken for a killed one.
        let held = Lock::is_held(&self.folder);
        let path = self.folder.join(STUDY);
        let text = plain::read(&path).at(&path)?;
        let StudySummary { method, target } =
            serde_json::from_slice(&text).map_err(|error| EngineError::file(&path, error))?;
        let steps = self.store.records()?;
        let latest = self.store.latest_attempt()?;
        let (mut progress, mut reason, mut lines) = (None, None, Vec::new());
        let mut state = RunState::New;
        if let Some((_, key, attempt)) = &latest {
            state = state_of(held, attempt);
            if state == RunState::Running {
                let followed = self.follow(key)?;
                progress = Some(followed.follower.progress());
                lines = followed.lines.clone();
            } else {
                reason = self.store.last_reason(key)?.filter(|_| state != RunState::Finished);
            }
        } else if held {
            state = RunState::Running;
        }
        let heard =
            latest.as_ref().map_or(0.0, |(_, _, attempt)| attempt.started + attempt.seconds);
        Ok(RunNow {
            name: self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            method,
            target,
            state,
            steps,
            step: latest.map(|(step, _, _)| step),
            heard,
            progress,
            reason,
            lines,
        })
    }

    /// How the steps went that were begun: attempts and training curves, without events.
    pub fn histories(&self) -> Result<Vec<StepHistory>> {
        let keys = self.store.present_keys()?.into_iter();
        keys.map(|(step, key)| self.store.curves_of_step(&step, &key)).collect()
    }

    /// The networks that searches have judged so far, each once, in the order of the searches.
    pub fn judged(&mut self) -> Result<Vec<JudgedNetwork>> {
        let mut judged = Vec::new();
        for (_, key) in self.store.present_keys()? {
            judged.extend(self.follow(&key)?.judged.iter().cloned());
        }
        Ok(judged)
    }

    /// What is known of the step of a key, after its new events.
    fn follow(&mut self, key: &str) -> Result<&Followed> {
        let at = self.followed.iter().position(|followed| followed.key == key);
        let at = at.unwrap_or_else(|| {
            self.followed.push(Followed { key: key.to_owned(), ..Followed::default() });
            self.followed.len() - 1
        });
        let followed = &mut self.followed[at];
        for (id, timed) in self.store.events_after(key, followed.last)? {
            followed.last = id;
            followed.follower.take(&timed);
            match timed.event {
                Event::StepStarted { .. } => followed.lines.clear(),
                Event::Said { line, .. } => {
                    followed.lines.push(line.into_owned());
                    let more = followed.lines.len().saturating_sub(LINES);
                    followed.lines.drain(..more);
                }
                Event::Judged { networks, .. } => {
                    let new =
                        networks.iter().filter(|one| followed.known.insert(one.network.clone()));
                    followed.judged.extend(new.cloned());
                }
                _ => {}
            }
        }
        Ok(followed)
    }
}

fn missing(folder: &Path, why: &str) -> EngineError {
    EngineError::new(ErrorKind::Missing, format!("{}: {why}", folder.display()))
}

fn state_of(held: bool, attempt: &Attempt) -> RunState {
    match attempt.outcome {
        _ if held => RunState::Running,
        AttemptOutcome::Finished => RunState::Finished,
        AttemptOutcome::Failed => RunState::Failed,
        AttemptOutcome::Stopped => RunState::Stopped,
        AttemptOutcome::Running | AttemptOutcome::Killed => RunState::Killed,
    }
}

#[cfg(test)]
mod tests;
