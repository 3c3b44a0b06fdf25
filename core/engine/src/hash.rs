//! Content hashes of files, folders and settings.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use spacewright_core::hex::hex;

use crate::error::{AtPath, EngineError, Result};

/// SHA-256 in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's content.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    Ok(hex(&digest(path)?))
}

/// The hash of a file's content, or of a folder's sorted relative names and contents.
pub(crate) fn of_object(path: &Path) -> Result<String> {
    if fs::symlink_metadata(path).at(path)?.is_file() {
        return of_file(path);
    }
    let mut hasher = Sha256::new();
    hasher.update(b"folder\n");
    for file in files(path)? {
        let name: Vec<_> = file
            .strip_prefix(path)
            .unwrap_or(&file)
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        hasher.update(format!("{} {}\n", hex(&digest(&file)?), name.join("/")));
    }
    Ok(hex(&hasher.finalize()))
}

/// All files below a file or folder, sorted. Anything but files and folders is an error.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = fs::symlink_metadata(path).at(path)?.file_type();
    if kind.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !kind.is_dir() {
        return Err(EngineError::file(path, "neither a file nor a folder"));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).at(path)? {
        found.extend(files(&entry.at(path)?.path())?);
    }
    found.sort();
    Ok(found)
}

/// JSON with sorted keys, so that equal values have equal text.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn digest(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).at(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(EngineError::file(path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(canonical(&json!({ "b": [1, 2.5], "a": "x" })), r#"{"a":"x","b":[1,2.5]}"#);
    }

    #[test]
    fn a_folder_is_hashed_with_its_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a"), "1").unwrap();
        let before = of_object(folder.path()).unwrap();
        fs::rename(folder.path().join("sub/a"), folder.path().join("sub/b")).unwrap();
        assert_ne!(of_object(folder.path()).unwrap(), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let error = of_object(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("link: neither a file nor a folder"), "{error}");
    }
}
