//! What identifies a set of images: its content, whatever the names and times of its files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    let known = signature(&files)?.map(|name| folder.join(format!("{name}.content")));
    hasher.update(of_files(&files, known.as_deref())?.as_bytes());
    Ok(hex(hasher.finalize().as_bytes()))
}

/// Files that were changed less long ago may be changed again without another time.
const SETTLED: Duration = Duration::from_secs(2);

/// Names, lengths and times of files; `None` where one was changed just now.
fn signature(files: &[PathBuf]) -> Result<Option<String>> {
    let (mut hasher, now) = (Hasher::new(), SystemTime::now());
    let mut is_settled = true;
    for file in files {
        let found = fs::metadata(file).at(file)?;
        let modified = found.modified().unwrap_or(now);
        is_settled &= now.duration_since(modified).is_ok_and(|age| age > SETTLED);
        let time = modified.duration_since(UNIX_EPOCH).ok();
        // Whatever sets times back sets this one.
        #[cfg(unix)]
        hasher.update(&std::os::unix::fs::MetadataExt::ctime_nsec(&found).to_le_bytes());
        let path = std::path::absolute(file).at(file)?;
        hasher
            .update(path.as_os_str().as_encoded_bytes())
            .update(&[0])
            .update(&found.len().to_le_bytes())
            .update(&time.unwrap_or_default().as_nanos().to_le_bytes());
    }
    Ok(is_settled.then(|| hex(hasher.finalize().as_bytes())))
}

fn of_files(files: &[PathBuf], known: Option<&Path>) -> Result<String> {
    let line = known.and_then(|known| fs::read_to_string(known).ok());
    if let Some(hash) = line.as_deref().and_then(unseal_line) {
        return Ok(hash.to_owned());
    }
    let mut all = Hasher::new();
    for file in files {
        let mut hasher = Hasher::new();
        hasher.update_reader(fs::File::open(file).at(file)?).at(file)?;
        all.update(hasher.finalize().as_bytes());
    }
    let hash = hex(all.finalize().as_bytes());
    if let Some(known) = known {
        let folder = known.parent().unwrap_or(known);
        // Where it cannot be kept, files are read again.
        let _ = fs::create_dir_all(folder).and_then(|()| fs::write(known, seal_line(&hash)));
    }
    Ok(hash)
}
