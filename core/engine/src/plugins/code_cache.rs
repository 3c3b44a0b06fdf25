//! Compiled code of components on disk. It is machine code that is executed as it is: it carries a
//! seal under the user's key, and what does not is compiled anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{AtPath, Result},
    files::write_atomically,
    home,
    seal::{self, Key},
};

const PURPOSE: &str = "compiled component";

/// The folder `cache` of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCache {
    home: PathBuf,
}

/// What code was compiled from, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodeName<'a> {
    /// SHA-256 of the component.
    pub sha256: &'a str,
    /// Hash of the compiler's version and settings.
    pub settings: u64,
}

impl CodeCache {
    /// The cache below `home`; makes nothing.
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// The code of this name, if it is there as it was put there.
    pub(super) fn get(&self, name: CodeName<'_>) -> Option<Vec<u8>> {
        let mut content = home::read(&self.file(name)).ok()?;
        let (seal, code) = content.split_at_checked(seal::LENGTH)?;
        let key = Key::of(&self.home).ok()?;
        if !key.is_seal(seal, PURPOSE, &name.parts(code)) {
            tracing::warn!("compiled code was changed, and is made anew");
            return None;
        }
        content.drain(..seal::LENGTH);
        Some(content)
    }

    /// Keeps code under this name.
    pub(super) fn put(&self, name: CodeName<'_>, code: &[u8]) -> Result<()> {
        let seal = Key::of(&self.home)?.seal(PURPOSE, &name.parts(code));
        let folder = self.home.join("cache");
        fs::create_dir_all(&folder).at(&folder)?;
        write_atomically(&self.file(name), &[seal.as_bytes(), code].concat())
    }

    fn file(&self, CodeName { sha256, settings }: CodeName<'_>) -> PathBuf {
        self.home.join("cache").join(format!("{sha256}-{settings:016x}.cwasm"))
    }
}

impl<'a> CodeName<'a> {
    fn parts(&self, code: &'a [u8]) -> [&'a [u8]; 2] {
        [self.sha256.as_bytes(), code]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_with_its_seal_is_believed() {
        let home = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(home.path());
        let name = CodeName { sha256: "00", settings: 1 };
        assert_eq!(cache.get(name), None);
        cache.put(name, b"code").unwrap();
        assert_eq!(cache.get(name).as_deref(), Some(b"code".as_slice()));

        // As code of another component, with another byte, cut off, and under another key.
        let other = CodeName { sha256: "01", ..name };
        fs::copy(cache.file(name), cache.file(other)).unwrap();
        assert_eq!(cache.get(other), None);
        let good = fs::read(cache.file(name)).unwrap();
        for at in [0, seal::LENGTH, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(cache.file(name), &bad).unwrap();
            assert_eq!(cache.get(name), None, "byte {at}");
            fs::write(cache.file(name), &good[..at]).unwrap();
            assert_eq!(cache.get(name), None, "{at} bytes");
        }
        fs::write(cache.file(name), &good).unwrap();
        assert!(cache.get(name).is_some());
        fs::remove_file(home.path().join("key")).unwrap();
        assert_eq!(cache.get(name), None);
    }
}
