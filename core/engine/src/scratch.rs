//! Where tasks work: `scratch/STEP/KEY/TASK`. What an attempt leaves there, the next one goes on from.
//!
//! An attempt of this process works in the folder of the task itself, one of another machine in a folder of
//! its own below. Whoever begins takes the checkpoints over by renaming them, also those of an attempt that
//! is believed to be dead and is not: this then loses its files instead of writing into those of the next.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use spacewright_core::study::TaskFiles;

use crate::{
    error::{AtPath, Result},
    files::remove,
};

/// Where checkpoints lie.
const WORK: &str = "work";
/// Is there as long as nobody has taken over from an attempt on another machine.
const MARK: &str = "running";

/// The files of an attempt at a task.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Begins an attempt in this process, at the task with this folder.
    pub fn here(task: &Path) -> Result<Self> {
        Self::begin(task, task.to_owned())
    }

    /// Begins an attempt of a name that no other has, on whichever machine.
    pub fn named(task: &Path, attempt: &str) -> Result<Self> {
        let scratch = Self::begin(task, task.join(attempt))?;
        let mark = scratch.folder.join(MARK);
        fs::write(&mark, "").at(&mark)?;
        Ok(scratch)
    }

    fn begin(task: &Path, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).at(&folder)?;
        let scratch = Self { folder };
        let TaskFiles { output, scratch: work } = scratch.files();
        remove(&output)?;
        for earlier in attempts(task)? {
            if earlier == work {
                break;
            }
            if let Some(folder) = earlier.parent() {
                remove(&folder.join(MARK))?;
            }
            remove(&work)?;
            // Another machine may have been faster.
            if fs::rename(&earlier, &work).is_ok() {
                break;
            }
        }
        fs::create_dir_all(&work).at(&work)?;
        Ok(scratch)
    }

    /// Where the task may write.
    pub fn files(&self) -> TaskFiles {
        TaskFiles { output: self.folder.join("output"), scratch: self.folder.join(WORK) }
    }

    /// Whether another attempt has taken over from this named one.
    pub fn is_taken_over(&self) -> bool {
        !self.folder.join(MARK).exists()
    }
}

/// Folders of checkpoints of all attempts at a task, the latest first.
fn attempts(task: &Path) -> Result<Vec<PathBuf>> {
    let mut places = vec![task.join(WORK)];
    for entry in fs::read_dir(task).at(task)? {
        places.push(entry.at(task)?.path().join(WORK));
    }
    let changed = |place: PathBuf| {
        let found = fs::metadata(&place).ok().filter(fs::Metadata::is_dir)?;
        Some((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), place))
    };
    let mut found: Vec<(SystemTime, PathBuf)> = places.into_iter().filter_map(changed).collect();
    found.sort();
    Ok(found.into_iter().rev().map(|(_, place)| place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_go_from_attempt_to_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let task = folder.path().join("task");
        let here = Scratch::here(&task).unwrap();
        fs::write(here.files().scratch.join("checkpoint"), "1").unwrap();
        fs::write(here.files().output, "half").unwrap();
        assert_eq!(here.files().scratch, task.join("work"));

        let first = Scratch::named(&task, "a").unwrap();
        let kept = |scratch: &Scratch| {
            fs::read_to_string(scratch.files().scratch.join("checkpoint")).unwrap()
        };
        assert_eq!(kept(&first), "1");
        assert!(!first.is_taken_over());
        let second = Scratch::named(&task, "b").unwrap();
        assert_eq!(kept(&second), "1");
        assert!(first.is_taken_over() && !second.is_taken_over());

        // The first is alive, and a trainer makes the folders that it writes into.
        let stray = first.files().scratch.join("checkpoint");
        fs::create_dir_all(stray.parent().unwrap()).unwrap();
        fs::write(stray, "stray").unwrap();
        assert!(first.is_taken_over());
        assert_eq!(kept(&second), "1");

        fs::remove_dir_all(task.join("a")).unwrap();
        let again = Scratch::here(&task).unwrap();
        assert_eq!(kept(&again), "1");
        assert!(!again.files().output.exists());
        assert!(second.is_taken_over());
    }
}
