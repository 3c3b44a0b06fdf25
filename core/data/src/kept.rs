//! Decoded pixels of all images of a set in one file, which processes share through the page cache. It is
//! read by position, not mapped: a file that is cut short is then an error, not a signal.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{catalog::read_exact_at, decode::Pixels};

/// Bytes of which one checksum is kept.
pub const KEPT_CHUNK: usize = 4 << 20;

/// An image in the file of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Entry {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// 1 or 3.
    pub channels: u8,
}

impl From<[u64; 4]> for Entry {
    fn from([offset, height, width, channels]: [u64; 4]) -> Self {
        Self { offset, height: height as u32, width: width as u32, channels: channels as u8 }
    }
}

impl From<Entry> for [u64; 4] {
    fn from(entry: Entry) -> Self {
        [entry.offset, entry.height.into(), entry.width.into(), entry.channels.into()]
    }
}

impl Entry {
    /// An image whose place is not known yet.
    pub fn of(image: &Pixels) -> Self {
        let Pixels { height, width, channels, .. } = *image;
        Self { offset: 0, height: height as u32, width: width as u32, channels: channels as u8 }
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.height as usize * self.width as usize * usize::from(self.channels)
    }
}

/// Checksums of a file's chunks (BLAKE3).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Chunks {
    length: u64,
    sums: Vec<[u8; 32]>,
    #[serde(skip)]
    last: blake3::Hasher,
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        (self.length, &self.sums) == (other.length, &other.sums)
    }
}

impl Chunks {
    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next bytes of the file into account.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = KEPT_CHUNK - self.length as usize % KEPT_CHUNK;
            let (now, later) = bytes.split_at(free.min(bytes.len()));
            self.last.update(now);
            self.length += now.len() as u64;
            if now.len() == free {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    /// Ends the last chunk.
    pub fn finish(&mut self) {
        if !self.length.is_multiple_of(KEPT_CHUNK as u64) {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        self.sums.push(*self.last.finalize().as_bytes());
        self.last.reset();
    }
}

/// What is known of a chunk.
const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const DAMAGED: u8 = 2;

/// The file of pixels, of which every chunk is verified when a process first reads it.
#[derive(Debug)]
pub struct Kept {
    file: Arc<File>,
    index: PathBuf,
    chunks: Chunks,
    states: Vec<AtomicU8>,
    entries: Vec<Option<Entry>>,
}

/// What another process needs to know of kept pixels, beside their file.
#[derive(Serialize, Deserialize)]
pub struct SharedKept<'a> {
    index: Cow<'a, OsStr>,
    chunks: Cow<'a, Chunks>,
    entries: Cow<'a, [Option<Entry>]>,
}

impl Kept {
    /// Opens a file; `None` where it is not there, or has another length. `index`, the file by which it is
    /// found, is removed when a chunk is damaged, so that the next process decodes anew.
    pub(crate) fn open(
        path: &Path,
        index: &Path,
        chunks: Chunks,
        entries: Vec<Option<Entry>>,
    ) -> Option<Self> {
        Self::of(Arc::new(File::open(path).ok()?), index.to_owned(), chunks, entries)
    }

    fn of(
        file: Arc<File>,
        index: PathBuf,
        chunks: Chunks,
        entries: Vec<Option<Entry>>,
    ) -> Option<Self> {
        let is_whole = file.metadata().ok()?.len() == chunks.length
            && chunks.sums.len() as u64 == chunks.length.div_ceil(KEPT_CHUNK as u64)
            && entries
                .iter()
                .flatten()
                .all(|entry| entry.offset.saturating_add(entry.length() as u64) <= chunks.length);
        let states = chunks.sums.iter().map(|_| AtomicU8::new(UNKNOWN)).collect();
        is_whole.then(|| Self { file, index, chunks, states, entries })
    }

    /// What another process needs to read the same pixels, and their file.
    pub(crate) fn share(&self) -> (SharedKept<'_>, Arc<File>) {
        let Self { file, index, chunks, entries, .. } = self;
        let index = index.as_os_str().into();
        let (chunks, entries) = (Cow::Borrowed(chunks), Cow::Borrowed(&entries[..]));
        (SharedKept { index, chunks, entries }, file.clone())
    }

    /// Pixels that another process shares.
    pub(crate) fn shared(shared: SharedKept<'_>, file: Arc<File>) -> Option<Self> {
        let SharedKept { index, chunks, entries } = shared;
        let index = Path::new(&*index).to_owned();
        Self::of(file, index, chunks.into_owned(), entries.into_owned())
    }

    /// The pixels of an image; `None` where they are damaged or cannot be read.
    pub fn pixels(&self, image: usize) -> Option<Pixels> {
        let entry = self.entries.get(image)?.as_ref()?;
        let length = entry.length();
        let first = entry.offset as usize / KEPT_CHUNK;
        let last = (entry.offset as usize + length).saturating_sub(1) / KEPT_CHUNK;
        if !(first..=last).all(|chunk| self.is_good(chunk)) {
            return None;
        }
        let mut data = vec![0; length];
        read_exact_at(&self.file, &mut data, entry.offset).ok()?;
        let Entry { height, width, channels, .. } = *entry;
        Some(Pixels {
            height: height as usize,
            width: width as usize,
            channels: channels.into(),
            data,
        })
    }

    fn is_good(&self, chunk: usize) -> bool {
        let Some(state) = self.states.get(chunk) else { return false };
        match state.load(Ordering::Acquire) {
            UNKNOWN => {
                let is_good = self.verify(chunk).is_some();
                let new = if is_good { GOOD } else { DAMAGED };
                // The first of several threads that find the damage tells it.
                if state.swap(new, Ordering::AcqRel) != new && !is_good {
                    tracing::warn!(
                        "{}: kept pixels are damaged; images are decoded anew",
                        self.index.display()
                    );
                    // Where it cannot be removed, the next process finds out by itself.
                    let _ = fs::remove_file(&self.index);
                }
                is_good
            }
            known => known == GOOD,
        }
    }

    fn verify(&self, chunk: usize) -> Option<()> {
        let start = (chunk * KEPT_CHUNK) as u64;
        let length = (self.chunks.length - start).min(KEPT_CHUNK as u64);
        let mut content = vec![0; length as usize];
        read_exact_at(&self.file, &mut content, start).ok()?;
        (blake3::hash(&content).as_bytes() == self.chunks.sums.get(chunk)?).then_some(())
    }
}
