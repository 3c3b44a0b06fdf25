//! A set looked through before it is used: every image is decoded once. What cannot be used is told, and,
//! within a limit, the pixels are kept in one file, from which studies read without decoding.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spacewright_core::sealed::{seal, unseal};

use crate::{
    catalog::{Catalog, Sample},
    decode::Pixels,
    division::Part,
    error::{AtPath as _, DataError, ImageProblem},
    kept::{Chunks, Entry, Kept},
};

/// Changes whenever decoding gives other pixels, or a survey is written otherwise.
pub const SURVEY_VERSION: u32 = 1;

/// What is known of all images of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    version: u32,
    /// Of each sample, in the catalog's order: where its pixels are kept and how many there are; `None`
    /// where it cannot be used.
    entries: Vec<Option<Entry>>,
    /// Why images cannot be used, in the catalog's order.
    pub bad: Vec<String>,
    /// Values of the images to train on.
    pub values: Values,
    /// Checksums of the file of pixels; `None` where none was kept.
    chunks: Option<Chunks>,
}

/// Sums over the values of images, from 0 to 255, of each channel; a grey image counts as one in colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Pixels.
    pub pixels: u64,
    sums: [u64; 3],
    squares: [u64; 3],
}

impl Values {
    /// Of the images of a catalog to train on that can be decoded.
    pub fn of_catalog(catalog: &Catalog) -> Self {
        let samples = catalog.samples.par_iter().filter(|sample| sample.part == Part::Train);
        let images = samples.filter_map(|sample| catalog.decode(sample).ok());
        images.map(|image| Self::of(&image)).reduce(Self::default, Self::plus)
    }

    fn of(image: &Pixels) -> Self {
        let mut values = Self { pixels: (image.height * image.width) as u64, ..Self::default() };
        for pixel in image.data.chunks_exact(image.channels) {
            for channel in 0..3 {
                let value = u64::from(pixel[channel % image.channels]);
                values.sums[channel] += value;
                values.squares[channel] += value * value;
            }
        }
        values
    }

    fn plus(self, other: Self) -> Self {
        let add = |a: [u64; 3], b: [u64; 3]| std::array::from_fn(|channel| a[channel] + b[channel]);
        Self {
            pixels: self.pixels + other.pixels,
            sums: add(self.sums, other.sums),
            squares: add(self.squares, other.squares),
        }
    }

    /// Mean and standard deviation of each of so many channels, of values from 0 to 1.
    pub fn mean_and_std(&self, channels: usize) -> (Vec<f64>, Vec<f64>) {
        let count = self.pixels.max(1) as f64;
        let mean = |channel: usize| self.sums[channel] as f64 / count;
        let std = |channel: usize| {
            let variance = self.squares[channel] as f64 / count - mean(channel).powi(2);
            // A set of one colour is centred, not blown up.
            if variance > 0.0 { variance.sqrt() / 255.0 } else { 1.0 }
        };
        let channels = 0..channels.min(3);
        (
            channels.clone().map(|channel| mean(channel) / 255.0).collect(),
            channels.map(std).collect(),
        )
    }
}

/// The file of pixels that is being written.
struct Writer {
    file: BufWriter<File>,
    chunks: Chunks,
    most: u64,
}

impl Writer {
    /// Appends pixels; where they start. `None` where they would be too many.
    fn append(&mut self, pixels: &[u8]) -> io::Result<Option<u64>> {
        let offset = self.chunks.length();
        if offset + pixels.len() as u64 > self.most {
            return Ok(None);
        }
        self.file.write_all(pixels)?;
        self.chunks.append(pixels);
        Ok(Some(offset))
    }
}

/// Where the survey of a set lies: two files in a folder, whose names start with what identifies the set.
#[derive(Debug, Clone)]
pub struct SurveyFiles {
    /// What was found.
    index: PathBuf,
    /// Pixels.
    pixels: PathBuf,
}

impl SurveyFiles {
    /// In a folder, which is made when they are written.
    pub fn new(folder: &Path, name: &str) -> Self {
        let at = |extension: &str| folder.join(format!("{name}.{extension}"));
        Self { index: at("survey"), pixels: at("pixels") }
    }

