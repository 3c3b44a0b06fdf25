//! WebDataset shards (github.com/webdataset/webdataset): tar files, packed with gzip or not, in which files
//! of one name up to the first dot are one sample: `000017.jpg` with `000017.cls`, an integer as text, or
//! `000017.json`, an integer or an object with one as its `label` or `cls`.

use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{
    Layout,
    class_names::class_names,
    folder::ImageFolder,
    shard::{Member, members},
};
use crate::{
    catalog::{Archive, Catalog, LARGEST_FILE, Place, entries, is_hidden, name_of},
    division::Part,
    error::{AtPath, DataError, ImageProblem},
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
        let Listed { shards, dangling, .. } = listed(root)?;
        // An archive that is gone does not make shards of a folder of images.
        Ok(!shards.is_empty() || !dangling.is_empty() && !ImageFolder.matches(root)?)
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let Listed { shards, dangling, others } = listed(root)?;
        if let Some(link) = dangling.first() {
            let reason = ImageProblem::DanglingLink.to_string();
            return Err(DataError::layout(link, reason, "mend the link, or remove it"));
        }
        let mut catalog = catalog(root, &shards)?;
        let notice = |path: &PathBuf| format!("{} is no file: left out", path.display());
        catalog.notices.extend(others.iter().map(notice));
        Ok(catalog)
    }
}

/// What in a folder and in the folders of its parts is called like a shard, in the order of the names.
#[derive(Default)]
struct Listed {
    shards: Vec<PathBuf>,
    /// Links to nothing; those in place of a part's folder, too.
    dangling: Vec<PathBuf>,
    /// Folders, sockets and the like.
    others: Vec<PathBuf>,
}

fn listed(root: &Path) -> Result<Listed, DataError> {
    let mut listed = Listed::default();
    for path in entries(root)? {
        if is_shard(&path) {
            listed.add(path);
        } else if Part::named(&name_of(&path)).is_some() {
            if path.is_dir() {
                let below = entries(&path)?;
                below.into_iter().filter(|path| is_shard(path)).for_each(|path| listed.add(path));
            } else if path.is_symlink() && !path.exists() {
                listed.dangling.push(path);
            }
        }
    }
    Ok(listed)
}

impl Listed {
    fn add(&mut self, path: PathBuf) {
        let places = match fs::metadata(&path) {
            Ok(kind) if kind.is_file() => &mut self.shards,
            Ok(_) => &mut self.others,
            Err(_) if path.is_symlink() => &mut self.dangling,
            // Whoever opens it is told why it cannot be.
            Err(_) => &mut self.shards,
        };
        places.push(path);
    }
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

/// That no images count twice: those of a shard that is given twice, or that lies beside itself, packed.
fn check_once(root: &Path, shards: &[PathBuf]) -> Result<(), DataError> {
    let (mut files, mut names) = (HashMap::new(), HashMap::new());
    for path in shards {
        // By links, two parts may have the same images.
        let file = (part_of(root, path), fs::canonicalize(path).at(path)?);
        if let Some(other) = files.insert(file, path) {
            let reason = if other == path {
                "is given twice".to_owned()
            } else {
                format!("is the same file as {}", other.display())
            };
            return Err(DataError::layout(path, reason, "give each shard once"));
        }
        let name = without_ending(&std::path::absolute(path).at(path)?);
        if let Some(other) = names.insert(name, path) {
            let reason = format!("`{}` beside it is for the same", name_of(other));
            return Err(DataError::layout(path, reason, "leave one of them out"));
        }
    }
    Ok(())
}

/// A shard's path without `.tar`, `.tar.gz` or `.tgz`.
fn without_ending(shard: &Path) -> PathBuf {
    let short = shard.with_extension("");
    match shard.extension().is_some_and(|extension| extension == "gz") {
        true => short.with_extension(""),
        false => short,
    }
}

/// Lists the samples of shards.
pub(crate) fn catalog(root: &Path, shards: &[PathBuf]) -> Result<Catalog, DataError> {
    check_once(root, shards)?;
    let mut catalog = Catalog::empty(WebDataset.name(), root);
    let (mut samples, mut unpacked) = (Vec::new(), None);
    for (archive, path) in (0..).zip(shards) {
        let from_root = path.strip_prefix(root).unwrap_or(path);
        let (name, file) = (from_root.display().to_string(), Some(from_root.to_owned()));
        let (source, members) = members(path, &mut unpacked).map_err(|error| wrong(path, error))?;
        let found = group(archive, members);
        samples.extend(found.into_iter().map(|found| (part_of(root, path), found)));
        catalog.archives.push(Archive { name, file, source, records: None });
    }
    let labels = samples.iter().filter_map(|(_, found)| found.label.as_ref().ok());
    let place = shards.first().map_or(root, PathBuf::as_path);
    let Some(largest) = labels.max() else {
        let problem = samples.iter().find_map(|(_, found)| found.label_problem());
        let Some((archive, reason)) = problem else {
            let hint = "samples are files like 000017.jpg with 000017.cls, in which the class is a number; \
                        unpack what holds a folder of images";
            return Err(DataError::layout(place, "no image has a label", hint));
        };
        let reason = format!("no label names a class: {reason}");
        let hint = "a class is a number from 0: what a .cls file holds as text, or a .json file by itself or \
                    as `label` or `cls`";
        return Err(DataError::layout(&shards[archive as usize], reason, hint));
    };
    let beside = shards.iter().filter_map(|shard| shard.parent());
    let mut folders: Vec<&Path> = [root].into_iter().chain(beside).collect();
    folders.retain(|folder| folder.is_dir());
    folders.dedup();
    let names = class_names(&folders, *largest as usize + 1)?;
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
        io::ErrorKind::StorageFull => {
            let reason = format!("cannot be unpacked: {} is full", env::temp_dir().display());
            let hint = "unpack the shards, or let TMPDIR name a folder with more space";
            DataError::layout(path, reason, hint)
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

impl Found {
    /// What is wrong with its label, if it has one, and in which archive.
    fn label_problem(&self) -> Option<(u32, String)> {
        let name = self.image.as_ref().map_or(&self.key, |image| &image.name);
        match &self.label {
            Ok(_) | Err(ImageProblem::NoLabel) => None,
            Err(problem) => Some((self.archive, format!("{name} {problem}"))),
        }
    }
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
