//! Which native libraries may be loaded. A library runs with all rights of the program, so that
//! nothing but the user's word makes it harmless.

use std::{
    env::consts::DLL_EXTENSION,
    fs,
    path::{Path, PathBuf, absolute},
};

use serde::{Deserialize, Serialize};

use super::{PluginFile, carrier_of};
use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    files::{remove, seal, write_atomically},
    hash, home,
    origin::Carrier,
};

/// The libraries that the user trusts: copies of them in the folder `trusted` of the program's
/// home. Only these copies are loaded, so that a file that changes is no longer trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    home: PathBuf,
    folder: PathBuf,
}

/// A trusted library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// SHA-256 of its file: its identity.
    pub sha256: String,
    /// Bytes of its file.
    pub size: u64,
    /// The file that the user trusted.
    pub from: PathBuf,
}

impl Trust {
    /// The trusted libraries below `home`; makes nothing.
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned(), folder: home.join("trusted") }
    }

    /// Trusts a library from now on: what the file at `path` held when the user was asked.
    pub fn trust(&self, path: &Path, file: &PluginFile) -> Result<Trusted> {
        let PluginFile { bytes, sha256 } = file;
        if carrier_of(bytes) != Some(Carrier::Native) {
            return Err(refused(path, "no native library: nothing else needs to be trusted"));
        }
        let from = absolute(path).at(path)?;
        let new = Trusted { sha256: sha256.clone(), size: bytes.len() as u64, from };
        home::make(&self.home)?;
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        let copy = self.file(&new.sha256);
        write_atomically(&copy, bytes)?;
        seal(&copy)?;
        // The record comes last: without it the copy is not trusted.
        let record = self.record(&new.sha256);
        let text = serde_json::to_string_pretty(&new).map_err(|e| EngineError::file(&record, e))?;
        write_atomically(&record, text.as_bytes())?;
        Ok(new)
    }

    /// Whether the library with this SHA-256 is trusted.
    pub fn is_trusted(&self, sha256: &str) -> bool {
        is_sha256(sha256) && self.record(sha256).is_file()
    }

    /// Where the copy of a trusted library is.
    pub fn file(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.{DLL_EXTENSION}"))
    }

    /// Trusts the library with this SHA-256 no longer.
    pub fn revoke(&self, sha256: &str) -> Result<Trusted> {
        if !self.is_trusted(sha256) {
            let message = format!("no trusted library has the SHA-256 `{sha256}`");
            return Err(EngineError::new(ErrorKind::Plugin, message));
        }
        let record = self.record(sha256);
        let gone = read(&record)?;
        remove(&record)?;
        remove(&self.file(sha256))?;
        Ok(gone)
    }

    /// Revokes trust, by SHA-256 or by path: of a path, every content that was trusted there.
    pub fn untrust(&self, library: &str) -> Result<Vec<Trusted>> {
        if is_sha256(library) {
            return Ok(vec![self.revoke(library)?]);
        }
        let path = absolute(library).at(Path::new(library))?;
        let content = hash::of_file(&path).ok();
        let all = self.list()?;
        let meant =
            all.iter().filter(|one| one.from == path || Some(&one.sha256) == content.as_ref());
        let gone = meant.map(|one| self.revoke(&one.sha256)).collect::<Result<Vec<_>>>()?;
        if gone.is_empty() {
            let message = format!("nothing of `{library}` is trusted");
            let known = |one: &Trusted| format!("{} ({})", one.sha256, one.from.display());
            let known: Vec<String> = all.iter().map(known).collect();
            let error = EngineError::study(message);
            return Err(match known.is_empty() {
                true => error.with_hint("no library is trusted"),
                false => error.with_hint(format!("trusted are {}", known.join(", "))),
            });
        }
        Ok(gone)
    }

    /// All trusted libraries, by the files that they come from.
    pub fn list(&self) -> Result<Vec<Trusted>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).at(&self.folder)? {
            let path = entry.at(&self.folder)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(read(&path)?);
            }
        }
        all.sort_by(|a, b| (&a.from, &a.sha256).cmp(&(&b.from, &b.sha256)));
        Ok(all)
    }

    /// The copy to load of a library whose file is at `path` and has this SHA-256; an error where
    /// it is not trusted, or where the copy is not what was trusted.
    #[cfg_attr(not(feature = "native-plugins"), allow(dead_code))]
    pub(super) fn copy_of(&self, path: &Path, sha256: &str) -> Result<PathBuf> {
        if !self.is_trusted(sha256) {
            return Err(match self.has_trusted(path) {
                true => refused(path, "it has changed since it was trusted"),
                false => untrusted(path),
            });
        }
        read(&self.record(sha256))?;
        let copy = self.file(sha256);
        match home::read(&copy).map(|bytes| hash::of_bytes(&bytes)) {
            Ok(found) if found == sha256 => Ok(copy),
            Ok(_) => Err(refused(&copy, "this copy of a trusted library has changed")
                .with_hint(trusting(path))),
            Err(error) => Err(refused(path, &format!("its trusted copy is lost: {error}"))),
        }
    }

    /// Whether another content of this file is trusted.
    fn has_trusted(&self, path: &Path) -> bool {
        let (Ok(path), Ok(all)) = (absolute(path), self.list()) else { return false };
        all.iter().any(|trusted| trusted.from == path)
    }

    fn record(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.json"))
    }
}

