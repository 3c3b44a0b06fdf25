//! Seals: what the program keeps for itself, and believes or executes later, carries a keyed hash
//! under a key that only the user can read.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use blake3::{Hash, Hasher};
use tempfile::NamedTempFile;

use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    home,
};

/// Digits of a seal.
pub(crate) const LENGTH: usize = 64;

/// The key of a home: random bytes in its file `key`.
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of this home; made, with the home, where there is none. Several processes that
    /// make it at once get the same.
    pub fn of(home: &Path) -> Result<Self> {
        let path = home::file(home, "key")?;
        if !path.exists() {
            make(home, &path)?;
        }
        let content = home::read(&path).at(&path)?;
        let key = content.try_into().map_err(|_| {
            EngineError::file(&path, "no key of this program")
                .with_hint("remove the file: another key is made, and what it sealed is made anew")
        })?;
        check_private(&path)?;
        Ok(Self(key))
    }

    /// The seal of these parts, for one purpose: hexadecimal digits.
    pub fn seal(&self, purpose: &str, parts: &[&[u8]]) -> String {
        self.hash(purpose, parts).to_string()
    }

    /// Whether it is the seal of these parts, for this purpose.
    pub fn is_seal(&self, seal: &[u8], purpose: &str, parts: &[&[u8]]) -> bool {
        // Hashes are compared in constant time.
        Hash::from_hex(seal).is_ok_and(|seal| self.hash(purpose, parts) == seal)
    }

    /// Lengths stand before parts, so that no two lists of them are the same bytes.
    fn hash(&self, purpose: &str, parts: &[&[u8]]) -> Hash {
        let mut hasher = Hasher::new_keyed(&self.0);
        for part in [purpose.as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        hasher.finalize()
    }
}

/// Writes a new key beside its place and moves it there, unless another process was faster. Temporary
/// files can be read by their owner only.
fn make(home: &Path, path: &Path) -> Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| {
        EngineError::new(ErrorKind::Storage, format!("the system gives no random bytes: {error}"))
    })?;
    let mut file = NamedTempFile::new_in(home).at(home)?;
    file.write_all(&key).and_then(|()| file.as_file().sync_all()).at(path)?;
    match file.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed.error).at(path)
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn check_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path).at(path)?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => Err(EngineError::file(path, "others can read this key")
            .with_hint("remove the file: another key is made, and what it sealed is made anew")),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_key_purpose_and_parts() {
        let [home, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let key = Key::of(home.path()).unwrap();
        let parts: &[&[u8]] = &[b"ab", b"c"];
        let seal = key.seal("code", parts);
        let again = Key::of(home.path()).unwrap();
        let seal = seal.as_bytes();
        assert_eq!(seal.len(), LENGTH);
        assert!(again.is_seal(seal, "code", parts));
        assert!(!again.is_seal(seal, "code", &[b"a", b"bc"]));
        assert!(!again.is_seal(seal, "words", parts));
        for bad in [&seal[1..], &seal[2..], b"", "é".as_bytes()] {
            assert!(!again.is_seal(bad, "code", parts));
        }
        assert!(!Key::of(other.path()).unwrap().is_seal(seal, "code", parts));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside the key");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        Key::of(home.path()).unwrap();
        let path = home.path().join("key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Key::of(home.path()).err().unwrap();
        assert!(error.to_string().contains("others can read this key"), "{error}");
        fs::write(&path, "short").unwrap();
        assert!(Key::of(home.path()).err().unwrap().to_string().contains("no key of this program"));
    }
}
