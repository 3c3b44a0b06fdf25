//! WebDataset shards (github.com/webdataset/webdataset): tar files, packed with gzip or not, in which files
//! of one name up to the first dot are one sample: `000017.jpg` with `000017.cls`, an integer as text, or
//! `000017.json`, an integer or an object with one as its `label` or `cls`.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tar::EntryType;

use super::{Layout, class_names::class_names, idx::MOST_CLASSES};
use crate::{
    catalog::{
        Archive, Catalog, LARGEST_FILE, Place, Sample, entries, is_hidden, is_image, name_of,
    },
    division::Part,
    error::{BadImage, DataError, ImageProblem},
};

/// The layout.
pub struct WebDataset;

/// Most bytes of a label's file.
const LARGEST_LABEL: u64 = 64 << 10;

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

fn is_packed(path: &Path) -> bool {
    !name_of(path).ends_with(".tar")
}

/// The part that a shard belongs to by a word of its name or by its folder; else the training part.
fn part_of(shard: &Path) -> Part {
    let name = name_of(shard);
    let folder = shard.parent().map(name_of).unwrap_or_default();
    let mut words = name.split(['-', '_', '.']).chain([folder.as_str()]);
    words.find_map(Part::named).unwrap_or(Part::Train)
}

/// Lists the samples of shards.
pub(crate) fn catalog(root: &Path, shards: &[PathBuf]) -> Result<Catalog, DataError> {
    let mut catalog = Catalog::empty(WebDataset.name(), root);
    let mut samples = Vec::new();
    for (archive, path) in (0..).zip(shards) {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let wrong = |error: io::Error| {
            let reason = format!("is no whole tar file: {error}");
            DataError::layout(path, reason, "take the shard from the set anew")
        };
        let (file, members) = members(path).map_err(wrong)?;
        let found = group(archive, members);
        samples.extend(found.into_iter().map(|found| (part_of(path), found)));
        catalog.archives.push(Archive { name, file, records: None });
    }
    let labels = samples.iter().filter_map(|(_, found)| found.label.as_ref().ok());
    let classes = labels.max().map_or(0, |largest| *largest as usize + 1);
    if classes == 0 {
        let hint = "samples are files like 000017.jpg with 000017.cls, in which the class is a number; \
                    unpack what holds a folder of images";
        let place = shards.first().map_or(root, PathBuf::as_path);
        return Err(DataError::layout(place, "no image has a label", hint));
    }
    let beside = shards.first().and_then(|shard| shard.parent()).filter(|p| p.is_dir());
    let names_in = if root.is_dir() { root } else { beside.unwrap_or(Path::new(".")) };
    catalog.classes = class_names(names_in, classes)?;
    samples.sort_by_key(|(part, _)| *part);
    for (part, found) in samples {
        catalog.add_found(part, found);
    }
    Ok(catalog)
}

impl Catalog {
    fn add_found(&mut self, part: Part, Found { archive, key, image, label }: Found) {
        let classes = self.classes.len() as u32;
        let name = image.as_ref().map_or(key, |image| image.name.clone());
        let file = format!("{}: {name}", self.archives[archive as usize].name);
        let found = match (image, label) {
            (None, _) => Err((None, ImageProblem::LabelAlone)),
            (Some(_), Err(problem)) => Err((None, problem)),
            (Some(_), Ok(class)) if class >= classes => {
                Err((None, ImageProblem::ClassOutOfRange { class: class.into(), classes }))
            }
            (Some(image), Ok(class)) if image.length > LARGEST_FILE => {
                Err((Some(class), ImageProblem::TooLong { bytes: image.length }))
            }
            (Some(image), Ok(class)) => Ok((image, class)),
        };
        match found {
            Ok((Member { offset, length, .. }, class)) => {
                let place = Place::Member { archive, offset, length, name: name.into() };
                self.samples.push(Sample { part, class, place });
            }
            Err((class, problem)) => {
                let class = class.map(|class| self.classes[class as usize].clone());
                self.refused.push(BadImage { file, class, problem });
            }
        }
    }
}

/// A file in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path there.
    pub name: String,
    /// Where its content starts in the shard, or in what was unpacked of it.
    pub offset: u64,
    /// Bytes of its content.
    pub length: u64,
    /// The content of what may be a label.
    pub label: Option<Vec<u8>>,
}

impl Member {
    /// The path up to the first dot of its last part, and what follows that dot.
    fn key(&self) -> (&str, &str) {
        let start = self.name.rfind('/').map_or(0, |slash| slash + 1);
        match self.name[start..].find('.') {
            Some(dot) => (&self.name[..start + dot], &self.name[start + dot + 1..]),
            None => (&self.name, ""),
        }
    }
}

/// What a shard has of one sample.
#[derive(Debug)]
struct Found {
    archive: u32,
    key: String,
    image: Option<Member>,
    label: Result<u32, ImageProblem>,
}

