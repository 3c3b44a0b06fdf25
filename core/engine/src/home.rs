//! The program's home: the folder of what all studies of a user share. Plugins, trust in them and
//! compiled code lie there, so that nobody else may write in it, and its files are no links.

use std::{
    env,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::error::{AtPath, EngineError, ErrorKind, Result};

/// `$SPACEWRIGHT_HOME`, or the user's data folder, whether it exists or not. An error where no
/// variable says where that is, or where somebody else can write in it.
pub fn default_home() -> Result<PathBuf> {
    let home = find(|name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from));
    let home = home.ok_or_else(|| {
        let message = "no home: none of HOME, XDG_DATA_HOME and SPACEWRIGHT_HOME names a folder";
        EngineError::new(ErrorKind::Storage, message)
            .with_hint("let SPACEWRIGHT_HOME name a folder of your own")
    })?;
    if home.exists() {
        check(&home)?;
    }
    Ok(home)
}

/// Only a whole path is taken from variables that are not the program's own: any other would lie
/// in whatever folder is the current one.
fn find(folder: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let whole = |name: &str| folder(name).filter(|path| path.is_absolute());
    folder("SPACEWRIGHT_HOME")
        .or_else(|| Some(whole("XDG_DATA_HOME")?.join("spacewright")))
        .or_else(|| Some(whole("HOME")?.join(".local/share/spacewright")))
}

/// Makes the folder where it does not exist, for its owner only, and checks that nobody else can
/// write in it.
pub fn make(home: &Path) -> Result<()> {
    make_private(home).at(home)?;
    check(home)
}

/// The path of a file of the home, once the home is [made](make) and no link lies in its place.
pub fn file(home: &Path, name: &str) -> Result<PathBuf> {
    make(home)?;
    let path = home.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => Err(EngineError::file(&path, "a link; not followed")
            .with_hint("move what it points to into its place, or remove it")),
        _ => Ok(path),
    }
}

/// Reads a whole file of the home; a link is an error.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Reads a text of the home; a link is an error.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(no_follow()).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The flag with which the system refuses to open a link.
#[cfg(unix)]
pub(crate) fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn check(home: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let found = fs::metadata(home).at(home)?;
    if !found.is_dir() {
        return Err(EngineError::file(home, "the home of the program is no folder")
            .with_hint("move the file away, or let SPACEWRIGHT_HOME name a folder of your own"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(EngineError::file(home, "the home of the program belongs to somebody else")
            .with_hint("let SPACEWRIGHT_HOME name a folder of your own"));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(EngineError::file(home, "others can write in the home of the program")
            .with_hint(format!("look at what is in it, then `chmod 700 {}`", home.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<PathBuf> {
        find(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_home_is_never_below_the_current_folder() {
        let home = |variables: &[(&str, &str)]| found(variables).map(|p| p.display().to_string());
        assert_eq!(home(&[]), None);
        assert_eq!(home(&[("HOME", "."), ("XDG_DATA_HOME", "data")]), None);
        let user = ("HOME", "/home/me");
        assert_eq!(home(&[user]).unwrap(), "/home/me/.local/share/spacewright");
        assert_eq!(home(&[user, ("XDG_DATA_HOME", "/data")]).unwrap(), "/data/spacewright");
        assert_eq!(home(&[user, ("SPACEWRIGHT_HOME", "here")]).unwrap(), "here");
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt, symlink};

        use super::*;

        #[test]
        fn a_new_home_is_private_and_one_that_others_can_write_in_is_refused() {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().join("a/home");
            make(&home).unwrap();
            assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
            for mode in [0o770, 0o702, 0o777] {
                fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
                let error = make(&home).unwrap_err();
                assert!(error.to_string().contains("others can write in"), "{error}");
                assert!(error.hint.unwrap().contains("`chmod 700 "));
            }
            // As earlier versions made it.
            fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
            make(&home).unwrap();
        }

        #[test]
        fn a_file_is_no_home() {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().join("home");
            fs::write(&home, "").unwrap();
            assert!(check(&home).unwrap_err().to_string().contains("is no folder"));
        }

        #[test]
        fn links_are_not_followed() {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().join("home");
            let elsewhere = folder.path().join("elsewhere");
            fs::write(&elsewhere, "text").unwrap();
            make(&home).unwrap();
            symlink(&elsewhere, home.join("key")).unwrap();
            assert!(file(&home, "key").unwrap_err().to_string().contains("a link"));
            assert!(read(&home.join("key")).is_err());
            assert_eq!(file(&home, "other").unwrap(), home.join("other"));
            fs::write(home.join("other"), "text").unwrap();
            assert_eq!(read_text(&home.join("other")).unwrap(), "text");
        }
    }
}
