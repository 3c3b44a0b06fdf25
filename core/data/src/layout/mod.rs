//! How sets of images lie on the disk, a module each.

mod alike;
pub mod cifar;
mod class_names;
mod folder;
pub mod idx;
pub mod shard;
mod unknown;
mod webdataset;

use std::path::{Path, PathBuf};

use crate::{
    catalog::{Catalog, name_of},
    division::Part,
    error::DataError,
    pattern::{expand, is_pattern},
};

/// A way in which sets of images are kept.
pub trait Layout: Sync {
    /// How studies call it.
    fn name(&self) -> &'static str;

    /// What a folder of this layout holds, for messages.
    fn holds(&self) -> &'static str;

    /// Whether a folder looks like one of this layout.
    fn matches(&self, root: &Path) -> Result<bool, DataError>;

    /// Lists what there is, without decoding.
    fn catalog(&self, root: &Path) -> Result<Catalog, DataError>;
}

/// Most classes that labels may name.
pub(crate) const MOST_CLASSES: u32 = 100_000;

/// All layouts.
pub fn layouts() -> [&'static dyn Layout; 4] {
    [&cifar::Cifar, &idx::Idx, &webdataset::WebDataset, &folder::ImageFolder]
}

/// Lists the images of a folder, in the layout that it has or that is named, or of shards: files that are
/// named one by one or by patterns such as `train-{000..146}.tar`.
///
/// # Errors
///
/// A folder that looks like no layout, or like several of which none is named; shards beside the name of
/// another layout; a set without an image to train on; whatever a layout refuses.
pub fn open(places: &[PathBuf], layout: Option<&str>) -> Result<Catalog, DataError> {
    let place = places.first().map_or(Path::new(""), PathBuf::as_path);
    let catalog = match places {
        [root] if root.is_dir() => layout_of(root, layout)?.catalog(root)?,
        _ => {
            let (shards, theirs) = (named_shards(places)?, webdataset::WebDataset.name());
            if let Some(other) = layout.filter(|named| *named != theirs) {
                let reason = format!("shards have the layout `{theirs}`, not `{other}`");
                let hint = "leave the layout out, or give the folder of the set";
                return Err(DataError::layout(place, reason, hint));
            }
            webdataset::catalog(Path::new(""), &shards)?
        }
    };
    if catalog.count(Part::Train) == 0 && catalog.refused.is_empty() {
        let hint = "images to train on lie in `train`, or in shards with that word in their names";
        return Err(DataError::layout(place, "no image to train on", hint));
    }
    Ok(catalog)
}

/// The files that places stand for. Only what follows the last folder that is there is a pattern: the names
/// of folders and files may have braces themselves.
fn named_shards(places: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut shards = Vec::new();
    for place in places {
        let there = place.ancestors().find(|above| above.exists()).unwrap_or(Path::new(""));
        let pattern = place.strip_prefix(there).unwrap_or(place);
        let names = match pattern.as_os_str().is_empty() {
            true => vec![place.clone()],
            false => expanded(there, pattern)?,
        };
        let missing: Vec<String> =
            names.iter().filter(|name| !name.is_file()).map(|name| name_of(name)).collect();
        let is_shard = |name: &PathBuf| {
            [".tar", ".tar.gz", ".tgz"].iter().any(|end| name_of(name).ends_with(end))
        };
        if missing.is_empty()
            && let Some(other) = names.iter().find(|name| !is_shard(name))
        {
            let hint = "give a folder, or shards (.tar, .tar.gz, .tgz)";
            return Err(DataError::layout(other, "is neither a folder nor a shard", hint));
        }
        if let Some(first) = missing.first() {
            let reason = match is_pattern(pattern) {
                true => {
                    format!("{} of {} files are missing, {first} first", missing.len(), names.len())
                }
                false if place.is_dir() => "is a folder: give one, or files only".into(),
                false => "there is no such folder or file".into(),
            };
            let hint = "give a folder, or shards (.tar, .tar.gz)";
            return Err(DataError::layout(place, reason, hint));
        }
        shards.extend(names);
    }
    Ok(shards)
}

/// The names in a folder that a pattern stands for.
fn expanded(folder: &Path, pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    let names = expand(pattern).map_err(|error| match error {
        DataError::Layout { path, reason, hint } => {
            DataError::layout(&folder.join(path), reason, hint)
        }
        other => other,
    })?;
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The layout of a folder. Those that are told by the names of their files win over others, as the archive
/// that they came in may lie beside them.
fn layout_of(root: &Path, named: Option<&str>) -> Result<&'static dyn Layout, DataError> {
    let names = layouts().map(|layout| layout.name());
    if let Some(named) = named {
        return layouts().into_iter().find(|layout| layout.name() == named).ok_or_else(|| {
            let hint = format!("known are {}", names.join(", "));
            DataError::layout(root, format!("no layout `{named}`"), hint)
        });
    }
    let mut found = Vec::new();
    for layout in layouts() {
        if layout.matches(root)? {
            if [cifar::Cifar.name(), idx::Idx.name()].contains(&layout.name()) {
                return Ok(layout);
            }
            found.push(layout);
        }
    }
    match found[..] {
        [layout] => Ok(layout),
        [] => {
            let known = layouts().map(|layout| format!("{}: {}", layout.name(), layout.holds()));
            let reason = format!("no known layout of images{}", unknown::files_of(root));
            let hint = format!("known are {}; images are JPEG, PNG, WebP or BMP", known.join("; "));
            Err(DataError::layout(root, reason, hint))
        }
        [..] => {
            let names: Vec<&str> = found.iter().map(|layout| layout.name()).collect();
            let reason = format!("looks like {}", names.join(" and like "));
            Err(DataError::layout(root, reason, "say which it is: --layout"))
        }
    }
}