/// Why a library is not loaded that nobody has trusted.
pub(super) fn untrusted(path: &Path) -> EngineError {
    refused(path, "a native library that is not trusted")
}

fn refused(path: &Path, reason: &str) -> EngineError {
    EngineError::new(ErrorKind::Plugin, format!("{}: {reason}", path.display()))
        .with_hint(trusting(path))
}

fn trusting(path: &Path) -> String {
    format!("`spacewright plugin trust {}` says what that means", path.display())
}

/// The record of a trusted library, whose fields are as [`Trust::trust`] writes them.
fn read(record: &Path) -> Result<Trusted> {
    let wrong = |reason: &dyn std::fmt::Display| {
        EngineError::file(record, format!("no record of trust: {reason}"))
            .with_hint("remove the file, and trust the library again")
    };
    let text = home::read_text(record).map_err(|error| wrong(&error))?;
    let trusted: Trusted = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    if !is_sha256(&trusted.sha256) {
        return Err(wrong(&"its `sha256` is not 64 lower-case hexadecimal digits"));
    }
    if record.file_stem().is_none_or(|stem| stem != trusted.sha256.as_str()) {
        return Err(wrong(&"its `sha256` is not the one in its name"));
    }
    if !trusted.from.is_absolute() {
        return Err(wrong(&"its `from` is not the whole path of a file"));
    }
    Ok(trusted)
}

