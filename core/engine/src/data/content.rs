//! What identifies a set of images: its content, whatever the names and times of its files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use blake3::Hasher;
use spacewright_core::{
    hex::hex,
    sealed::{seal_line, unseal_line},
};
use spacewright_data::{Catalog, Place};

use crate::error::{AtPath, Result};

/// A hash of all images, their parts and classes. Files are read once: whose names, lengths and times are
/// as they were has its hash from `folder`.
pub fn hash(catalog: &Catalog, folder: &Path) -> Result<String> {
    let mut hasher = Hasher::new();
    for class in &catalog.classes {
        hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
    }
    // Where none is refused and all lie in the order of their files, files that are the same have the same images:
    // their hash is as ever.
    let is_ordered = catalog.samples.is_sorted_by_key(|sample| archive(&sample.place));
    let is_plain = catalog.refused.is_empty() && is_ordered;
    for sample in &catalog.samples {
        hasher.update(&[sample.part as u8]).update(&sample.class.to_le_bytes());
        if !is_plain {
            add_place(&mut hasher, &sample.place);
        }
    }
    let files = catalog.files();
    let known = signature(&files)?.map(|name| folder.join(format!("{name}.content")));
    hasher.update(of_files(&files, known.as_deref())?.as_bytes());
    Ok(hex(hasher.finalize().as_bytes()))
}

/// The archive that a sample lies in; `None`: a file of its own.
fn archive(place: &Place) -> Option<u32> {
    match place {
        Place::File(_) => None,
        Place::Member { archive, .. } | Place::Record { archive, .. } => Some(*archive),
    }
}

/// Adds which image of its file a sample is: whose label names no class is left out, and shards of one part can
/// lie between those of another.
fn add_place(hasher: &mut Hasher, place: &Place) {
    let (archive, at) = match place {
        Place::File(_) => return,
        Place::Member { archive, offset, .. } => (archive, *offset),
        Place::Record { archive, number } => (archive, u64::from(*number)),
    };
    hasher.update(&archive.to_le_bytes()).update(&at.to_le_bytes());
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
        {
            use std::os::unix::fs::MetadataExt;
            hasher.update(&found.ctime().to_le_bytes()).update(&found.ctime_nsec().to_le_bytes());
        }
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
    let (mut all, mut all_are_read) = (Hasher::new(), true);
    for file in files {
        all_are_read &= add_file(&mut all, fs::File::open(file)).at(file)?;
    }
    let hash = hex(all.finalize().as_bytes());
    // Who may read a file does not show in its time everywhere.
    if let Some(known) = known.filter(|_| all_are_read) {
        let folder = known.parent().unwrap_or(known);
        // Where it cannot be kept, files are read again.
        let _ = fs::create_dir_all(folder).and_then(|()| fs::write(known, seal_line(&hash)));
    }
    Ok(hash)
}

/// Adds what a file holds, or that this user may not read it: it is an image that cannot be used. Whether it
/// was read.
fn add_file(all: &mut Hasher, file: io::Result<impl io::Read>) -> io::Result<bool> {
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            all.update(b"may not be read");
            return Ok(false);
        }
        file => file?,
    };
    let mut hasher = Hasher::new();
    hasher.update_reader(file)?;
    all.update(hasher.finalize().as_bytes());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_known_as_such() {
        let added = |file: io::Result<&[u8]>| {
            let mut all = Hasher::new();
            let is_read = add_file(&mut all, file).ok();
            (is_read, all.finalize())
        };
        let denied = || added(Err(io::ErrorKind::PermissionDenied.into()));
        let (empty, full) = (added(Ok(b"")), added(Ok(b"an image")));
        assert_eq!([denied().0, empty.0, full.0], [Some(false), Some(true), Some(true)]);
        assert_eq!(denied(), denied());
        assert!(denied().1 != empty.1 && empty.1 != full.1);
        assert_eq!(added(Err(io::ErrorKind::TimedOut.into())).0, None);
    }

    /// A shard of one image and its label; images are not decoded here.
    fn shard(image: &[u8]) -> Vec<u8> {
        let members: [(&str, &[u8]); 2] = [("0.png", image), ("0.cls", b"0")];
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn shards_that_change_their_parts_are_another_set() {
        let hash_of = |names: [&str; 3]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, image) in names.into_iter().zip([b"a", b"b", b"c"]) {
                fs::write(folder.path().join(name), shard(image)).unwrap();
            }
            let catalog = spacewright_data::open(&[folder.path().into()], None).unwrap();
            hash(&catalog, &folder.path().join("known")).unwrap()
        };
        let first = hash_of(["1-val.tar", "2-train.tar", "3-train.tar"]);
        assert_ne!(first, hash_of(["1-train.tar", "2-val.tar", "3-train.tar"]));
        assert_eq!(first, hash_of(["4-val.tar", "5-train.tar", "6-train.tar"]));
    }
}
