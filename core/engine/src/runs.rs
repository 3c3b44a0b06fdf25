//! Looking at runs from outside, without their plugins.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    engine::Engine,
    error::{AtPath, EngineError, ErrorKind, Result},
    files::write_atomically,
    store::Store,
    study::Study,
};

/// What the latest attempt at a step has come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRecord {
    /// Name of the step.
    pub step: String,
    /// Whether it has finished; else it was interrupted, has failed, or is running.
    pub finished: bool,
    /// When it was last started, in seconds since 1970.
    pub started: i64,
    /// What it has taken so far.
    pub seconds: f64,
    /// Number of finished tasks.
    pub tasks: i64,
}

/// A run as its folder tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// The run's folder.
    pub folder: PathBuf,
    /// The study that ran last, defaults and overrides included.
    pub study: Study,
    /// The steps in the order of their start.
    pub steps: Vec<StepRecord>,
}

impl RunRecord {
    /// Reads the folder of a run.
    pub fn read(folder: &Path) -> Result<Self> {
        let Some(store) = Store::existing(folder)? else {
            let message = format!("{}: no run", folder.display());
            return Err(EngineError::new(ErrorKind::Missing, message));
        };
        let path = folder.join("study.json");
        let text = fs::read_to_string(&path).at(&path)?;
        let study: Study =
            serde_json::from_str(&text).map_err(|error| EngineError::file(&path, error))?;
        Ok(Self { folder: folder.to_owned(), study, steps: store.records()? })
    }
}

/// The file of a run that shows it to people; no step may publish one of this name.
pub(crate) const PAGE: &str = "report.html";

impl Engine {
    /// Leaves a page that shows the run in its folder, whole or not at all; gives its path. It is part of no
    /// step: whoever has looked at the run may write it anew.
    pub fn keep_page(&self, page: &str) -> Result<PathBuf> {
        let path = self.folder().join(PAGE);
        if fs::read_to_string(&path).ok().as_deref() != Some(page) {
            write_atomically(&path, page.as_bytes())?;
        }
        Ok(path)
    }
}

/// All runs below a folder, by name. One that cannot be read, of a later version say, is left out with a warning.
pub fn list_runs(runs: &Path) -> Result<Vec<RunRecord>> {
    if !runs.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(runs).at(runs)? {
        let folder = entry.at(runs)?.path();
        if ["study.json", crate::store::FILE].iter().any(|file| folder.join(file).is_file()) {
            folders.push(folder);
        }
    }
    folders.sort();
    let read = |folder: &PathBuf| {
        RunRecord::read(folder).inspect_err(|error| left_out(folder, error)).ok()
    };
    Ok(folders.iter().filter_map(read).collect())
}

/// That a run cannot be read is no reason to hide the others.
pub(crate) fn left_out(folder: &Path, error: &EngineError) {
    tracing::warn!("the run {} is left out: {error}", folder.display());
}

/// Makes the run one of this study file. It is refused where another study file of the same name has
/// it, whose results it would mix with its own.
pub(crate) fn claim(study: &Study, store: &Store) -> Result<()> {
    if let Some(message) = of_another(study, store)? {
        return Err(EngineError::study(message).with_hint(
            "give this study another `name`, or other runs a folder of their own with `--runs`; a \
             study file that has moved away leaves its run to the next of its name",
        ));
    }
    match study.file() {
        Some(file) if store.origin()?.as_ref() != Some(&file) => store.set_origin(&file),
        _ => Ok(()),
    }
}

/// Whose run it is, in words, where another study file of the same name has it.
pub(crate) fn of_another(study: &Study, store: &Store) -> Result<Option<String>> {
    let Some(file) = study.file() else { return Ok(None) };
    let owner = store.origin()?.filter(|owner| *owner != file);
    let owner = owner.filter(|owner| Study::name_in(owner).as_ref() == Some(&study.name));
    let folder = store.folder().display();
    let message = |owner: PathBuf| {
        format!("{folder} is the run of {}, which has the same name", owner.display())
    };
    Ok(owner.map(message))
}

/// Leaves the study in the run's folder: as it was written, and with all that it means.
pub(crate) fn keep_study(study: &Study, folder: &Path) -> Result<()> {
    let meant = serde_json::to_string_pretty(study)
        .map_err(|error| EngineError::study(error.to_string()))?;
    for (name, text) in [("study.toml", &study.text), ("study.json", &meant)] {
        let path = folder.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            write_atomically(&path, text.as_bytes())?;
        }
    }
    Ok(())
}
