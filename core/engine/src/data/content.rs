//! What identifies a set of images: its content, whatever the names and times of its files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use blake3::Hasher;
use spacewright_core::{
    hex::hex,
    sealed::{seal_line, unseal_line},
};
use spacewright_data::Catalog;

use crate::error::{AtPath, Result};

/// A hash of all images, their parts and classes. Files are read once: whose names, lengths and times are
/// as they were has its hash from `folder`.
pub fn hash(catalog: &Catalog, folder: &Path) -> Result<String> {
    let mut hasher = Hasher::new();
    for class in &catalog.classes {
        hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
    }
    for sample in &catalog.samples {
        hasher.update(&[sample.part as u8]).update(&sample.class.to_le_bytes());
    }
    let files = catalog.files();
    let signature = signature(&files)?;
    hasher.update(of_files(&files, &folder.join(format!("{signature}.content")))?.as_bytes());
    Ok(hex(hasher.finalize().as_bytes()))
}

/// Names, lengths and times of files.
fn signature(files: &[PathBuf]) -> Result<String> {
    let mut hasher = Hasher::new();
    for file in files {
        let found = fs::metadata(file).at(file)?;
        let time = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let path = std::path::absolute(file).at(file)?;
        hasher
            .update(path.as_os_str().as_encoded_bytes())
            .update(&[0])
            .update(&found.len().to_le_bytes())
            .update(&time.unwrap_or_default().as_nanos().to_le_bytes());
    }
    Ok(hex(hasher.finalize().as_bytes()))
}

fn of_files(files: &[PathBuf], known: &Path) -> Result<String> {
    if let Some(hash) = fs::read_to_string(known).ok().as_deref().and_then(unseal_line) {
        return Ok(hash.to_owned());
    }
    let mut all = Hasher::new();
    for file in files {
        let mut hasher = Hasher::new();
        hasher.update_reader(fs::File::open(file).at(file)?).at(file)?;
        all.update(hasher.finalize().as_bytes());
    }
    let hash = hex(all.finalize().as_bytes());
    // Where it cannot be kept, files are read again.
    let folder = known.parent().unwrap_or(known);
    let _ = fs::create_dir_all(folder).and_then(|()| fs::write(known, seal_line(&hash)));
    Ok(hash)
}
