//! Files that are replaced as a whole.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use spacewright_core::train::{AnyError, TrainError};

/// Has a file written beside its place, in a folder that then exists, and renames it once the disk has all of it:
/// whoever reads it finds what was there before or what is new, also after the machine has failed.
pub fn replace<E: Into<AnyError>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), TrainError> {
    let replaced = || -> Result<(), AnyError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        write(&beside).map_err(Into::<AnyError>::into)?;
        File::open(&beside)?.sync_all()?;
        fs::rename(&beside, path)?;
        Ok(())
    };
    replaced().map_err(|error| TrainError::file(path, error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/file");
        replace(&path, |beside| fs::write(beside, "first")).unwrap();
        let half = |beside: &Path| {
            fs::write(beside, "sec")?;
            Err(io::Error::other("the disk is full"))
        };
        let error = replace(&path, half).unwrap_err().to_string();
        assert!(error.contains("sub/file") && error.contains("the disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, |beside| fs::write(beside, "third")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
