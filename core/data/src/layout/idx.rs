//! IDX files, the format of the MNIST family (yann.lecun.com/exdb/mnist): two zero bytes, the type of the
//! values, the number of dimensions, a size of four bytes for each, then the values; all big-endian.
//! Images are bytes, `n × rows × columns` of grey, or with three channels before or after rows and columns;
//! labels are integers of one, two or four bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use thiserror::Error;

use super::Layout;
use crate::{
    catalog::{Archive, Catalog, Place, Records, Sample, name_of},
    division::Part,
    error::{AtPath, BadImage, DataError, ImageProblem},
    layout::class_names::class_names,
};

/// The layout.
pub struct Idx;

/// Names that the parts have in file names.
const PARTS: [(Part, &[&str]); 2] = [(Part::Train, &["train"]), (Part::Test, &["t10k", "test"])];

/// Most classes that labels of some files may name.
pub(crate) const MOST_CLASSES: u32 = 100_000;

impl Layout for Idx {
    fn name(&self) -> &'static str {
        "idx"
    }

    fn holds(&self) -> &'static str {
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
         t10k-labels-idx1-ubyte, plain or .gz"
    }

    fn matches(&self, root: &Path) -> Result<bool, DataError> {
        Ok(find(root, "train", "images").is_some())
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let mut catalog = Catalog::empty(self.name(), root);
        let mut labels = Vec::new();
        for (part, names) in PARTS {
            let found = |what: &str| names.iter().find_map(|name| find(root, name, what));
            match (found("images"), found("labels")) {
                (Some(images), Some(of_images)) => {
                    labels.push((part, images.clone(), read_labels(&of_images)?));
                    catalog.archives.push(archive(&images)?);
                }
                (Some(images), None) => {
                    let hint = format!("put {}-labels-idx1-ubyte beside it", names[0]);
                    return Err(DataError::layout(&images, "has no labels", hint));
                }
                (None, _) => {}
            }
        }
        let largest = labels.iter().flat_map(|(.., labels)| labels).copied();
        let largest = largest.filter(|&label| is_class(label)).max();
        let count = largest.map_or(0, |label| label as usize + 1);
        catalog.classes = class_names(root, count)?;
        for ((number, (part, path, labels)), images) in (0..).zip(&labels).zip(counts(&catalog)?) {
            if labels.len() as u64 != images {
                let reason =
                    format!("holds {images} images, for which there are {} labels", labels.len());
                return Err(DataError::layout(path, reason, "take both files from the same set"));
            }
            catalog.take(*part, number, labels);
        }
        Ok(catalog)
    }
}

/// The files of a folder: images and labels to train on, then those to test on.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let files = PARTS.iter().flat_map(|(_, names)| {
        ["images", "labels"].map(|what| names.iter().find_map(|name| find(root, name, what)))
    });
    files.flatten().collect()
}

fn is_class(label: i64) -> bool {
    (0..i64::from(MOST_CLASSES)).contains(&label)
}

/// How many images each archive holds.
fn counts(catalog: &Catalog) -> Result<Vec<u64>, DataError> {
    let count = |archive: &Archive| {
        let path = catalog.root.join(&archive.name);
        let length = archive.file.metadata().at(&path)?.len();
        Ok(archive.records.map_or(0, |records| (length - records.first) / records.stride))
    };
    catalog.archives.iter().map(count).collect()
}

impl Catalog {
    /// Adds the images of an IDX archive.
    fn take(&mut self, part: Part, archive: u32, labels: &[i64]) {
        for (number, &label) in (0..).zip(labels) {
            if (0..self.classes.len() as i64).contains(&label) {
                let place = Place::Record { archive, number };
                self.samples.push(Sample { part, class: label as u32, place });
            } else {
                let file = format!("{}: image {number}", self.archives[archive as usize].name);
                let classes = self.classes.len() as u32;
                let problem = ImageProblem::ClassOutOfRange { class: label, classes };
                self.refused.push(BadImage { file, class: None, problem });
            }
        }
    }
}

/// The file of a part, in any spelling: `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, with `.gz`.
fn find(root: &Path, part: &str, what: &str) -> Option<PathBuf> {
    let dimensions: &[&str] = if what == "images" { &["3", "4"] } else { &["1"] };
    dimensions
        .iter()
        .flat_map(|dimensions| {
            ["-", "."].into_iter().flat_map(move |point| {
                ["", ".gz"]
                    .map(|packed| format!("{part}-{what}{point}idx{dimensions}-ubyte{packed}"))
            })
        })
        .map(|name| root.join(name))
        .find(|path| path.is_file())
}

/// An IDX file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a value.
    pub bytes: usize,
    /// Sizes of the dimensions.
    pub sizes: Vec<usize>,
    /// Bytes of the whole file.
    pub length: u64,
}

/// What is wrong with an IDX file.
#[derive(Debug, Error)]
pub enum IdxError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It ends before its header does.
    #[error("is shorter than an IDX header")]
    Short,
    /// It starts with other bytes.
    #[error("is no IDX file: it starts with {start:02x?}")]
    OtherFile {
        /// With which.
        start: [u8; 4],
    },
    /// Its values are no integers.
    #[error("has values of type {kind:#04x}, which are no integers")]
    OtherValues {
        /// The byte that says what they are.
        kind: u8,
    },
    /// It has no dimension, or more than four.
    #[error("has {dimensions} dimensions, not one to four")]
    OtherDimensions {
        /// How many.
        dimensions: u8,
    },
    /// The product of its sizes is beyond what any file holds.
    #[error("promises {sizes:?} values, more than any file holds")]
    Endless {
        /// The sizes.
        sizes: Vec<usize>,
    },
    /// It has another length than its header says.
    #[error("has {found} bytes, where its header promises {}: sizes {:?}", header.length, header.sizes)]
    OtherLength {
        /// How many bytes there are.
        found: String,
        /// What the header says.
        header: Header,
    },
    /// Its sizes are not those of images, or of labels.
    #[error("has sizes {sizes:?}, which are no {what}")]
    OtherContent {
        /// The sizes.
        sizes: Vec<usize>,
        /// What it should hold.
        what: &'static str,
    },
    /// Its pixels are not bytes.
    #[error("has pixels of {bytes} bytes, not one")]
    LargePixels {
        /// Bytes of a pixel's channel.
        bytes: usize,
    },
    /// One of its sizes is 0.
    #[error("has no pixels: its sizes are {sizes:?}")]
    NoPixels {
        /// The sizes.
        sizes: Vec<usize>,
    },
}

