//! What there is of a set, before any image is decoded.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    decode::{Pixels, decode_image},
    division::Part,
    error::{AtPath, BadImage, DataError, ImageProblem},
};

/// Most bytes of an image's file: more than any camera writes, little enough to read at once.
pub const LARGEST_FILE: u64 = 256 << 20;

/// Most bytes of a label's file in a shard: JSON may have more than the class.
pub const LARGEST_LABEL: u64 = 1 << 20;

/// A set of labelled images.
#[derive(Debug)]
pub struct Catalog {
    /// The layout that it has, as studies name it.
    pub layout: &'static str,
    /// What the folder is that paths start from.
    pub root: PathBuf,
    /// What the classes are called.
    pub classes: Vec<String>,
    /// All images that have a class, in an order that depends on nothing but the set: part by part,
    /// within a part as the layout has them.
    pub samples: Vec<Sample>,
    /// Images that cannot be used, as is known without decoding them.
    pub refused: Vec<BadImage>,
    /// The parts that they belong to, where that is known.
    pub(crate) refused_in: BTreeSet<Part>,
    /// How many foreign files were skipped, by what they are.
    pub skipped: BTreeMap<String, usize>,
    /// What a user may want to know of the set.
    pub notices: Vec<String>,
    pub(crate) archives: Vec<Archive>,
}

/// An image with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The part that it belongs to.
    pub part: Part,
    /// Position of its class.
    pub class: u32,
    /// Where its content is.
    pub place: Place,
}

/// Where an image's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, by its path from the set's folder.
    File(PathBuf),
    /// A file within an archive.
    Member {
        /// Which of the catalog's archives.
        archive: u32,
        /// Where it starts, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// What it is called there.
        name: Box<str>,
    },
    /// One of the records of a file, which all have one length.
    Record {
        /// Which of the catalog's archives.
        archive: u32,
        /// Which record.
        number: u32,
    },
}

/// A file that holds many images.
#[derive(Debug)]
pub(crate) struct Archive {
    /// What it is called in messages: its path from the set's folder.
    pub name: String,
    /// That path, whose name need not be text; none of what a program has made, nor of what another process
    /// has listed.
    pub file: Option<PathBuf>,
    /// Where its content, unpacked, is read.
    pub source: Source,
    /// How its records are laid out, if it has any.
    pub records: Option<Records>,
}

/// Where the content of an archive is read.
#[derive(Debug)]
pub(crate) enum Source {
    /// An open file.
    Open(Arc<File>),
    /// A file that is opened for each image: a set may have more shards than a process may have open files.
    At(PathBuf),
    /// What was made by a program, not read.
    Memory(Vec<u8>),
}

/// Records of one length, each an image without compression.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Records {
    /// Where the pixels of the first record start, in bytes.
    pub first: u64,
    /// From one record to the next, in bytes.
    pub stride: u64,
    /// Channels, rows and columns.
    pub shape: [usize; 3],
    /// Whether all values of a channel stand together, instead of all channels of a pixel.
    pub planes: bool,
}

impl Catalog {
    /// A set in which nothing was found yet.
    pub(crate) fn empty(layout: &'static str, root: &Path) -> Self {
        Self {
            layout,
            root: root.to_owned(),
            classes: Vec::new(),
            samples: Vec::new(),
            refused: Vec::new(),
            refused_in: BTreeSet::new(),
            skipped: BTreeMap::new(),
            notices: Vec::new(),
            archives: Vec::new(),
        }
    }

