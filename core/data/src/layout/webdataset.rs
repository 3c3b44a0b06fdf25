//! WebDataset shards (github.com/webdataset/webdataset): tar files, packed with gzip or not, in which files
//! of one name up to the first dot are one sample: `000017.jpg` with `000017.cls`, an integer as text, or
//! `000017.json`, an integer or an object with one as its `label` or `cls`.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Layout,
    class_names::class_names,
    shard::{Member, members},
};
use crate::{
    catalog::{Archive, Catalog, LARGEST_FILE, Place, entries, is_hidden, name_of},
    division::Part,
    error::{DataError, ImageProblem},
};

/// The layout.
pub struct WebDataset;

impl Layout for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn holds(&self) -> &'static str {
        "shards (.tar, .tar.gz) of images with .cls or .json files, in it or in `train`, `val` and `test`"
    }

    fn matches(&self, root: &Path) -> Result<bool, DataError> {
        Ok(!shards_in(root)?.is_empty())
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        catalog(root, &shards_in(root)?)
    }
}

/// The shards of a folder and of its parts' folders, in the order of their names.
fn shards_in(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for path in entries(root)? {
        if is_shard(&path) && path.is_file() {
            found.push(path);
        } else if Part::named(&name_of(&path)).is_some() && path.is_dir() {
            found.extend(entries(&path)?.into_iter().filter(|path| is_shard(path)));
        }
    }
    Ok(found)
}

fn is_shard(path: &Path) -> bool {
    let name = name_of(path);
    !is_hidden(path) && [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end))
}

/// The part that a shard belongs to by a word of its name or by its folder below the set's; else the
/// training part.
fn part_of(root: &Path, shard: &Path) -> Part {
    let name = name_of(shard);
    let below = shard.strip_prefix(root).unwrap_or(shard);
    let folder = below.parent().map(name_of).unwrap_or_default();
    let mut words = name.split(['-', '_', '.']).chain([folder.as_str()]);
    words.find_map(Part::named).unwrap_or(Part::Train)
}

/// Lists the samples of shards.
pub(crate) fn catalog(root: &Path, shards: &[PathBuf]) -> Result<Catalog, DataError> {
    let mut catalog = Catalog::empty(WebDataset.name(), root);
    let (mut samples, mut unpacked) = (Vec::new(), None);
    for (archive, path) in (0..).zip(shards) {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let (source, members) = members(path, &mut unpacked).map_err(|error| wrong(path, error))?;
        let found = group(archive, members);
        samples.extend(found.into_iter().map(|found| (part_of(root, path), found)));
        catalog.archives.push(Archive { name, source, records: None });
    }
    let place = shards.first().map_or(root, PathBuf::as_path);
    let labels = samples.iter().filter_map(|(_, found)| found.label.as_ref().ok());
    let Some(largest) = labels.max() else {
        let hint = "samples are files like 000017.jpg with 000017.cls, in which the class is a number; \
                    unpack what holds a folder of images";
        return Err(DataError::layout(place, "no image has a label", hint));
    };
    let beside = place.parent().filter(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let names_in = if root.is_dir() { root } else { beside };
    let names = class_names(names_in, *largest as usize + 1)?;
    catalog.name_classes(names);
    let with_more = samples.iter().filter(|(_, found)| found.has_more).count();
    if with_more > 0 {
        let notice = format!("{with_more} samples have several images, of which the first is used");
        catalog.notices.push(notice);
    }
    samples.sort_by_key(|(part, _)| *part);
    for (part, found) in samples {
        catalog.add_found(part, found);
    }
    Ok(catalog)
}

/// What is wrong with a shard that cannot be listed.
fn wrong(path: &Path, error: io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => {
            let reason = format!("is no whole tar file: {error}");
            DataError::layout(path, reason, "take the shard from the set anew")
        }
        _ => DataError::Storage { path: path.to_owned(), source: error },
    }
}

impl Catalog {
    fn add_found(&mut self, part: Part, Found { archive, key, image, label, .. }: Found) {
        let name = image.as_ref().map_or(key, |image| image.name.clone());
        let shown = format!("{}: {name}", self.archives[archive as usize].name);
        let class = match (&image, label) {
            (None, _) => Err(ImageProblem::LabelAlone),
            (Some(image), Ok(_)) if image.length > LARGEST_FILE => {
                Err(ImageProblem::TooLong { bytes: image.length })
            }
            (Some(_), label) => label.map(i64::from),
        };
        let (offset, length) = image.map_or((0, 0), |image| (image.offset, image.length));
        let place = Place::Member { archive, offset, length, name: name.into() };
        self.add(part, class, place, shown);
    }
}

/// What a shard has of one sample.
#[derive(Debug)]
struct Found {
    archive: u32,
    key: String,
    image: Option<Member>,
    label: Result<u32, ImageProblem>,
    /// Whether it has other images, such as a mask.
    has_more: bool,
}

/// Puts neighbouring files of one key together.
fn group(archive: u32, members: Vec<Member>) -> Vec<Found> {
    let mut samples: Vec<Found> = Vec::new();
    for member in members {
        let (key, _) = member.key();
        let mut current = samples.pop_if(|last| last.key == key).unwrap_or_else(|| Found {
            archive,
            key: key.to_owned(),
            image: None,
            label: Err(ImageProblem::NoLabel),
            has_more: false,
        });
        match member.label {
            Some(label) if current.label.is_err() => current.label = label,
            Some(_) => {}
            None if current.image.is_some() => current.has_more = true,
            None => current.image = Some(member),
        }
        samples.push(current);
    }
    samples
}
