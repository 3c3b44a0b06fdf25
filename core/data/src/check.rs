//! What a set is like, image by image: everything is decoded once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::Serialize;
use spacewright_core::data::{Transform, TransformError};

use crate::{
    catalog::{Catalog, Sample},
    decode::Pixels,
    division::{Division, DivisionError, Part, Wanted, divide},
    error::BadImage,
    transform::Pipeline,
};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The layout, as studies name it.
    pub layout: &'static str,
    /// The parts that there are.
    pub parts: IndexMap<&'static str, CheckedPart>,
    /// How many foreign files were skipped, by what they are.
    pub skipped: BTreeMap<String, usize>,
    /// Groups of images with the same pixels that a study would not use for the same: it would test on what
    /// it has trained on, say.
    pub duplicates: Vec<Vec<String>>,
    /// Images that cannot be used.
    pub bad: Vec<BadImage>,
    /// What a user may want to know.
    pub notices: Vec<String>,
    /// What a study would use, in images.
    pub study: InStudy,
    /// Columns and rows of each image that can be decoded.
    #[serde(skip)]
    pub sizes: Vec<[usize; 2]>,
}

impl Checked {
    /// How many of the images that can be decoded one of these lists of transforms cannot bring to one of these sides,
    /// in pixels.
    ///
    /// # Errors
    ///
    /// Which transform no images can go through.
    pub fn unfit(
        &self,
        lists: &[Vec<Transform>],
        sides: &[usize],
    ) -> Result<usize, TransformError> {
        let mut pipelines = Vec::new();
        for transforms in lists {
            let sizing = transforms.iter().filter(|one| !matches!(one, Transform::Normalize(_)));
            pipelines.push(Pipeline::new(&sizing.cloned().collect::<Vec<_>>(), 1)?);
        }
        let fits = |size: &[usize; 2]| {
            let sides = || sides.iter();
            pipelines.iter().all(|one| sides().all(|side| one.check_size(*size, *side).is_ok()))
        };
        Ok(self.sizes.iter().filter(|size| !fits(size)).count())
    }
}

/// What was found of a part.
#[derive(Debug, Serialize)]
pub struct CheckedPart {
    /// How many images can be used.
    pub images: usize,
    /// How many of each class.
    pub classes: IndexMap<String, usize>,
    /// How many are grey; the others have colours.
    pub grey: usize,
    /// Columns.
    pub width: Sizes,
    /// Rows.
    pub height: Sizes,
}

/// What the images of a part measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// In pixels.
    pub smallest: usize,
    /// In pixels: half of the images have no more.
    pub median: usize,
    /// In pixels.
    pub largest: usize,
}

/// Images of a study, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InStudy {
    /// To train on.
    pub train: usize,
    /// To choose by.
    pub held_out: usize,
    /// To judge on at the end.
    pub test: usize,
    /// Why no study can use the set, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

/// What is kept of a decoded image.
struct Seen {
    hash: blake3::Hash,
    height: usize,
    width: usize,
    grey: bool,
}

impl Seen {
    fn of(pixels: Pixels) -> Self {
        let Pixels { height, width, channels, data } = pixels;
        let mut hasher = blake3::Hasher::new();
        [height, width, channels].iter().for_each(|size| {
            hasher.update(&(*size as u64).to_le_bytes());
        });
        hasher.update(&data);
        Self { hash: hasher.finalize(), height, width, grey: channels == 1 }
    }
}