    /// A set that a program has made: `pixels` holds the images of each part, all channels of a pixel together,
    /// each of `shape`: channels, rows, columns.
    pub fn in_memory(
        layout: &'static str,
        classes: Vec<String>,
        shape: [usize; 3],
        parts: Vec<(Part, Vec<u8>, Vec<u32>)>,
    ) -> Self {
        let mut catalog = Self::empty(layout, Path::new(""));
        catalog.name_classes(classes);
        let stride = shape.iter().product::<usize>() as u64;
        for (archive, (part, pixels, labels)) in (0..).zip(parts) {
            let records = Some(Records { first: 0, stride, shape, planes: false });
            let name = format!("{layout}, {}", part.name());
            let source = Source::Memory(pixels);
            catalog.archives.push(Archive { name, file: None, source, records });
            let place = |number: u32| Place::Record { archive, number };
            let samples = (0..).zip(labels);
            catalog.samples.extend(samples.map(|(number, class)| Sample {
                part,
                class,
                place: place(number),
            }));
        }
        catalog
    }

    /// Channels of all images, where the layout says so.
    pub fn channels(&self) -> Option<usize> {
        let mut records = self.archives.iter().map(|archive| Some(archive.records?.shape[0]));
        let first = records.next()??;
        records.all(|channels| channels == Some(first)).then_some(first)
    }

    /// Whether images must be decoded, so that keeping their pixels makes reading faster.
    pub fn is_encoded(&self) -> bool {
        self.samples.iter().any(|sample| !matches!(sample.place, Place::Record { .. }))
    }

    /// The files that hold the images, each once; of what a program has made none.
    pub fn files(&self) -> Vec<PathBuf> {
        let of_sample = |sample: &Sample| match &sample.place {
            Place::File(path) => Some(self.root.join(path)),
            Place::Member { .. } | Place::Record { .. } => None,
        };
        let of_archive = |archive: &Archive| Some(self.root.join(archive.file.as_ref()?));
        let archives = self.archives.iter().filter_map(of_archive);
        archives.chain(self.samples.iter().filter_map(of_sample)).collect()
    }

    /// Names the classes; of several with one name all but the first get their number, too.
    pub(crate) fn name_classes(&mut self, names: Vec<String>) {
        let mut seen = HashSet::new();
        for (number, mut name) in names.into_iter().enumerate() {
            while !seen.insert(name.clone()) {
                name = format!("{name} ({number})");
            }
            self.classes.push(name);
        }
    }

    /// Adds an image with the class that its label names, if it names one; `shown` is what it is called in
    /// messages.
    pub(crate) fn add(
        &mut self,
        part: Part,
        class: Result<i64, ImageProblem>,
        place: Place,
        shown: String,
    ) {
        let classes = self.classes.len() as u32;
        let problem = match class {
            Ok(class) if (0..i64::from(classes)).contains(&class) => {
                self.samples.push(Sample { part, class: class as u32, place });
                return;
            }
            Ok(class) => ImageProblem::ClassOutOfRange { class, classes },
            Err(problem) => problem,
        };
        self.refused.push(BadImage { file: shown, class: None, problem });
        self.refused_in.insert(part);
    }

    /// What an image is called in messages.
    pub fn name(&self, sample: &Sample) -> String {
        match &sample.place {
            Place::File(path) => path.display().to_string(),
            Place::Member { archive, name, .. } => {
                format!("{}: {name}", self.archives[*archive as usize].name)
            }
            Place::Record { archive, number } => {
                format!("{}: image {number}", self.archives[*archive as usize].name)
            }
        }
    }

    /// What an image is called in messages, with its class.
    pub fn named(&self, sample: &Sample) -> String {
        let name = self.name(sample);
        match self.classes.get(sample.class as usize) {
            Some(class) => format!("{name} (class {class})"),
            None => name,
        }
    }

    /// Columns and rows of an image, where that is known without decoding it.
    pub fn size(&self, sample: &Sample) -> Option<[usize; 2]> {
        let Place::Record { archive, .. } = sample.place else { return None };
        let [_, height, width] = self.archives[archive as usize].records?.shape;
        Some([width, height])
    }

    /// What the archives are called in messages.
    pub(crate) fn archive_names(&self) -> Vec<String> {
        self.archives.iter().map(|archive| archive.name.clone()).collect()
    }