    /// The survey of this many samples, if it is there and whole, with the pixels that it has kept. Where it
    /// lies is forgotten when a chunk of them turns out to be damaged.
    pub fn read(&self, samples: usize) -> Option<(Survey, Option<Kept>)> {
        let content = fs::read(&self.index).ok()?;
        let survey: Survey = serde_json::from_slice(unseal(&content)?).ok()?;
        if survey.version != SURVEY_VERSION || survey.entries.len() != samples {
            return None;
        }
        let kept = match &survey.chunks {
            Some(chunks) => {
                let entries = survey.entries.clone();
                Some(Kept::open(&self.pixels, &self.index, chunks.clone(), entries)?)
            }
            None => None,
        };
        Some((survey, kept))
    }

    /// Decodes all images on all threads and writes what was found; of pixels no more than `most` bytes.
    /// `progress` is told how many of how many are done, and says whether to go on; `None` where it says no.
    ///
    /// # Errors
    ///
    /// Files that cannot be written.
    pub fn make(
        &self,
        catalog: &Catalog,
        most: u64,
        progress: impl Fn(usize, usize) -> bool + Sync,
    ) -> Result<Option<Survey>, DataError> {
        let folder = self.index.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).at(folder)?;
        let temporary = tempfile::NamedTempFile::new_in(folder).at(folder)?;
        let file = BufWriter::new(temporary.reopen().at(folder)?);
        let writer = (most > 0).then_some(Writer { file, chunks: Chunks::default(), most });
        let writer = Mutex::new(writer);
        let (done, total) = (AtomicUsize::new(0), catalog.samples.len());
        let look = |sample: &Sample| {
            let seen = look(catalog, sample, &writer).at(&self.pixels);
            let goes_on = progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            goes_on.then_some(seen)
        };
        let seen: Option<Vec<Result<Seen, DataError>>> =
            catalog.samples.par_iter().map(look).collect();
        let Some(seen) = seen else { return Ok(None) };
        let chunks = match writer.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(mut writer) => {
                writer.file.flush().and_then(|()| writer.file.get_ref().sync_all()).at(folder)?;
                temporary.persist(&self.pixels).map_err(|error| error.error).at(&self.pixels)?;
                writer.chunks.finish();
                Some(writer.chunks)
            }
            None => None,
        };
        let survey = survey(catalog, seen, chunks)?;
        self.write(&survey, folder).at(&self.index)?;
        Ok(Some(survey))
    }

    fn write(&self, survey: &Survey, folder: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&seal(serde_json::to_vec(survey)?))?;
        file.as_file().sync_all()?;
        file.persist(&self.index)?;
        Ok(())
    }
}

/// What is known of an image.
type Seen = Result<(Entry, Values), ImageProblem>;

fn look(catalog: &Catalog, sample: &Sample, writer: &Mutex<Option<Writer>>) -> io::Result<Seen> {
    let image = match catalog.decode(sample) {
        Ok(image) => image,
        Err(bad) => return Ok(Err(bad.problem)),
    };
    let mut entry = Entry::of(&image);
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = writer.as_mut() {
        match open.append(&image.data)? {
            Some(offset) => entry.offset = offset,
            // All or nothing: a part would make some images of an epoch slower than others.
            None => *writer = None,
        }
    }
    Ok(Ok((entry, Values::of(&image))))
}

fn survey(
    catalog: &Catalog,
    seen: Vec<Result<Seen, DataError>>,
    chunks: Option<Chunks>,
) -> Result<Survey, DataError> {
    let (mut entries, mut bad) = (Vec::with_capacity(seen.len()), Vec::new());
    let mut values = Values::default();
    for (sample, seen) in catalog.samples.iter().zip(seen) {
        match seen? {
            Ok((entry, of_image)) => {
                entries.push(Some(entry));
                if sample.part == Part::Train {
                    values = values.plus(of_image);
                }
            }
            Err(problem) => {
                entries.push(None);
                bad.push(catalog.bad(sample, problem).to_string());
            }
        }
    }
    Ok(Survey { version: SURVEY_VERSION, entries, bad, values, chunks })
}

impl Survey {
    /// Whether the image at a position of the catalog can be used.
    pub fn is_usable(&self, image: usize) -> bool {
        self.entries.get(image).is_some_and(Option::is_some)
    }

    /// Bytes of pixels that were kept.
    pub fn kept_bytes(&self) -> u64 {
        self.chunks.as_ref().map_or(0, Chunks::length)
    }
}
