//! IDX files, the format of the MNIST family (yann.lecun.com/exdb/mnist): two zero bytes, the type of the
//! values, the number of dimensions, a size of four bytes for each, then the values; all big-endian.
//! Images are bytes, `n × rows × columns` of grey, or with three channels before or after rows and columns;
//! labels are integers of one, two or four bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::{Layout, MOST_CLASSES, class_names::class_names};
use crate::{
    catalog::{Archive, Catalog, Place, Records, Source, entries, name_of},
    decode::LARGEST_PIXELS,
    division::Part,
    error::DataError,
};

/// The layout.
pub struct Idx;

/// Names that the parts have in file names.
const PARTS: [(Part, &[&str]); 3] = [
    (Part::Train, &["train"]),
    (Part::Validation, &["val", "validation"]),
    (Part::Test, &["t10k", "test"]),
];

impl Layout for Idx {
    fn name(&self) -> &'static str {
        "idx"
    }

    fn holds(&self) -> &'static str {
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
         t10k-labels-idx1-ubyte, plain or .gz"
    }

    fn matches(&self, root: &Path) -> Result<bool, DataError> {
        Ok(find(root, &["train"], "images")?.is_some())
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let mut catalog = Catalog::empty(self.name(), root);
        let mut labels = Vec::new();
        for (part, names) in PARTS {
            let Some(images) = find(root, names, "images")? else { continue };
            let Some(of_images) = find(root, names, "labels")? else {
                let hint = format!("put {}-labels-idx1-ubyte beside it", names[0]);
                return Err(DataError::layout(&images, "has no labels", hint));
            };
            let (archive, count) = archive(&images).map_err(|error| error.of(&images))?;
            labels
                .push((part, labels_of(&of_images, count).map_err(|error| error.of(&of_images))?));
            catalog.archives.push(archive);
        }
        if labels.is_empty() {
            return Err(DataError::layout(
                root,
                "no images",
                format!("the folder must hold {}", self.holds()),
            ));
        }
        let largest = labels.iter().flat_map(|(_, labels)| labels).copied();
        let largest = largest.filter(|label| (0..i64::from(MOST_CLASSES)).contains(label)).max();
        let Some(largest) = largest else {
            return Err(DataError::layout(root, "no label names a class", "classes count from 0"));
        };
        catalog.name_classes(class_names(&[root], largest as usize + 1)?);
        for ((archive, (part, labels)), name) in (0..).zip(labels).zip(catalog.archive_names()) {
            for (number, label) in (0..).zip(labels) {
                let shown = format!("{name}: image {number}");
                catalog.add(part, Ok(label), Place::Record { archive, number }, shown);
            }
        }
        Ok(catalog)
    }
}

/// The files of a folder: images and labels of each part.
///
/// # Errors
///
/// A folder that cannot be read, or that has several files for one purpose.
pub fn files(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for (_, names) in PARTS {
        for what in ["images", "labels"] {
            files.extend(find(root, names, what)?);
        }
    }
    Ok(files)
}

/// The file of a part: `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, with `.gz`, or with a word
/// before it, as EMNIST has them.
fn find(root: &Path, parts: &[&str], what: &str) -> Result<Option<PathBuf>, DataError> {
    let is_it = |path: &PathBuf| {
        let name = name_of(path);
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let dimensions: &[&str] = if what == "images" { &["3", "4"] } else { &["1"] };
        let ends = parts.iter().flat_map(|part| {
            dimensions.iter().flat_map(move |dimensions| {
                ["-", "."].map(|point| format!("{part}-{what}{point}idx{dimensions}-ubyte"))
            })
        });
        let before = ends.into_iter().find_map(|end| Some(name.strip_suffix(&end)?.to_owned()));
        before.is_some_and(|before| before.is_empty() || before.ends_with('-')) && path.is_file()
    };
    let found: Vec<PathBuf> = entries(root)?.into_iter().filter(is_it).collect();
    match &found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        [one, other, ..] => {
            let reason = format!("`{}` and `{}` are for the same", name_of(one), name_of(other));
            Err(DataError::layout(root, reason, "leave one of them in the folder"))
        }
    }
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
    /// There are not as many labels as images.
    #[error("has {labels} labels for {images} images")]
    OtherCount {
        /// How many labels.
        labels: usize,
        /// How many images.
        images: usize,
    },
    /// An image has more pixels than are decoded.
    #[error("has images of {height}x{width} pixels, more than {} million", LARGEST_PIXELS / 1_000_000)]
    TooManyPixels {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
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
        let [channels, height, width] = shape.map(|size| size as u64);
        if height.saturating_mul(width) > LARGEST_PIXELS {
            let [_, height, width] = shape;
            return Err(IdxError::TooManyPixels { height, width });
        }
        let stride = channels * height * width;
        Ok(Records { first: 4 + 4 * self.sizes.len() as u64, stride, shape, planes })
    }
}

/// The file of images, unpacked, and how many they are.
fn archive(path: &Path) -> Result<(Archive, usize), IdxError> {
    let (mut file, header) = opened(path)?;
    let records = header.images()?;
    let count = header.sizes[0];
    file = unpacked(path, file, header)?;
    let source = Source::Open(Arc::new(file));
    let (name, file) = (name_of(path), path.file_name().map(PathBuf::from));
    Ok((Archive { name, file, source, records: Some(records) }, count))
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// A file and its header.
fn opened(path: &Path) -> Result<(File, Header), IdxError> {
    let mut file = File::open(path)?;
    let header = match is_packed(path) {
        true => header(&mut MultiGzDecoder::new(BufReader::new(&mut file)))?,
        false => header(&mut file)?,
    };
    Ok((file, header))
}

/// The file, or a temporary one with what is packed in it: no more than the header promises.
fn unpacked(path: &Path, mut file: File, header: Header) -> Result<File, IdxError> {
    if !is_packed(path) {
        let length = file.metadata()?.len();
        if length != header.length {
            return Err(IdxError::OtherLength { found: length.to_string(), header });
        }
        return Ok(file);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut packed = MultiGzDecoder::new(BufReader::new(file));
    let mut content = tempfile::tempfile()?;
    let copied = io::copy(&mut packed.by_ref().take(header.length), &mut content)?;
    if copied < header.length {
        return Err(IdxError::OtherLength { found: copied.to_string(), header });
    }
    if packed.read(&mut [0])? > 0 {
        return Err(IdxError::OtherLength { found: "more".into(), header });
    }
    Ok(content)
}

/// The labels of a file, which must be as many as the images.
fn labels_of(path: &Path, images: usize) -> Result<Vec<i64>, IdxError> {
    let (file, header) = opened(path)?;
    let (bytes, sizes) = (header.bytes, header.sizes.clone());
    let [labels] = sizes[..] else {
        return Err(IdxError::OtherContent { sizes, what: "labels" });
    };
    if labels != images {
        return Err(IdxError::OtherCount { labels, images });
    }
    let mut file = unpacked(path, file, header)?;
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