    /// Whether a part has images, be it only such as cannot be used.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.refused_in.contains(&part) || self.samples.iter().any(|sample| sample.part == part)
    }

    /// How many images a part has.
    pub fn count(&self, part: Part) -> usize {
        self.samples.iter().filter(|sample| sample.part == part).count()
    }

    /// Reads and decodes an image; safe to ask from any number of threads.
    ///
    /// # Errors
    ///
    /// The image, its class and what is wrong with it.
    pub fn decode(&self, sample: &Sample) -> Result<Pixels, BadImage> {
        self.pixels(sample).map_err(|problem| self.bad(sample, problem))
    }

    /// An image with what is wrong with it.
    pub(crate) fn bad(&self, sample: &Sample, problem: ImageProblem) -> BadImage {
        let class = self.classes.get(sample.class as usize).cloned();
        BadImage { file: self.name(sample), class, problem }
    }

    fn pixels(&self, sample: &Sample) -> Result<Pixels, ImageProblem> {
        let unreadable = |error: io::Error| ImageProblem::unreadable(&error);
        match &sample.place {
            Place::File(path) => decode_image(&read_file(&self.root.join(path))?),
            Place::Member { archive, offset, length, .. } => {
                let source = &self.archives[*archive as usize].source;
                decode_image(&source.range(*offset, *length as usize).map_err(unreadable)?)
            }
            Place::Record { archive, number } => {
                let Archive { source, records, .. } = &self.archives[*archive as usize];
                let Some(records) = records else {
                    return Err(ImageProblem::NoImage { format: None });
                };
                records.read(source, *number).map_err(unreadable)
            }
        }
    }
}

impl Records {
    fn read(&self, source: &Source, number: u32) -> io::Result<Pixels> {
        let [channels, height, width] = self.shape;
        let area = height * width;
        let offset = self.first + self.stride * u64::from(number);
        let mut data = source.range(offset, channels * area)?;
        if self.planes && channels > 1 {
            data =
                (0..channels * area).map(|at| data[at % channels * area + at / channels]).collect();
        }
        Ok(Pixels { height, width, channels, data })
    }
}

/// The content of an image's file, whose length is that of the file.
fn read_file(path: &Path) -> Result<Vec<u8>, ImageProblem> {
    let bytes = fs::metadata(path).map_err(|error| ImageProblem::unreadable(&error))?.len();
    if bytes > LARGEST_FILE {
        return Err(ImageProblem::TooLong { bytes });
    }
    fs::read(path).map_err(|error| ImageProblem::unreadable(&error))
}

impl Source {
    fn range(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut content = vec![0; length];
        match self {
            Self::Open(file) => read_exact_at(file, &mut content, offset)?,
            Self::At(path) => read_exact_at(&File::open(path)?, &mut content, offset)?,
            Self::Memory(all) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = all.get(start..).and_then(|rest| rest.get(..length));
                content.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
        }
        Ok(content)
    }
}

/// Fills a buffer with what a file holds from `offset` on, whatever other threads read of it.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills a buffer with what a file holds from `offset` on, whatever other threads read of it.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (buffer, offset) = (&mut buffer[read..], offset + read as u64),
        }
    }
    Ok(())
}

/// The entries of a folder, by name; names that are not UTF-8 are names as well.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).at(folder)? {
        paths.push(entry.at(folder)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// A path's last part as text.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file or folder is none of the person who made the set: hidden, or what a file system puts at the root of
/// its disk.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name == "lost+found")
}

/// Extensions of images, in lower case.
const IMAGES: [&str; 7] = ["bmp", "jfif", "jpe", "jpeg", "jpg", "png", "webp"];

/// Whether an extension, in any case, is that of an image.
pub(crate) fn is_image(extension: Option<&OsStr>) -> bool {
    let lower = extension.and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    lower.is_some_and(|extension| IMAGES.contains(&extension.as_str()))
}