/// Puts neighbouring files of one key together; files that are neither image nor label belong to their
/// samples, but are of no use here.
fn group(archive: u32, members: Vec<Member>) -> Vec<Found> {
    let mut samples: Vec<Found> = Vec::new();
    for member in members {
        let (key, extension) = member.key();
        let image = is_image(Some(extension.as_ref()));
        if !image && member.label.is_none() {
            continue;
        }
        let mut current = samples.pop_if(|last| last.key == key).unwrap_or_else(|| Found {
            archive,
            key: key.to_owned(),
            image: None,
            label: Err(ImageProblem::NoLabel),
        });
        match &member.label {
            Some(text) if current.label.is_err() => current.label = label(text),
            Some(_) => {}
            None => current.image = Some(member),
        }
        samples.push(current);
    }
    samples
}

/// The class that a label's file names.
fn label(content: &[u8]) -> Result<u32, ImageProblem> {
    let json: Option<Value> = serde_json::from_slice(content).ok();
    let of_json = json.as_ref().and_then(|json| match json {
        Value::Object(fields) => fields.get("label").or(fields.get("cls"))?.as_i64(),
        other => other.as_i64(),
    });
    // A number may start with zeros, as JSON's do not.
    let number = str::from_utf8(content).ok().and_then(|text| text.trim().parse().ok()).or(of_json);
    match number {
        Some(class) if (0..i64::from(MOST_CLASSES)).contains(&class) => Ok(class as u32),
        Some(class) => Err(ImageProblem::ClassOutOfRange { class, classes: MOST_CLASSES }),
        None => Err(ImageProblem::LabelNoInteger),
    }
}

/// The files of a shard that may be images or labels, and the file in which their content is: the shard
/// itself, or a temporary one where it is packed.
///
/// # Errors
///
/// A shard that cannot be read, that is no tar file, or that ends too soon.
pub fn members(shard: &Path) -> io::Result<(File, Vec<Member>)> {
    let file = File::open(shard)?;
    if is_packed(shard) {
        let mut content = BufWriter::new(tempfile::tempfile()?);
        let members = unpack(MultiGzDecoder::new(BufReader::new(file)), &mut content)?;
        return Ok((content.into_inner().map_err(io::IntoInnerError::into_error)?, members));
    }
    let length = file.metadata()?.len();
    let budget = Budget::default();
    let mut archive = tar::Archive::new(Budgeted { inner: BufReader::new(&file), budget: &budget });
    let mut members = Vec::new();
    let mut entries = archive.entries_with_seek()?;
    while let Some(mut entry) = next(&mut entries, &budget)? {
        let Some(mut member) = member(&entry) else { continue };
        member.offset = entry.raw_file_position();
        if member.offset.checked_add(member.length).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if member.label.is_some() {
            member.label = Some(read_label(&mut entry)?);
        }
        members.push(member);
    }
    Ok((file, members))
}

/// The same of a stream: contents of images are written to `content`.
pub fn unpack(packed: impl Read, content: &mut impl Write) -> io::Result<Vec<Member>> {
    let budget = Budget::default();
    let mut archive = tar::Archive::new(Budgeted { inner: packed, budget: &budget });
    let mut members = Vec::new();
    let mut offset = 0;
    let mut entries = archive.entries()?;
    while let Some(mut entry) = next(&mut entries, &budget)? {
        if let Some(mut member) = member(&entry) {
            if member.label.is_some() {
                member.label = Some(read_label(&mut entry)?);
            } else if member.length <= LARGEST_FILE {
                member.offset = offset;
                offset += io::copy(&mut entry, content)?;
                if offset - member.offset != member.length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            members.push(member);
        }
        io::copy(&mut entry, &mut io::sink())?;
    }
    Ok(members)
}

/// Most bytes of the headers of one file in a shard: long names and attributes are held in memory.
const LARGEST_HEADERS: u64 = 1 << 20;

/// How far a shard is read.
#[derive(Default)]
struct Budget {
    /// Bytes that may still be read.
    left: Cell<u64>,
    /// Whether there were no more.
    ended: Cell<bool>,
}

/// A shard of which no more is read than its budget.
struct Budgeted<'a, R> {
    inner: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Budgeted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "headers of more than 1 MB"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..most])?;
        self.budget.left.set(left - read as u64);
        self.budget.ended.set(read == 0);
        Ok(read)
    }
}

impl<R: Seek> Seek for Budgeted<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// The next entry of a shard, whose content is read without a limit. A shard that ends without the mark of
/// its end has lost something.
fn next<'a, R: Read>(
    entries: &mut tar::Entries<'a, R>,
    budget: &Budget,
) -> io::Result<Option<tar::Entry<'a, R>>> {
    budget.left.set(LARGEST_HEADERS);
    let entry = entries.next().transpose()?;
    budget.left.set(u64::MAX);
    if entry.is_none() && budget.ended.get() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has no end"));
    }
    Ok(entry)
}

fn member<R: Read>(entry: &tar::Entry<'_, R>) -> Option<Member> {
    if entry.header().entry_type() != EntryType::Regular {
        return None;
    }
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let mut member = Member { name, offset: 0, length: entry.size(), label: None };
    let (key, extension) = member.key();
    let last = key.rsplit('/').next().unwrap_or_default();
    let is_label = matches!(extension, "cls" | "json");
    let counts = is_label || is_image(Some(extension.as_ref()));
    if !counts || last.is_empty() || last.starts_with('.') {
        return None;
    }
    member.label = is_label.then(Vec::new);
    Some(member)
}

fn read_label<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(LARGEST_LABEL).read_to_end(&mut content)?;
    Ok(content)
}
