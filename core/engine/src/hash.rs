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
    digest::<Sha256>(path)
}

/// What the names of objects begin with whose hashes are BLAKE3; those of earlier versions are SHA-256.
const BLAKE3: &str = "b3-";

/// The name of a file or folder as an object: a hash of a file's content, or of a folder's sorted
/// relative names and contents.
pub(crate) fn object_name(path: &Path) -> Result<String> {
    Ok(format!("{BLAKE3}{}", of_object::<blake3::Hasher>(path)?))
}

/// Whether a file or folder has the content that its name as an object says.
pub(crate) fn is_object(path: &Path, name: &str) -> Result<bool> {
    match name.strip_prefix(BLAKE3) {
        Some(hash) => Ok(of_object::<blake3::Hasher>(path)? == hash),
        None => Ok(of_object::<Sha256>(path)? == name),
    }
}

fn of_object<D: Digest>(path: &Path) -> Result<String> {
    if fs::symlink_metadata(path).at(path)?.is_file() {
        return digest::<D>(path);
    }
    let mut hasher = D::new();
    hasher.update(b"folder\n");
    for file in files(path)? {
        let name: Vec<_> = file
            .strip_prefix(path)
            .unwrap_or(&file)
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        hasher.update(format!("{} {}\n", digest::<D>(&file)?, name.join("/")));
    }
    Ok(hex(&hasher.finalize()))
}

/// All files below a file or folder, sorted. Anything but files and folders is an error.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
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

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = File::open(path).at(path)?;
    let mut hasher = D::new();
    // Large enough for BLAKE3 to work on many of its blocks at once.
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
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
        let before = object_name(folder.path()).unwrap();
        assert!(is_object(folder.path(), &before).unwrap());
        fs::rename(folder.path().join("sub/a"), folder.path().join("sub/b")).unwrap();
        assert!(!is_object(folder.path(), &before).unwrap());
        assert_ne!(object_name(folder.path()).unwrap(), before);
    }

    #[test]
    fn objects_of_earlier_versions_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "content").unwrap();
        assert!(is_object(&file, &of_bytes(b"content")).unwrap());
        assert!(!is_object(&file, &of_bytes(b"Content")).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let error = object_name(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("link: neither a file nor a folder"), "{error}");
    }
}
