//! Folders that commands make: whole, or not there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::render::Failure;

/// A folder that takes its place once it is whole.
pub struct NewFolder {
    place: PathBuf,
    staged: TempDir,
}

impl NewFolder {
    /// An empty one beside its place, where nothing may be yet.
    pub fn at(place: &Path) -> Result<Self, Failure> {
        if fs::symlink_metadata(place).is_ok() {
            let message = format!("{}: it is there already", place.display());
            return Err(Failure::input(message).hint("name a folder that is to be made"));
        }
        let parent = match place.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let failed = |error: io::Error| Failure::failed(format!("{}: {error}", place.display()));
        fs::create_dir_all(parent).map_err(failed)?;
        let staged = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
        Ok(Self { place: place.to_owned(), staged: staged.map_err(failed)? })
    }

    /// Where it is until it is whole.
    pub fn path(&self) -> &Path {
        self.staged.path()
    }

    /// Writes a file of it.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let failed = |error| Failure::failed(format!("{}: {error}", self.place.display()));
        fs::write(self.path().join(name), content).map_err(failed)
    }

    /// Puts it into its place.
    pub fn finish(self) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::failed(format!("{}: {error}", self.place.display()));
        readable(self.path()).map_err(failed)?;
        fs::rename(self.path(), &self.place).map_err(failed)?;
        // What was a temporary folder is the user's now.
        drop(self.staged.keep());
        Ok(())
    }
}

/// Temporary folders are their owner's alone; this one is like any other.
#[cfg(unix)]
fn readable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}