impl IdxError {
    fn of(self, path: &Path) -> DataError {
        match self {
            Self::Read(source) => DataError::Storage { path: path.to_owned(), source },
            other => DataError::layout(path, other.to_string(), "take the file from the set anew"),
        }
    }
}

/// Reads the header of an IDX file.
///
/// # Errors
///
/// A file that cannot be read; one that is no IDX file, whose values are no integers, which has no or more
/// than four dimensions, or sizes whose product is beyond what any file holds.
pub fn header(file: &mut impl Read) -> Result<Header, IdxError> {
    let [zero, also_zero, kind, dimensions] = word(file)?;
    if [zero, also_zero] != [0, 0] {
        return Err(IdxError::OtherFile { start: [zero, also_zero, kind, dimensions] });
    }
    let bytes = match kind {
        0x08 => 1,
        0x0b => 2,
        0x0c => 4,
        _ => return Err(IdxError::OtherValues { kind }),
    };
    if !(1..=4).contains(&dimensions) {
        return Err(IdxError::OtherDimensions { dimensions });
    }
    let mut sizes = Vec::new();
    for _ in 0..dimensions {
        sizes.push(u32::from_be_bytes(word(file)?) as usize);
    }
    let content = sizes.iter().try_fold(bytes as u64, |all, size| all.checked_mul(*size as u64));
    match content.and_then(|content| content.checked_add(4 + 4 * u64::from(dimensions))) {
        Some(length) => Ok(Header { bytes, sizes, length }),
        None => Err(IdxError::Endless { sizes }),
    }
}

fn word(file: &mut impl Read) -> Result<[u8; 4], IdxError> {
    let mut word = [0; 4];
    match file.read_exact(&mut word) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(IdxError::Short),
        read => Ok(read.map(|()| word)?),
    }
}

impl Header {
    /// How the images of the file lie in it, and how many there are.
    fn images(&self) -> Result<Records, IdxError> {
        let sizes = || self.sizes.clone();
        let (shape, planes) = match self.sizes[..] {
            [_, rows, columns] => ([1, rows, columns], true),
            [_, rows, columns, channels @ (1 | 3)] => ([channels, rows, columns], false),
            [_, channels @ (1 | 3), rows, columns] => ([channels, rows, columns], true),
            _ => return Err(IdxError::OtherContent { sizes: sizes(), what: "images" }),
        };
        if self.bytes != 1 {
            return Err(IdxError::LargePixels { bytes: self.bytes });
        }
        if self.sizes.contains(&0) {
            return Err(IdxError::NoPixels { sizes: sizes() });
        }
        let stride = shape.iter().map(|size| *size as u64).product();
        Ok(Records { first: 4 + 4 * self.sizes.len() as u64, stride, shape, planes })
    }
}

/// The file of images, unpacked.
fn archive(path: &Path) -> Result<Archive, DataError> {
    let (header, file) = unpacked(path).map_err(|error| error.of(path))?;
    let records = header.images().map_err(|error| error.of(path))?;
    Ok(Archive { name: name_of(path), file, records: Some(records) })
}

/// A file's header, and the file, or a temporary one with what is packed in it: no more than the header
/// promises.
fn unpacked(path: &Path) -> Result<(Header, File), IdxError> {
    let mut file = File::open(path)?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        let header = header(&mut file)?;
        let length = file.metadata()?.len();
        if length != header.length {
            return Err(IdxError::OtherLength { found: length.to_string(), header });
        }
        return Ok((header, file));
    }
    let header = header(&mut GzDecoder::new(BufReader::new(&mut file)))?;
    file.seek(SeekFrom::Start(0))?;
    let mut packed = GzDecoder::new(BufReader::new(file));
    let mut content = tempfile::tempfile()?;
    let copied = io::copy(&mut packed.by_ref().take(header.length), &mut content)?;
    if copied < header.length {
        return Err(IdxError::OtherLength { found: copied.to_string(), header });
    }
    if packed.read(&mut [0])? > 0 {
        return Err(IdxError::OtherLength { found: "more".into(), header });
    }
    Ok((header, content))
}

/// The labels of a file.
fn read_labels(path: &Path) -> Result<Vec<i64>, DataError> {
    labels_of(path).map_err(|error| error.of(path))
}

fn labels_of(path: &Path) -> Result<Vec<i64>, IdxError> {
    let (Header { bytes, sizes, .. }, mut file) = unpacked(path)?;
    let [_] = sizes[..] else { return Err(IdxError::OtherContent { sizes, what: "labels" }) };
    file.seek(SeekFrom::Start(8))?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let label = |value: &[u8]| match *value {
        [byte] => i64::from(byte),
        [high, low] => i64::from(i16::from_be_bytes([high, low])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        _ => -1,
    };
    Ok(content.chunks_exact(bytes).map(label).collect())
}
