//! Files of a run that are what they seem. Who can write in a folder of runs can lay a link to a file of another
//! place among them, or a pipe, which keeps whoever opens it waiting.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// What is opened to look at a run. SQLite opens its own files by their names.
pub(super) const OPENED: [&str; 6] =
    ["study.json", "run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "run.sqlite-journal", "lock"];

/// Device and number of a file.
pub(super) type Identity = (u64, u64);

/// Whether there is a file that is no link, no pipe, and no folder.
pub(super) fn is_plain(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Whether all files of a run's folder that are opened to look at it are plain ones, as far as they are there.
pub(super) fn are_plain(folder: &Path) -> bool {
    OPENED.iter().all(|name| match fs::symlink_metadata(folder.join(name)) {
        Ok(found) => found.is_file(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    })
}

/// Opens a plain file to read it; anything else is an error, and nothing is waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link, or no file"));
    }
    let mut options = File::options();
    options.read(true);
    // Something else may have taken its place by now.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, as_it_is());
    options.open(path)
}

/// Reads a plain file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// The flags with which the system follows no link and waits at no pipe.
#[cfg(unix)]
fn as_it_is() -> i32 {
    crate::home::no_follow() | rustix::fs::OFlags::NONBLOCK.bits() as i32
}

/// What tells a file from a later one of its name. The number of one that was removed is given again, once nobody
/// has it open.
#[cfg(unix)]
pub(super) fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Elsewhere no file can be removed that is open.
#[cfg(not(unix))]
pub(super) fn identity(_: &Path) -> Option<Identity> {
    None
}
