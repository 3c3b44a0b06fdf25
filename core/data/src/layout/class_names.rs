//! What classes are called where labels are numbers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    catalog::{entries, name_of},
    error::{AtPath, DataError},
};

/// The lines of `classes.txt` in the first of the folders that has one, or of its only file whose name ends so;
/// else the numbers of `count` classes.
///
/// # Errors
///
/// A file that cannot be read, is no text, or names no class.
pub(crate) fn class_names(folders: &[&Path], count: usize) -> Result<Vec<String>, DataError> {
    let mut found = folders.iter().map(|folder| file(folder)).filter_map(Result::transpose);
    let Some(path) = found.next().transpose()? else {
        return Ok((0..count).map(|class| class.to_string()).collect());
    };
    let text = fs::read_to_string(&path).at(&path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // An empty line is a class without a name, but at the end.
    let count = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    if count == 0 {
        return Err(DataError::layout(
            &path,
            "names no class",
            "write a line for each class, or remove it",
        ));
    }
    Ok(lines[..count].iter().map(|line| (*line).to_owned()).collect())
}

fn file(folder: &Path) -> Result<Option<PathBuf>, DataError> {
    let plain = folder.join("classes.txt");
    if plain.is_file() {
        return Ok(Some(plain));
    }
    let mut named: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| name_of(path).ends_with("classes.txt") && path.is_file())
        .collect();
    Ok(if named.len() == 1 { named.pop() } else { None })
}
