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
use spacewright_core::{
    data::LEAST_STD,
    sealed::{seal, unseal},
};

use crate::{
    catalog::{Catalog, Sample},
    decode::{Pixels, luma},
    division::Part,
    error::{AtPath as _, DataError, ImageProblem},
    kept::{Chunks, Entry, Kept},
};

/// Changes whenever decoding gives other pixels, or a survey is written otherwise.
pub const SURVEY_VERSION: u32 = 2;

/// What is known of all images of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    version: u32,
    /// Of each sample, in the catalog's order: where its pixels are kept and how many there are; `None`
    /// where it cannot be used.
    entries: Vec<Option<Entry>>,
    /// Images that cannot be used, by their position, and why.
    bad: Vec<(usize, String)>,
    /// Values of the images of the training part.
    pub values: Values,
    /// Checksums of the file of pixels; `None` where none was kept.
    chunks: Option<Chunks>,
}

/// Sums over the values of images, from 0 to 255: of red, green, blue, and of the image in grey.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    pixels: u64,
    sums: [u64; 4],
    squares: [u64; 4],
}

/// Where the sums of an image in grey stand.
const GREY: usize = 3;

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
            let seen = match pixel {
                [red, green, blue] => [*red, *green, *blue, luma(pixel)],
                _ => [pixel[0]; 4],
            };
            for (channel, value) in seen.map(u64::from).into_iter().enumerate() {
                values.sums[channel] += value;
                values.squares[channel] += value * value;
            }
        }
        values
    }

    fn plus(self, other: Self) -> Self {
        let add = |a: [u64; 4], b: [u64; 4]| std::array::from_fn(|channel| a[channel] + b[channel]);
        Self {
            pixels: self.pixels + other.pixels,
            sums: add(self.sums, other.sums),
            squares: add(self.squares, other.squares),
        }
    }

    /// Mean and standard deviation of each channel, of values from 0 to 1: of one in grey, or of three.
    pub fn mean_and_std(&self, channels: usize) -> (Vec<f64>, Vec<f64>) {
        let count = self.pixels.max(1) as f64;
        let mean = |channel: usize| self.sums[channel] as f64 / count;
        let std = |channel: usize| {
            let variance = self.squares[channel] as f64 / count - mean(channel).powi(2);
            let std = variance.max(0.0).sqrt() / 255.0;
            // A set of one colour, or of almost one, is centred, not blown up.
            if std >= LEAST_STD { std } else { 1.0 }
        };
        let channels = if channels == 1 { GREY..GREY + 1 } else { 0..GREY };
        (
            channels.clone().map(|channel| mean(channel) / 255.0).collect(),
            channels.map(std).collect(),
        )
    }
}

/// The file of pixels that is being written.
struct Writer<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    chunks: Chunks,
    most: u64,
}

impl Writer<'_> {
    /// Appends pixels; where they start. `None` where they would be too many, or where they cannot be written:
    /// a set is used without its pixels being kept, too.
    fn append(&mut self, pixels: &[u8]) -> Option<u64> {
        let offset = self.chunks.length();
        if offset + pixels.len() as u64 > self.most {
            return None;
        }
        let written = self.file.write_all(pixels);
        self.kept(written)?;
        self.chunks.append(pixels);
        Some(offset)
    }

    fn kept(&self, written: io::Result<()>) -> Option<()> {
        let told = |error| {
            tracing::warn!("{}: {error}; decoded images are not kept", self.path.display());
        };
        written.map_err(told).ok()
    }

    /// Puts the file in its place.
    fn finish(mut self, place: &Path) -> Option<Chunks> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let moved = flushed.and_then(|()| fs::rename(self.path, place));
        self.kept(moved)?;
        self.chunks.finish();
        Some(self.chunks)
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

    /// Decodes all images, on the threads of the pool that it is called in, and writes what was found; of
    /// pixels no more than `most` bytes. `progress` is told how many of how many are done, and says whether
    /// to go on; `None` where it says no.
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
        let part = self.pixels.with_extension("part");
        let writer = match most {
            0 => None,
            _ => {
                let file = BufWriter::new(File::create(&part).at(&part)?);
                Some(Writer { path: &part, file, chunks: Chunks::default(), most })
            }
        };
        let writer = Mutex::new(writer);
        let (done, total) = (AtomicUsize::new(0), catalog.samples.len());
        let look = |sample: &Sample| {
            let seen = look(catalog, sample, &writer).map_err(Stop::Failed)?;
            let goes_on = progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            if goes_on { Ok(seen) } else { Err(Stop::Told) }
        };
        // Ends at the first failure: what is left of a large set takes hours.
        let seen: Result<Vec<Seen>, Stop> = catalog.samples.par_iter().map(look).collect();
        let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let survey = match seen {
            Ok(seen) => {
                let chunks = writer.and_then(|writer| writer.finish(&self.pixels));
                Some(survey(catalog, seen, chunks))
            }
            Err(Stop::Told) => None,
            Err(Stop::Failed(error)) => {
                remove(&part).at(&part)?;
                return Err(error);
            }
        };
        // What was not finished, and what an earlier survey kept, is nobody's.
        remove(&part).at(&part)?;
        if survey.as_ref().is_some_and(|survey| survey.chunks.is_none()) {
            remove(&self.pixels).at(&self.pixels)?;
        }
        if let Some(survey) = &survey {
            self.write(survey, folder).at(&self.index)?;
        }
        Ok(survey)
    }

    fn write(&self, survey: &Survey, folder: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&seal(serde_json::to_vec(survey)?))?;
        file.as_file().sync_all()?;
        file.persist(&self.index)?;
        Ok(())
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Why not all images were looked at.
enum Stop {
    /// Whoever is told of the progress said so.
    Told,
    /// The file system fails.
    Failed(DataError),
}

