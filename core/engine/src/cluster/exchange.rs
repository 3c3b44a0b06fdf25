//! The folder through which head and nodes exchange what a step is and what its tasks have left:
//! `runs/NAME/cluster/STEP/KEY`.
//!
//! ```text
//! description      the step and all that its tasks may read; replaced as a whole
//! batches/NUMBER   what was submitted
//! results/ATTEMPT  what an attempt at a task has left: `result`, and `output` where it wrote one
//! logs/            what jobs print
//! ```
//!
//! All that is read here ends in a checksum or is compared with its hash, and comes to its place by being
//! renamed, so that whoever reads finds all of it or nothing. Nodes make no folders here but those of their
//! results: what is left of jobs that nobody waits for ends in errors of these jobs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use spacewright_core::{
    hex::hex,
    sealed::{seal_line, unseal_line},
    study::ArtifactName,
    train::{CurvePoint, Usage},
};

use super::Batch;
use crate::{
    compute::Threads,
    error::{AtPath, EngineError, Result},
    files::{remove, sync_folder, write_atomically},
    keys::Ingredients,
    study::Study,
};

/// The folder of a run that holds these folders.
const FOLDER: &str = "cluster";

/// What a node needs to run tasks of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Name of the step.
    pub step: String,
    /// Its key.
    pub key: String,
    /// What the key is made of, to say what is different on a node.
    pub ingredients: Ingredients,
    /// The study, with the device that it came to on the head.
    pub study: Study,
    /// Threads that the step may use.
    pub threads: Threads,
    /// The home of the head.
    pub home: PathBuf,
    /// Folder of all runs.
    pub runs: PathBuf,
    /// Folder of the unfinished work of all tasks of the step.
    pub scratch: PathBuf,
    /// What the step may read: of itself, and of the steps before it.
    pub artifacts: Vec<KnownArtifact>,
}

/// An artifact that is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownArtifact {
    /// Which one.
    pub name: ArtifactName,
    /// Its result.
    pub result: Value,
    /// Its file or folder, whose name says what its content has to be.
    pub object: Option<PathBuf>,
}

/// What an attempt at a task came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TaskOutcome {
    /// Key of the step.
    pub key: String,
    /// Name of the task.
    pub task: String,
    /// The machine.
    pub node: String,
    /// What the attempt took.
    pub seconds: f64,
    /// What its processes used.
    pub usage: Usage,
    /// Points of its training curve.
    pub curve: Vec<CurvePoint>,
    /// How it ended.
    pub end: TaskEnd,
}

/// How an attempt at a task ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskEnd {
    /// It has a result.
    Done {
        /// The result.
        result: Value,
        /// The name that its output has as an object, where it wrote one.
        output: Option<String>,
    },
    /// It has failed.
    Failed {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
        /// Whether another attempt may go better: a process was ended from outside.
        passes: bool,
    },
}

/// The folder of one step under one key.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    folder: PathBuf,
}

impl Exchange {
    /// That of a step under a key; it may not exist.
    pub fn of(run: &Path, step: &str, key: &str) -> Self {
        Self { folder: Self::of_step(run, step).join(&key[..16.min(key.len())]) }
    }

    /// Those of a step under whatever key.
    pub fn all(run: &Path, step: &str) -> Result<Vec<Self>> {
        let folders = entries(&Self::of_step(run, step))?;
        Ok(folders.into_iter().map(|folder| Self { folder }).collect())
    }

    /// The folder of all exchange for a step.
    pub fn of_step(run: &Path, step: &str) -> PathBuf {
        run.join(FOLDER).join(step)
    }

    /// One that a head has made.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder.
    pub fn create(&self) -> Result<()> {
        for part in ["batches", "results", "logs"] {
            let folder = self.folder.join(part);
            fs::create_dir_all(&folder).at(&folder)?;
        }
        Ok(())
    }

    /// Removes the folder.
    pub fn remove(&self) -> Result<()> {
        remove(&self.folder)
    }

    /// Says what nodes have to know, in place of what was said before.
    pub fn describe(&self, description: &Description) -> Result<()> {
        write(&self.folder.join("description"), description)
    }

