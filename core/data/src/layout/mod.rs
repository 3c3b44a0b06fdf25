//! How sets of images lie on the disk, a module each.

pub mod cifar;
mod class_names;
mod folder;
pub mod idx;
pub mod webdataset;

use std::path::{Path, PathBuf};

use crate::{
    catalog::{Catalog, name_of},
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

/// All layouts.
pub fn layouts() -> [&'static dyn Layout; 4] {
    [&cifar::Cifar, &idx::Idx, &webdataset::WebDataset, &folder::ImageFolder]
}

/// Lists the images of a folder, in the layout that it has, or of shards: files that are named one by one
/// or by patterns such as `train-{000..146}.tar`.
///
/// # Errors
///
/// Folders that look like no layout, or like several; whatever a layout refuses.
pub fn open(places: &[PathBuf]) -> Result<Catalog, DataError> {
    if let [root] = places
        && root.is_dir()
    {
        return layout_of(root)?.catalog(root);
    }
    let mut shards = Vec::new();
    for place in places {
        let names = expand(place)?;
        let missing: Vec<String> =
            names.iter().filter(|name| !name.is_file()).map(|name| name_of(name)).collect();
        if let Some(first) = missing.first() {
            let reason = match is_pattern(place) {
                true => {
                    format!("{} of {} files are missing, {first} first", missing.len(), names.len())
                }
                false if place.is_dir() => "is a folder: give one, or files only".into(),
                false => "there is no such folder or file".into(),
            };
            return Err(DataError::layout(
                place,
                reason,
                "give a folder, or shards (.tar, .tar.gz)",
            ));
        }
        shards.extend(names);
    }
    webdataset::catalog(Path::new(""), &shards)
}

fn layout_of(root: &Path) -> Result<&'static dyn Layout, DataError> {
    let mut found = Vec::new();
    for layout in layouts() {
        if layout.matches(root)? {
            found.push(layout);
        }
    }
    match found[..] {
        [layout] => Ok(layout),
        [] => {
            let known = layouts().map(|layout| format!("{}: {}", layout.name(), layout.holds()));
            let reason = "no known layout of images";
            Err(DataError::layout(root, reason, format!("known are {}", known.join("; "))))
        }
        [..] => {
            let names: Vec<&str> = found.iter().map(|layout| layout.name()).collect();
            let reason = format!("looks like {}", names.join(" and like "));
            Err(DataError::layout(root, reason, "leave one of them in the folder"))
        }
    }
}