/// Whether a text is the hash of a file, as this program writes it: only then it is a part of a
/// path.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _home: tempfile::TempDir,
        trust: Trust,
        library: PathBuf,
    }

    fn fixture() -> Fixture {
        let home = tempfile::tempdir().unwrap();
        let library = home.path().join("libx.so");
        fs::write(&library, b"\x7fELF first").unwrap();
        let trust = Trust::new(home.path());
        Fixture { _home: home, trust, library }
    }

    #[test]
    fn a_library_is_trusted_until_that_is_revoked() {
        let Fixture { trust, library, .. } = &fixture();
        assert!(trust.list().unwrap().is_empty());
        let trusted = trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        assert_eq!(trusted.size, 10);
        assert!(trust.is_trusted(&trusted.sha256));
        assert_eq!(trust.list().unwrap(), std::slice::from_ref(&trusted));
        let copy = trust.copy_of(library, &trusted.sha256).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), fs::read(library).unwrap());
        assert!(fs::metadata(&copy).unwrap().permissions().readonly());
        assert_eq!(trust.trust(library, &PluginFile::read(library).unwrap()).unwrap(), trusted);
        assert_eq!(trust.revoke(&trusted.sha256).unwrap(), trusted);
        assert!(!copy.exists());
        let error = trust.copy_of(library, &trusted.sha256).unwrap_err();
        assert!(error.to_string().ends_with("a native library that is not trusted"), "{error}");
        assert!(error.hint.unwrap().contains("plugin trust "));
        assert!(trust.revoke(&trusted.sha256).is_err());
    }

    #[test]
    fn other_content_of_the_same_file_is_not_trusted() {
        let Fixture { trust, library, .. } = &fixture();
        trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        fs::write(library, b"\x7fELF second").unwrap();
        let error = trust.copy_of(library, &hash::of_file(library).unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("it has changed since it was trusted"), "{error}");
    }

    #[test]
    fn a_copy_that_changed_is_not_loaded() {
        let Fixture { trust, library, .. } = &fixture();
        let Trusted { sha256, .. } =
            trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        let copy = trust.file(&sha256);
        fs::remove_file(&copy).unwrap();
        let error = trust.copy_of(library, &sha256).unwrap_err();
        assert!(error.to_string().contains("its trusted copy is lost"), "{error}");
        fs::write(&copy, b"\x7fELF evil").unwrap();
        let error = trust.copy_of(library, &sha256).unwrap_err();
        assert!(
            error.to_string().ends_with("this copy of a trusted library has changed"),
            "{error}"
        );
        // Not the changed copy is to be trusted, but the user's own file.
        assert!(error.hint.unwrap().contains(&*library.to_string_lossy()));
        trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        assert_eq!(trust.copy_of(library, &sha256).unwrap(), copy);
    }

    #[test]
    fn what_is_no_library_needs_no_trust() {
        let Fixture { trust, library, .. } = &fixture();
        fs::write(library, b"\0asm\x0d\0\x01\0").unwrap();
        let error = trust.trust(library, &PluginFile::read(library).unwrap()).unwrap_err();
        assert!(error.to_string().contains("no native library"), "{error}");
    }

    #[test]
    fn a_hash_is_no_path() {
        let Fixture { trust, library, .. } = &fixture();
        let trusted = trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        assert!(!trust.is_trusted(&format!("../trusted/{}", trusted.sha256)));
        assert!(!trust.is_trusted(""));
    }

    #[test]
    fn records_are_checked_before_they_are_believed() {
        let Fixture { trust, library, .. } = &fixture();
        let trusted = trust.trust(library, &PluginFile::read(library).unwrap()).unwrap();
        let record = trust.record(&trusted.sha256);
        let good = fs::read_to_string(&record).unwrap();
        let upper = trusted.sha256.to_uppercase();
        for (from, to, reason) in [
            (trusted.sha256.as_str(), "../../evil", "is not 64 lower-case"),
            (&trusted.sha256, &upper, "is not 64 lower-case"),
            (&trusted.sha256, &"0".repeat(64), "is not the one in its name"),
            ("\"from\": \"/", "\"from\": \"", "not the whole path"),
            ("\"size\"", "\"length\"", "missing field `size`"),
        ] {
            fs::write(&record, good.replace(from, to)).unwrap();
            for error in [
                trust.list().unwrap_err(),
                trust.copy_of(library, &trusted.sha256).unwrap_err(),
                trust.revoke(&trusted.sha256).unwrap_err(),
            ] {
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
        fs::write(&record, good).unwrap();
        assert_eq!(trust.list().unwrap(), [trusted]);
    }

    #[test]
    fn trust_ends_by_file_or_by_hash() {
        let Fixture { trust, library, .. } = &fixture();
        let path = library.to_str().unwrap();
        let trust_now = |content: &[u8]| {
            fs::write(library, content).unwrap();
            trust.trust(library, &PluginFile::read(library).unwrap()).unwrap()
        };
        let first = trust_now(b"\x7fELF first");
        assert_eq!(trust.untrust(&first.sha256).unwrap(), std::slice::from_ref(&first));
        // Both contents that the file had, though it has another one by now.
        trust_now(b"\x7fELF first");
        trust_now(b"\x7fELF second");
        fs::write(library, b"third").unwrap();
        assert_eq!(trust.untrust(path).unwrap().len(), 2);
        assert!(trust.list().unwrap().is_empty());
        // By content, wherever it lies.
        let kept = trust_now(b"\x7fELF first");
        let copy = library.with_file_name("copy.so");
        fs::copy(library, &copy).unwrap();
        let error = trust.untrust("elsewhere.so").unwrap_err();
        assert!(error.hint.unwrap().contains(&kept.sha256));
        assert_eq!(trust.untrust(copy.to_str().unwrap()).unwrap(), [kept]);
    }
}
