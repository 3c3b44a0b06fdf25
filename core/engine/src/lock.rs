//! Locks between processes; the system frees them when a process ends, however it ends.

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    home,
    live::plain,
};

/// The lock of a run, in its folder.
const RUN: &str = "lock";
/// How often, and after which pause, a lock is tried again: somebody may be looking whether it is held.
const LOOKS: usize = 5;
const LOOK: Duration = Duration::from_millis(20);

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
        let mut taken = file.try_lock();
        for _ in 0..LOOKS {
            if !matches!(taken, Err(TryLockError::WouldBlock)) {
                break;
            }
            // Who only looks has it for a moment.
            thread::sleep(LOOK);
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {
                file.set_len(0).at(path)?;
                write!(file, "{}", std::process::id()).at(path)?;
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(EngineError::file(path, error)),
        }
    }

    /// Whether a process works on the run of a folder.
    pub fn is_held(folder: &Path) -> bool {
        // What is no file can be no lock of this program, and a pipe would keep who looks waiting.
        let Ok(file) = plain::open(&folder.join(RUN)) else { return false };
        // Dropped with the file.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Takes the lock of a run's folder, or says who has it.
    pub fn run(folder: &Path) -> Result<Self> {
        let path = folder.join(RUN);
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
