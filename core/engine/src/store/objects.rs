//! Files and folders of a run that never change, named after their content.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    error::{EngineError, Result},
    files::{remove, seal, set_aside, sync_folder},
    hash,
};

/// The folder of all objects of a run.
pub(super) struct Objects {
    folder: PathBuf,
    /// Whether the content is what the name says, of those that this process has looked at.
    sound: Mutex<HashMap<String, bool>>,
}

impl Objects {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, sound: Mutex::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether an object is there with the content that its name says. It is read when a process
    /// first asks, as neither its size nor its time tell of a bit that has turned.
    pub fn is_sound(&self, name: &str) -> bool {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = sound.get(name) {
            return known && self.path(name).exists();
        }
        let found = hash::is_object(&self.path(name), name).unwrap_or_else(|error| {
            tracing::debug!("{error}");
            false
        });
        sound.insert(name.to_owned(), found);
        found
    }

    /// Moves a file or folder to where its content belongs; gives its name.
    pub fn adopt(&self, output: &Path) -> Result<String> {
        let name = hash::object_name(output)?;
        let object = self.path(&name);
        if fs::symlink_metadata(&object).is_ok() && !self.is_sound(&name) {
            self.set_aside(&name)?;
        }
        if !object.exists() {
            seal(output)?;
            match fs::rename(output, &object) {
                // A neighbouring task with the same content may have been faster.
                Err(error) if !object.exists() => return Err(EngineError::file(&object, error)),
                _ => sync_folder(&self.folder)?,
            }
        }
        self.remember(&name, true);
        remove(output)?;
        Ok(name)
    }

    /// Moves an object away whose content is not what its name says; where to, if there was one.
    pub fn set_aside(&self, name: &str) -> Result<Option<PathBuf>> {
        self.remember(name, false);
        let object = self.path(name);
        if fs::symlink_metadata(&object).is_err() {
            return Ok(None);
        }
        set_aside(&object).map(Some)
    }

    fn remember(&self, name: &str, sound: bool) {
        let mut known = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), sound);
    }
}