/// What is known of an image.
type Seen = Result<(Entry, Values), ImageProblem>;

/// Decodes an image. That the file system fails is no property of the set: it is an error. Who may read an
/// image is one.
fn look(
    catalog: &Catalog,
    sample: &Sample,
    writer: &Mutex<Option<Writer<'_>>>,
) -> Result<Seen, DataError> {
    let image = match catalog.decode(sample) {
        Ok(image) => image,
        Err(bad) if matches!(bad.problem, ImageProblem::Unreadable { .. }) => {
            return Err(bad.into());
        }
        Err(bad) => return Ok(Err(bad.problem)),
    };
    let mut entry = Entry::of(&image);
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = writer.as_mut() {
        match open.append(&image.data) {
            Some(offset) => entry.offset = offset,
            // All or nothing: a part would make some images of an epoch slower than others.
            None => {
                let path = open.path;
                *writer = None;
                remove(path).at(path)?;
            }
        }
    }
    Ok(Ok((entry, Values::of(&image))))
}

fn survey(catalog: &Catalog, seen: Vec<Seen>, chunks: Option<Chunks>) -> Survey {
    let (mut entries, mut bad) = (Vec::with_capacity(seen.len()), Vec::new());
    let mut values = Values::default();
    for (position, (sample, seen)) in catalog.samples.iter().zip(seen).enumerate() {
        match seen {
            Ok((entry, of_image)) => {
                entries.push(Some(entry));
                if sample.part == Part::Train {
                    values = values.plus(of_image);
                }
            }
            Err(problem) => {
                entries.push(None);
                bad.push((position, problem.to_string()));
            }
        }
    }
    Survey { version: SURVEY_VERSION, entries, bad, values, chunks }
}

impl Survey {
    /// Images that cannot be used, with their names in the catalog that was looked through, and why.
    pub fn bad(&self, catalog: &Catalog) -> Vec<String> {
        let told = |(position, reason): &(usize, String)| {
            let sample = catalog.samples.get(*position)?;
            Some(format!("{}: {reason}", catalog.named(sample)))
        };
        self.bad.iter().filter_map(told).collect()
    }

    /// Columns and rows of the image at a position of the catalog, where it can be used.
    pub fn size(&self, image: usize) -> Option<[usize; 2]> {
        let entry = self.entries.get(image)?.as_ref()?;
        Some([entry.width as usize, entry.height as usize])
    }

    /// Bytes of all pixels, kept or not.
    pub fn decoded_bytes(&self) -> u64 {
        self.entries.iter().flatten().map(|entry| entry.length() as u64).sum()
    }

    /// Bytes of pixels that were kept.
    pub fn kept_bytes(&self) -> u64 {
        self.chunks.as_ref().map_or(0, Chunks::length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_almost_one_colour_is_not_blown_up() {
        let of = |pixels: u64, one: u64, other: u64| {
            let all = |value: u64, last: u64| [(pixels - 1) * value + last; 4];
            let squares = all(one * one, other * other);
            let values = Values { pixels, sums: all(one, other), squares };
            let (mean, std) = values.mean_and_std(1);
            (mean[0], std[0])
        };
        assert_eq!(of(2, 0, 255), (0.5, 0.5));
        assert_eq!(of(9, 51, 51), (0.2, 1.0));
        assert_eq!(of(1_000_000_000_000, 51, 52).1, 1.0);
    }
}