/// Decodes all images on all threads; a study would ask for `wanted`. `progress` is told how many of how
/// many are done, and says whether to go on; `None` where it says no.
pub fn check(
    catalog: &Catalog,
    wanted: &Wanted,
    progress: impl Fn(usize, usize) -> bool + Sync,
) -> Option<Checked> {
    let (done, total) = (AtomicUsize::new(0), catalog.samples.len());
    let look = |sample: &Sample| {
        let seen = catalog.decode(sample).map(Seen::of);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, total).then_some(seen)
    };
    let seen: Vec<Result<Seen, BadImage>> =
        catalog.samples.par_iter().map(look).collect::<Option<_>>()?;
    let parts = Part::ALL.into_iter().filter(|part| catalog.count(*part) > 0);
    let parts: IndexMap<_, _> =
        parts.map(|part| (part.name(), part_of(catalog, &seen, part))).collect();
    let undecodable = seen.iter().filter_map(|seen| seen.as_ref().err());
    let mut notices = catalog.notices.clone();
    notices.extend(rare_classes(&parts));
    let usable = |image: usize| seen[image].is_ok();
    let division = divide(catalog, usable, wanted);
    let refused = division.check(catalog, usable, wanted).err();
    Some(Checked {
        layout: catalog.layout,
        parts,
        skipped: catalog.skipped.clone(),
        duplicates: duplicates(catalog, &seen, &division),
        bad: catalog.refused.iter().chain(undecodable).cloned().collect(),
        notices,
        sizes: seen.iter().flatten().map(|seen| [seen.width, seen.height]).collect(),
        study: InStudy {
            train: division.train.len(),
            held_out: division.held_out.len(),
            test: division.test.len(),
            refused: refused.as_ref().map(DivisionError::to_string),
            hint: refused.as_ref().map(DivisionError::hint),
        },
    })
}

fn part_of(catalog: &Catalog, seen: &[Result<Seen, BadImage>], part: Part) -> CheckedPart {
    let mut counts = vec![0; catalog.classes.len()];
    let (mut widths, mut heights, mut grey) = (Vec::new(), Vec::new(), 0);
    for (sample, seen) in catalog.samples.iter().zip(seen) {
        let (true, Ok(seen)) = (sample.part == part, seen) else { continue };
        counts[sample.class as usize] += 1;
        widths.push(seen.width);
        heights.push(seen.height);
        grey += usize::from(seen.grey);
    }
    CheckedPart {
        images: widths.len(),
        classes: catalog.classes.iter().cloned().zip(counts).collect(),
        grey,
        width: Sizes::of(widths),
        height: Sizes::of(heights),
    }
}

impl Sizes {
    fn of(mut sizes: Vec<usize>) -> Self {
        sizes.sort_unstable();
        let at = |index: usize| sizes.get(index).copied().unwrap_or(0);
        Self {
            smallest: at(0),
            median: at(sizes.len().saturating_sub(1) / 2),
            largest: at(sizes.len().saturating_sub(1)),
        }
    }
}

/// Classes that have none or one of the images that can be trained on.
fn rare_classes(parts: &IndexMap<&'static str, CheckedPart>) -> Vec<String> {
    let Some(train) = parts.get(Part::Train.name()) else { return Vec::new() };
    let with = |wanted: usize| {
        let classes = train.classes.iter().filter(|(_, count)| **count == wanted);
        classes.map(|(class, _)| class.as_str()).collect::<Vec<_>>()
    };
    let told = |classes: Vec<&str>, what: &str| {
        const SHOWN: usize = 5;
        let more = if classes.len() > SHOWN { ", …" } else { "" };
        let names = classes.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let count = classes.len();
        (count > 0).then(|| format!("classes with {what} to train on: {count} ({names}{more})"))
    };
    [told(with(0), "no image"), told(with(1), "one image")].into_iter().flatten().collect()
}

/// The names of images with the same pixels of which some are for one thing and some for another.
fn duplicates(
    catalog: &Catalog,
    seen: &[Result<Seen, BadImage>],
    division: &Division,
) -> Vec<Vec<String>> {
    let mut purposes = vec![None; seen.len()];
    let Division { train, held_out, test } = division;
    for (purpose, images) in [train, held_out, test].into_iter().enumerate() {
        images.iter().for_each(|&image| purposes[image] = Some(purpose));
    }
    let mut equal: HashMap<blake3::Hash, Vec<usize>> = HashMap::new();
    for (index, seen) in seen.iter().enumerate() {
        if let Ok(seen) = seen {
            equal.entry(seen.hash).or_default().push(index);
        }
    }
    let is_divided = |group: &Vec<usize>| {
        let purposes = group.iter().filter_map(|&image| purposes[image]);
        purposes.collect::<HashSet<usize>>().len() > 1
    };
    let mut groups: Vec<Vec<usize>> = equal.into_values().filter(is_divided).collect();
    groups.sort();
    let name = |index: usize| catalog.name(&catalog.samples[index]);
    groups.into_iter().map(|group| group.into_iter().map(name).collect()).collect()
}
