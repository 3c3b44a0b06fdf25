//! CIFAR-10 and CIFAR-100 in their binary version (cs.toronto.edu/~kriz/cifar.html): records of one label
//! byte (CIFAR-100: the coarse, then the fine label) and 3,072 bytes, red, green and blue planes of 32×32.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::Layout;
use crate::{
    catalog::{Archive, Catalog, Place, Records, Source},
    division::Part,
    error::{AtPath, DataError},
};

/// The layout.
pub struct Cifar;

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// One of the two sets.
struct Version {
    /// Folder that the published archive unpacks to.
    folder: &'static str,
    /// Label bytes of a record, the last of which counts.
    labels: usize,
    /// What the classes are called, a line each.
    names: &'static str,
    classes: usize,
    train: &'static [&'static str],
    test: &'static str,
}

const VERSIONS: [Version; 2] = [
    Version {
        folder: "cifar-10-batches-bin",
        labels: 1,
        names: "batches.meta.txt",
        classes: 10,
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
    },
    Version {
        folder: "cifar-100-binary",
        labels: 2,
        names: "fine_label_names.txt",
        classes: 100,
        train: &["train.bin"],
        test: "test.bin",
    },
];

impl Layout for Cifar {
    fn name(&self) -> &'static str {
        "cifar"
    }

    fn holds(&self) -> &'static str {
        "data_batch_1.bin to data_batch_5.bin and test_batch.bin, or train.bin and test.bin"
    }

    fn matches(&self, root: &Path) -> Result<bool, DataError> {
        Ok(version(root).is_some())
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let Some((version, folder)) = version(root) else {
            return Err(DataError::layout(
                root,
                "no CIFAR set",
                format!("it holds {}", self.holds()),
            ));
        };
        let mut catalog = Catalog::empty(self.name(), &folder);
        catalog.name_classes(version.class_names(&folder)?);
        let files = version.train.iter().map(|file| (Part::Train, *file));
        for (part, name) in files.chain([(Part::Test, version.test)]) {
            let path = folder.join(name);
            let read = BufReader::new(File::open(&path).at(&path)?);
            let labels = labels(read, version.labels).map_err(|error| error.of(&path))?;
            catalog.add_records(part, name, &path, version, &labels)?;
        }
        Ok(catalog)
    }
}

/// The version whose files a folder holds, or the folder in it that the archive unpacks to.
fn version(root: &Path) -> Option<(&'static Version, PathBuf)> {
    VERSIONS.iter().find_map(|version| {
        let places = [root.to_owned(), root.join(version.folder)];
        let has = |place: &PathBuf| {
            place.join(version.train[0]).is_file() && place.join(version.test).is_file()
        };
        Some((version, places.into_iter().find(has)?))
    })
}

impl Version {
    fn class_names(&self, folder: &Path) -> Result<Vec<String>, DataError> {
        let path = folder.join(self.names);
        if !path.is_file() {
            return Ok((0..self.classes).map(|class| class.to_string()).collect());
        }
        let text = fs::read_to_string(&path).at(&path)?;
        let names: Vec<String> = text
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if names.len() != self.classes {
            let reason = format!("has {} names for {} classes", names.len(), self.classes);
            return Err(DataError::layout(&path, reason, "unpack the set's archive anew"));
        }
        Ok(names)
    }
}

impl Catalog {
    fn add_records(
        &mut self,
        part: Part,
        name: &str,
        path: &Path,
        version: &Version,
        labels: &[u8],
    ) -> Result<(), DataError> {
        let archive = self.archives.len() as u32;
        self.archives.push(Archive {
            name: name.to_owned(),
            file: Some(name.into()),
            source: Source::Open(Arc::new(File::open(path).at(path)?)),
            records: Some(Records {
                first: version.labels as u64,
                stride: (version.labels + PIXELS) as u64,
                shape: SHAPE,
                planes: true,
            }),
        });
        for (number, &label) in (0..).zip(labels) {
            let shown = format!("{name}: image {number}");
            self.add(part, Ok(label.into()), Place::Record { archive, number }, shown);
        }
        Ok(())
    }
}

/// What is wrong with a file of records.
#[derive(Debug, Error)]
pub enum CifarError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is empty.
    #[error("has no record")]
    NoRecord,
    /// It ends within a record.
    #[error("ends within record {number} of {bytes} bytes")]
    PartOfRecord {
        /// Which record.
        number: usize,
        /// Bytes of a record.
        bytes: usize,
    },
}

impl CifarError {
    fn of(self, path: &Path) -> DataError {
        match self {
            Self::Read(source) => DataError::Storage { path: path.to_owned(), source },
            other => DataError::layout(path, other.to_string(), "unpack the set's archive anew"),
        }
    }
}

/// The labels of a file's records: the last of each record's `labels` label bytes.
///
/// # Errors
///
/// A file that ends within a record, or has none.
pub fn labels(mut file: impl Read, labels: usize) -> Result<Vec<u8>, CifarError> {
    let mut all = Vec::new();
    let mut record = vec![0; labels + PIXELS];
    loop {
        let mut filled = 0;
        while filled < record.len() {
            match file.read(&mut record[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        match filled {
            0 if all.is_empty() => return Err(CifarError::NoRecord),
            0 => return Ok(all),
            full if full == record.len() => all.push(record[labels - 1]),
            _ => {
                let (number, bytes) = (all.len(), record.len());
                return Err(CifarError::PartOfRecord { number, bytes });
            }
        }
    }
}
