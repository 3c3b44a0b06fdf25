//! Writing files so that a kill at any moment leaves the old state or the new one.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::error::{AtPath, Result};

/// Replaces a file; readers see the old content or the new one, never a part.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).at(&temporary)?;
    file.write_all(content).at(&temporary)?;
    file.sync_all().at(&temporary)?;
    drop(file);
    fs::rename(&temporary, path).at(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes renames and new names in a folder last.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).at(path)?.sync_all().at(path)?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Makes all content below a file or folder last, and its files read-only.
pub(crate) fn seal(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).at(path)? {
            seal(&entry.at(path)?.path())?;
        }
        return sync_folder(path);
    }
    // Some systems only sync what was opened for writing.
    File::options().append(true).open(path).at(path)?.sync_all().at(path)?;
    let mut permissions = fs::metadata(path).at(path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).at(path)
}

/// Removes a file or folder that may not exist.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at(path),
    }
}