    /// What nodes have to know.
    pub fn description(&self) -> Result<Description> {
        let path = self.folder.join("description");
        let text = fs::read_to_string(&path).at(&path)?;
        read(&text).ok_or_else(|| {
            EngineError::file(&path, "damaged, or of another version of this program")
                .with_hint("run the study's command on the head again, which writes it anew")
        })
    }

    /// What was submitted, the latest last; what is damaged of it is left out.
    pub fn batches(&self) -> Result<Vec<Batch>> {
        let texts = entries(&self.folder.join("batches"))?.into_iter();
        Ok(texts.filter_map(|path| read(&fs::read_to_string(path).ok()?)).collect())
    }

    /// Keeps what is about to be submitted.
    pub fn add_batch(&self, batch: &Batch) -> Result<()> {
        let folder = self.folder.join("batches");
        let last = entries(&folder)?.pop();
        let last = last.and_then(|path| path.file_name()?.to_str()?.parse::<usize>().ok());
        // In the order of their names.
        let name = format!("{:08}", last.map_or(0, |last| last + 1));
        write(&folder.join(name), batch)
    }

    /// Forgets a batch: nobody waits for its jobs.
    pub fn forget_batch(&self, batch: &Batch) -> Result<()> {
        for path in entries(&self.folder.join("batches"))? {
            let found: Option<Batch> = fs::read_to_string(&path).ok().as_deref().and_then(read);
            if found.is_none_or(|found| found.name == batch.name) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Where the output of a job goes.
    pub fn log(&self, batch: &Batch, number: usize) -> PathBuf {
        let task = batch.tasks.get(number).map(String::as_str).unwrap_or_default();
        self.folder.join("logs").join(format!("{task}-{}.log", batch.name))
    }

    /// Names of the attempts that have left something.
    pub fn attempts(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("results");
        // On a network file system, a folder in which this machine has just written is not taken from what
        // it remembers of the folder.
        drop(tempfile::NamedTempFile::new_in(&folder).at(&folder)?);
        let names = entries(&folder)?;
        let names = names.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// What an attempt came to; `None` where that is damaged.
    pub fn outcome(&self, attempt: &str) -> Option<TaskOutcome> {
        let folder = self.folder.join("results").join(attempt);
        read(&fs::read_to_string(folder.join("result")).ok()?)
    }

    /// Where an attempt has left its output.
    pub fn output(&self, attempt: &str) -> PathBuf {
        self.folder.join("results").join(attempt).join("output")
    }

    /// Removes what an attempt has left.
    pub fn discard(&self, attempt: &str) -> Result<()> {
        remove(&self.folder.join("results").join(attempt))
    }

    /// Leaves what an attempt came to, and moves the output of one that has succeeded beside it.
    pub fn leave(&self, attempt: &str, outcome: &TaskOutcome, output: &Path) -> Result<()> {
        let results = self.folder.join("results");
        let unfinished = results.join(format!("{HIDDEN}{attempt}"));
        fs::create_dir(&unfinished).at(&unfinished)?;
        if let TaskEnd::Done { output: Some(_), .. } = outcome.end {
            fs::rename(output, unfinished.join("output")).at(output)?;
        }
        write(&unfinished.join("result"), outcome)?;
        let place = results.join(attempt);
        fs::rename(&unfinished, &place).at(&place)?;
        sync_folder(&results)
    }
}

/// What names of unfinished files and folders begin with.
const HIDDEN: char = '.';

/// A name that nothing else has.
pub(super) fn unique_name() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        EngineError::study(format!("the system gives no random bytes: {error}"))
    })?;
    Ok(hex(&bytes))
}

/// Paths of what a folder holds, by name, but for what is unfinished; nothing where it does not exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.at(folder)?,
    };
    let mut paths = Vec::new();
    for entry in found {
        let entry = entry.at(folder)?;
        if !entry.file_name().to_string_lossy().starts_with(HIDDEN) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| EngineError::file(path, error))?;
    write_atomically(path, seal_line(&text).as_bytes())
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(unseal_line(text)?).ok()
}
