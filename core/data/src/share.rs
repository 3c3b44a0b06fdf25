//! Images as they cross to another process of this machine: a description, and open files.

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use spacewright_core::data::SharedImages;
use thiserror::Error;

use crate::{
    catalog::{Archive, Catalog, Place, Records, Sample, Source},
    division::Part,
    kept::{Kept, SharedKept},
};

/// Why images do not cross.
#[derive(Debug, Error)]
pub enum ShareError {
    /// They cannot be described.
    #[error("images cannot be shared with another process: {0}")]
    Write(#[from] rmp_serde::encode::Error),
    /// The description is not of this version.
    #[error("images of another process cannot be read: {0}")]
    Read(#[from] rmp_serde::decode::Error),
    /// A file, an archive or pixels that the description names are not there.
    #[error("images of another process cannot be read: {0} is missing")]
    Missing(&'static str),
}

/// Paths are texts of the system's: those that are no UTF-8 cross, too.
#[derive(Serialize, Deserialize)]
struct Description<'a> {
    channels: usize,
    root: OsString,
    classes: Vec<String>,
    archives: Vec<SharedArchive>,
    samples: Vec<(Part, u32, SharedPlace)>,
    #[serde(borrow)]
    kept: Option<SharedKept<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SharedArchive {
    name: String,
    source: SharedSource,
    records: Option<Records>,
}

#[derive(Serialize, Deserialize)]
enum SharedSource {
    /// Which of the open files.
    Open(usize),
    At(OsString),
    Memory(Vec<u8>),
}

#[derive(Serialize, Deserialize)]
enum SharedPlace {
    File(OsString),
    Member(u32, u64, u64, Box<str>),
    Record(u32, u32),
}

/// What a catalog and its kept pixels are, for another process.
pub fn write(
    catalog: &Catalog,
    kept: Option<&Kept>,
    channels: usize,
) -> Result<SharedImages, ShareError> {
    let mut files: Vec<Arc<File>> = Vec::new();
    let mut position = |file: &Arc<File>| {
        let known = files.iter().position(|other| Arc::ptr_eq(other, file));
        known.unwrap_or_else(|| {
            files.push(file.clone());
            files.len() - 1
        })
    };
    let archive = |archive: &Archive| SharedArchive {
        name: archive.name.clone(),
        source: match &archive.source {
            Source::Open(file) => SharedSource::Open(position(file)),
            Source::At(path) => SharedSource::At(path.clone().into()),
            Source::Memory(content) => SharedSource::Memory(content.clone()),
        },
        records: archive.records,
    };
    let archives = catalog.archives.iter().map(archive).collect();
    let kept = kept.map(Kept::share);
    // Always the last one.
    let (kept, pixels) = kept.unzip();
    files.extend(pixels);
    let description = Description {
        channels,
        root: catalog.root.clone().into(),
        classes: catalog.classes.clone(),
        archives,
        samples: catalog.samples.iter().map(shared_sample).collect(),
        kept,
    };
    Ok(SharedImages { description: rmp_serde::to_vec(&description)?, files })
}

fn shared_sample(sample: &Sample) -> (Part, u32, SharedPlace) {
    let place = match &sample.place {
        Place::File(path) => SharedPlace::File(path.clone().into()),
        Place::Member { archive, offset, length, name } => {
            SharedPlace::Member(*archive, *offset, *length, name.clone())
        }
        Place::Record { archive, number } => SharedPlace::Record(*archive, *number),
    };
    (sample.part, sample.class, place)
}

/// A catalog, its kept pixels, and the channels of its images.
pub fn read(
    description: &[u8],
    files: Vec<File>,
) -> Result<(Catalog, Option<Kept>, usize), ShareError> {
    let description: Description<'_> = rmp_serde::from_slice(description)?;
    let Description { channels, root, classes, archives, samples, kept } = description;
    let files: Vec<Arc<File>> = files.into_iter().map(Arc::new).collect();
    let mut catalog = Catalog::empty("shared", Path::new(&root));
    catalog.classes = classes;
    for SharedArchive { name, source, records } in archives {
        let source = match source {
            SharedSource::Open(position) => {
                let file = files.get(position).ok_or(ShareError::Missing("a file"))?;
                Source::Open(file.clone())
            }
            SharedSource::At(path) => Source::At(path.into()),
            SharedSource::Memory(content) => Source::Memory(content),
        };
        catalog.archives.push(Archive { name, file: None, source, records });
    }
    let archives = catalog.archives.len();
    for sample in samples {
        let sample = own_sample(sample, archives).ok_or(ShareError::Missing("an archive"))?;
        catalog.samples.push(sample);
    }
    let kept = match kept {
        Some(kept) => {
            let file = files.last().ok_or(ShareError::Missing("a file"))?;
            let kept = Kept::shared(kept, file.clone());
            Some(kept.ok_or(ShareError::Missing("the file of pixels"))?)
        }
        None => None,
    };
    Ok((catalog, kept, channels))
}

fn own_sample((part, class, place): (Part, u32, SharedPlace), archives: usize) -> Option<Sample> {
    let is_known = |archive: u32| (archive as usize) < archives;
    let place = match place {
        SharedPlace::File(path) => Place::File(PathBuf::from(path)),
        SharedPlace::Member(archive, offset, length, name) => {
            is_known(archive).then_some(Place::Member { archive, offset, length, name })?
        }
        SharedPlace::Record(archive, number) => {
            is_known(archive).then_some(Place::Record { archive, number })?
        }
    };
    Some(Sample { part, class, place })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use spacewright_core::data::{Draw, Images, Interpolation, Resize, Transform};

    use super::*;
    use crate::{CatalogImages, SurveyFiles};

    /// What a process makes of images that another one shares.
    fn crossed(images: &CatalogImages) -> CatalogImages {
        let shared = images.share().unwrap();
        let files = shared.files.iter().map(|file| file.try_clone().unwrap()).collect();
        CatalogImages::shared(&shared.description, files).unwrap()
    }

    fn catalog(source: impl FnOnce(Vec<u8>) -> Source) -> Catalog {
        let labels = vec![1, 0, 1];
        let pixels: Vec<u8> = (0..3 * 16).map(|value| 5 * value).collect();
        let classes = ["a", "b"].map(str::to_owned).into();
        let parts = vec![(Part::Train, pixels.clone(), labels)];
        let mut catalog = Catalog::in_memory("made", classes, [1, 4, 4], parts);
        catalog.archives[0].source = source(pixels);
        catalog
    }

    fn check(images: &CatalogImages) {
        let other = crossed(images);
        assert_eq!(other.labels(), images.labels());
        assert_eq!(other.channels(), images.channels());
        let interpolation = Interpolation::Bilinear;
        let transforms = [Transform::Resize(Resize { crop_share: 1.0, interpolation })];
        let draws = [2, 0].map(Draw::fixed);
        let inputs = |images: &CatalogImages| images.inputs(&draws, &transforms, 8).unwrap();
        assert_eq!(inputs(&other), inputs(images));
    }

    #[test]
    fn images_in_memory_cross() {
        check(&CatalogImages::new(Arc::new(catalog(Source::Memory)), None, 1));
    }

    #[test]
    fn images_in_a_file_without_a_name_cross() {
        let in_file = |pixels: Vec<u8>| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&pixels).unwrap();
            file.rewind().unwrap();
            Source::Open(Arc::new(file))
        };
        check(&CatalogImages::new(Arc::new(catalog(in_file)), None, 3));
    }

    #[test]
    fn kept_pixels_cross() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(catalog(Source::Memory));
        let files = SurveyFiles::new(folder.path(), "set");
        files.make(&catalog, 1 << 20, |_, _| true).unwrap().unwrap();
        let kept = files.read(3).unwrap().1;
        assert!(kept.is_some());
        let images = CatalogImages::new(catalog, kept, 1);
        assert_eq!(images.share().unwrap().files.len(), 1);
        check(&images);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        assert!(read(b"", Vec::new()).is_err());
        let images = CatalogImages::new(Arc::new(catalog(Source::Memory)), None, 1);
        let cut = &images.share().unwrap().description[..20];
        assert!(read(cut, Vec::new()).is_err());
    }
}
