//! Writing files so that a kill at any moment leaves the old state or the new one.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use crate::error::{AtPath, Result};

/// What temporary files begin and end with. Between there is something random, so that nobody can lay
/// a link where one will be written.
const TEMPORARY: [&str; 2] = [".tmp-", ".tmp"];

/// Replaces a file, or makes it; readers see the old content or the new one, never a part. What has been written
/// survives a loss of power.
///
/// # Errors
///
/// Where its folder is not there or cannot be written, or the disk is full; the old content stays then.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY[0]).suffix(TEMPORARY[1]);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(READABLE));
    let mut file = builder.tempfile_in(folder).at(folder)?;
    file.write_all(content).at(path)?;
    file.as_file().sync_all().at(path)?;
    file.persist(path).map_err(|error| error.error).at(path)?;
    sync_folder(folder)
}

/// Of files that people look for; less what the user's mask takes away.
#[cfg(unix)]
const READABLE: u32 = 0o666;

/// Removes temporary files that a killed process has left in a folder.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<()> {
    let [start, end] = TEMPORARY;
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(start) && name.ends_with(end) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether this process may write to a file or folder, and the file system can be written at all.
pub(crate) fn is_writable(path: &Path) -> bool {
    #[cfg(unix)]
    return rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    #[cfg(not(unix))]
    return fs::metadata(path).is_ok_and(|metadata| !metadata.permissions().readonly());
}

/// Moves a damaged file or folder to a new name beside it, which is given: people may want to look.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = path.with_file_name(name);
        if fs::symlink_metadata(&aside).is_err() {
            fs::rename(path, &aside).at(path)?;
            return Ok(aside);
        }
        number += 1;
    }
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
