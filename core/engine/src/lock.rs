//! Locks between processes; the system frees them when a process ends, however it ends.

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::Path,
};

use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    home,
};

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or gives none where another process has it.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, home::no_follow());
        let mut file = options.open(path).at(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).at(path)?;
                write!(file, "{}", std::process::id()).at(path)?;
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(EngineError::file(path, error)),
        }
    }

    /// Takes the lock of a run's folder, or says who has it.
    pub fn run(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        Self::try_take(&path)?.ok_or_else(|| {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            let owner = match owner.as_str() {
                "" => "another process".to_owned(),
                id => format!("process {id}"),
            };
            let message = format!("{}: {owner} works on this run", folder.display());
            EngineError::new(ErrorKind::Locked, message)
                .with_hint("wait until it has finished, or stop it")
        })
    }
}
