//! What is in a tar file, packed with gzip or not.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tar::{Archive, Entries, Entry};

use super::MOST_CLASSES;
use crate::{
    catalog::{LARGEST_FILE, LARGEST_LABEL, Source, is_image, name_of},
    error::ImageProblem,
};

/// Most bytes of a path.
const LONGEST_NAME: usize = 4096;

/// Most bytes of the headers of one file: long names and attributes are held in memory.
const LARGEST_HEADERS: u64 = 1 << 20;

/// A file in a shard that may be an image or a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path there.
    pub name: String,
    /// Where its content starts in the shard, or in what was unpacked of it.
    pub offset: u64,
    /// Bytes of its content.
    pub length: u64,
    /// The class that it names, if it is a label.
    pub label: Option<Result<u32, ImageProblem>>,
}

impl Member {
    /// The path up to the first dot of its last part, and what follows that dot.
    pub fn key(&self) -> (&str, &str) {
        let start = self.name.rfind('/').map_or(0, |slash| slash + 1);
        match self.name[start..].find('.') {
            Some(dot) => (&self.name[..start + dot], &self.name[start + dot + 1..]),
            None => (&self.name, ""),
        }
    }
}

/// A temporary file that takes what is unpacked of all shards.
#[derive(Debug)]
pub struct Unpacked {
    file: Arc<File>,
    length: u64,
}

impl Unpacked {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: Arc::new(tempfile::tempfile()?), length: 0 })
    }
}

/// The files of a shard that may be images or labels, and where their content is read: in the shard itself,
/// or in what was unpacked of it.
///
/// # Errors
///
/// A shard that cannot be read, that is no tar file, that has no end, sparse files or headers of more than
/// 1 MB.
pub(crate) fn members(
    shard: &Path,
    unpacked: &mut Option<Unpacked>,
) -> io::Result<(Source, Vec<Member>)> {
    if name_of(shard).ends_with(".tar") {
        return Ok((Source::At(shard.to_owned()), whole(&File::open(shard)?)?));
    }
    let packed = MultiGzDecoder::new(BufReader::new(File::open(shard)?));
    let unpacked = match unpacked {
        Some(unpacked) => unpacked,
        None => unpacked.insert(Unpacked::new()?),
    };
    let mut content = BufWriter::new(&*unpacked.file);
    let members = unpack(packed, &mut content, &mut unpacked.length)?;
    content.flush()?;
    drop(content);
    Ok((Source::Open(unpacked.file.clone()), members))
}

/// The files of a plain shard.
pub fn whole(file: &File) -> io::Result<Vec<Member>> {
    let length = file.metadata()?.len();
    let budget = Budget::default();
    let mut archive = Archive::new(Budgeted { inner: BufReader::new(file), budget: &budget });
    let mut members = Vec::new();
    let mut entries = archive.entries_with_seek()?;
    while let Some(mut entry) = next(&mut entries, &budget)? {
        let Some(mut member) = member(&mut entry)? else { continue };
        member.offset = entry.raw_file_position();
        if member.offset.checked_add(member.length).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        members.push(member);
    }
    Ok(members)
}

/// The files of a shard that is read from its start to its end; contents of images are written to `content`,
/// which has `length` bytes already.
pub fn unpack(
    packed: impl Read,
    content: &mut impl Write,
    length: &mut u64,
) -> io::Result<Vec<Member>> {
    let budget = Budget::default();
    let mut archive = Archive::new(Budgeted { inner: packed, budget: &budget });
    let mut members = Vec::new();
    let mut entries = archive.entries()?;
    while let Some(mut entry) = next(&mut entries, &budget)? {
        if let Some(mut member) = member(&mut entry)? {
            if member.label.is_none() && member.length <= LARGEST_FILE {
                member.offset = *length;
                let copied = io::copy(&mut entry, content)?;
                *length += copied;
                if copied != member.length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            members.push(member);
        }
        io::copy(&mut entry, &mut io::sink())?;
    }
    Ok(members)
}

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
            return Err(invalid("headers of more than 1 MB"));
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

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The next entry of a shard, whose content is read without a limit. A shard that ends without the mark of
/// its end has lost something; what a sparse file holds has no end that anybody vouches for.
fn next<'a, R: Read>(
    entries: &mut Entries<'a, R>,
    budget: &Budget,
) -> io::Result<Option<Entry<'a, R>>> {
    budget.left.set(LARGEST_HEADERS);
    let entry = entries.next().transpose()?;
    budget.left.set(u64::MAX);
    match &entry {
        None if budget.ended.get() => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has no end"))
        }
        Some(entry) if entry.header().entry_type().is_gnu_sparse() => {
            Err(invalid("it holds a sparse file"))
        }
        _ => Ok(entry),
    }
}

/// What an entry is, if it may be an image or a label; of a label, which class it names.
fn member<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Option<Member>> {
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let path = entry.path_bytes();
    if path.len() > LONGEST_NAME {
        return Err(invalid("a name of more than 4096 bytes"));
    }
    let name = String::from_utf8_lossy(&path).into_owned();
    let mut member = Member { name, offset: 0, length: entry.size(), label: None };
    let (key, extension) = member.key();
    let extension = extension.to_lowercase();
    let last = key.rsplit('/').next().unwrap_or_default();
    let is_label = matches!(&*extension, "cls" | "json");
    let counts = is_label || is_image(Some(extension.as_ref()));
    if !counts || last.is_empty() || last.starts_with('.') {
        return Ok(None);
    }
    if is_label {
        member.label = Some(match member.length > LARGEST_LABEL {
            true => Err(ImageProblem::LongLabel { bytes: member.length }),
            false => {
                let mut content = Vec::new();
                entry.take(LARGEST_LABEL).read_to_end(&mut content)?;
                class(&content)
            }
        });
    }
    Ok(Some(member))
}

/// The class that a label's file names.
fn class(content: &[u8]) -> Result<u32, ImageProblem> {
    let json: Option<Value> = serde_json::from_slice(content).ok();
    let of_json = json.as_ref().and_then(|json| match json {
        Value::Object(fields) => {
            ["label", "cls"].iter().find_map(|name| fields.get(*name)?.as_i64())
        }
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
