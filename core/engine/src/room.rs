//! What this program keeps on the disk, and what of it can go.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    files::remove,
    lock::Lock,
    runs::left_out,
    store::Store,
};

/// What a run is called.
const RUN: &str = "run";

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What it is, in words.
    pub what: &'static str,
    /// Its folder or file.
    pub place: PathBuf,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Bytes of what nothing needs any more.
    pub free: u64,
    /// What that is.
    #[serde(skip)]
    unneeded: Vec<PathBuf>,
}

/// What can be counted as needed no more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unneeded {
    /// What runs have made under settings that they do not have any more: going back to these would
    /// have to make it anew.
    pub superseded: bool,
}

/// Where Rust's standard library for WebAssembly is unpacked, which plugins are built with: a folder for
/// each archive.
pub fn wasm_std(home: &Path) -> PathBuf {
    home.join("cache").join("wasm-std")
}

/// All that is kept in the home and in the runs below a folder. Compiled code, unpacked libraries, tables and
/// images count as unneeded: they are made anew when they are asked for.
pub fn kept(home: &Path, runs: &Path, unneeded: Unneeded) -> Result<Vec<Kept>> {
    let mut all: Vec<Kept> = Vec::new();
    let cache = home.join("cache");
    for (what, place, is_needed) in [
        ("measured latencies", home.join("latency.sqlite"), true),
        ("kept tables", cache.join("tables"), false),
        ("decoded images", cache.join("images"), false),
        ("standard library for WebAssembly", wasm_std(home), false),
        // All the rest of the folder in which those above lie.
        ("compiled code of plugins", cache, false),
        ("installed plugins", home.join("plugins"), true),
        ("trusted libraries", home.join("trusted"), true),
        ("fitted models of targets", home.join("models"), true),
    ] {
        if place.exists() {
            let mut entries = entries(&place)?;
            entries.retain(|entry| all.iter().all(|kept| kept.place != *entry));
            let bytes = size(&entries)?;
            // Each as a whole: a folder without its files would look like what was made in it.
            let (free, unneeded) = if is_needed { (0, Vec::new()) } else { (bytes, entries) };
            all.push(Kept { what, place, bytes, free, unneeded });
        }
    }
    for folder in run_folders(runs)? {
        match run(&folder, unneeded) {
            Ok(run) => all.extend(run),
            Err(error) => left_out(&folder, &error),
        }
    }
    Ok(all)
}

/// What a run takes; `None` where it has nothing yet.
fn run(folder: &Path, unneeded: Unneeded) -> Result<Option<Kept>> {
    let Some(store) = Store::existing(folder)? else { return Ok(None) };
    let unneeded = store.unneeded(unneeded.superseded)?;
    let (bytes, free) = (size(&[folder])?, size(&unneeded)?);
    Ok(Some(Kept { what: RUN, place: folder.to_owned(), bytes, free, unneeded }))
}

/// Removes what is not needed of all that is [`kept`]. A run that a process works on is left alone, and
/// not in the answer.
pub fn free(home: &Path, runs: &Path, unneeded: Unneeded) -> Result<Vec<Kept>> {
    let mut freed = Vec::new();
    for kept in kept(home, runs, unneeded)? {
        if kept.what == RUN {
            freed.extend(free_run(kept, unneeded)?);
        } else {
            kept.unneeded.iter().try_for_each(|path| remove(path))?;
            freed.push(kept);
        }
    }
    Ok(freed)
}

/// `None` where a process works on the run.
fn free_run(kept: Kept, unneeded: Unneeded) -> Result<Option<Kept>> {
    let _lock = match Lock::run(&kept.place) {
        Err(error) if error.kind == ErrorKind::Locked => return Ok(None),
        lock => lock?,
    };
    let store = Store::create(&kept.place)?;
    // Since it was counted, another process may have come to need something.
    let files = store.unneeded(unneeded.superseded)?;
    let free = size(&files)?;
    if unneeded.superseded {
        store.forget_superseded()?;
    }
    files.iter().try_for_each(|path| remove(path))?;
    Ok(Some(Kept { free, unneeded: files, ..kept }))
}

/// Least that has to be free for a step to begin, in bytes: features and models of a small study are some
/// hundred megabytes.
const LEAST: u64 = 256 << 20;

/// That there is room in a folder for what a step is going to write.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let Some(free) = free_bytes(folder) else { return Ok(()) };
    if free >= LEAST {
        return Ok(());
    }
    let reason = format!("only {} MB are free, a step needs {}", free >> 20, LEAST >> 20);
    Err(EngineError::file(folder, reason)
        .with_hint("`spacewright cache list` says what can go; `--runs` names another folder"))
}

/// Bytes that can be written below a folder, be it there or not, so that a step can still begin; `None` where
/// that cannot be told.
pub(crate) fn to_spare(folder: &Path) -> Option<u64> {
    folder.ancestors().find_map(free_bytes).map(|free| free.saturating_sub(LEAST))
}

/// Bytes that are free where a folder is; `None` where that cannot be told.
fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder)
        .ok()
        .map(|room| room.f_bavail.saturating_mul(room.f_frsize));
    #[cfg(not(unix))]
    return None;
}

fn run_folders(runs: &Path) -> Result<Vec<PathBuf>> {
    if !runs.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(runs).at(runs)? {
        let folder = entry.at(runs)?.path();
        if folder.join("run.sqlite").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Bytes of all files at or below some paths.
fn size(paths: &[impl AsRef<Path>]) -> Result<u64> {
    paths.iter().map(|path| bytes(path.as_ref())).sum()
}

/// Bytes of all files at or below a path. Links are counted, not followed; what processes at work remove meanwhile is
/// not there.
fn bytes(path: &Path) -> Result<u64> {
    match if_there(fs::symlink_metadata(path)).at(path)? {
        None => Ok(0),
        Some(kind) if kind.is_dir() => size(&entries(path)?),
        Some(file) => Ok(file.len()),
    }
}

/// What lies in a folder; a file or link is all there is of it.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(kind) = if_there(fs::symlink_metadata(path)).at(path)? else { return Ok(Vec::new()) };
    if !kind.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let Some(entries) = if_there(fs::read_dir(path)).at(path)? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry.at(path)?.path())).collect()
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_or_compiled_goes_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let library = wasm_std(home).join("rust-std.tar.xz-7");
        for (file, bytes) in [
            (library.join("lib/rustlib/libcore.rlib"), 4),
            (home.join("cache/00-01.cwasm"), 3),
            // Left by an earlier version, which removed its files only.
            (home.join("cache/old-library/lib/libcore.rlib"), 2),
            (home.join("cache/tables/00.tables"), 1),
            (home.join("plugins/00.wasm"), 8),
        ] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, vec![0_u8; bytes]).unwrap();
        }
        let runs = home.join("no-runs");
        let sizes = || {
            let kept = kept(home, &runs, Unneeded::default()).unwrap();
            kept.into_iter().map(|kept| (kept.what, kept.bytes, kept.free)).collect::<Vec<_>>()
        };
        let expected: [(&str, u64, u64); 4] = [
            ("kept tables", 1, 1),
            ("standard library for WebAssembly", 4, 4),
            ("compiled code of plugins", 5, 5),
            ("installed plugins", 8, 0),
        ];
        assert_eq!(sizes(), expected);
        free(home, &runs, Unneeded::default()).unwrap();
        assert_eq!(sizes(), expected.map(|(what, bytes, free)| (what, bytes - free, 0)));
        assert!(!library.exists() && !home.join("cache/old-library").exists());
        assert!(home.join("plugins/00.wasm").exists());
    }
}
