//! What lies in a folder that has no known layout, for its message.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsStr,
    path::Path,
};

use crate::catalog::{entries, is_hidden};

/// Folders that are looked at: enough to see what a set is made of.
const MOST_FOLDERS: usize = 1000;
/// How many kinds of files are named.
const NAMED: usize = 3;

/// How many files of which extensions there are, the most frequent first, in brackets; nothing where there are none.
/// Links to folders are not followed, and what may not be read is passed over.
pub(super) fn files_of(root: &Path) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut folders = VecDeque::from([root.to_owned()]);
    for _ in 0..MOST_FOLDERS {
        let Some(folder) = folders.pop_front() else { break };
        let here = entries(&folder).unwrap_or_default();
        for path in here.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_file() {
                *counts.entry(kind_of(&path)).or_default() += 1;
            } else if path.is_dir() && !path.is_symlink() {
                folders.push_back(path);
            }
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = if counts.len() > NAMED || !folders.is_empty() { " and others" } else { "" };
    let named: Vec<String> =
        counts.iter().take(NAMED).map(|(kind, count)| format!("{count} {kind}")).collect();
    if named.is_empty() { String::new() } else { format!(" (files: {}{others})", named.join(", ")) }
}

fn kind_of(path: &Path) -> String {
    let extension = path.extension().map(OsStr::to_string_lossy);
    extension.map_or("without an extension".to_owned(), |kind| format!(".{}", kind.to_lowercase()))
}
