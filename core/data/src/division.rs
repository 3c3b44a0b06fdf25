//! The parts of a set, and what is held out of training where a set has no part for it.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use spacewright_core::random;
use thiserror::Error;

use crate::catalog::Catalog;

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Images to train on.
    Train,
    /// Images to choose by.
    Validation,
    /// Images that no choice depends on.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The part that people give this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" | "t10k" => Some(Self::Test),
            _ => None,
        }
    }

    /// Its first name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Which images a study uses for what: positions among the samples of a catalog. Those that are judged on
/// are in random order, so that any number of the first ones stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// Trained on.
    pub train: Vec<usize>,
    /// Judged on while choosing, never trained on.
    pub held_out: Vec<usize>,
    /// Judged on at the end, by no choice.
    pub test: Vec<usize>,
}

/// Why a study cannot use a set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DivisionError {
    /// There is nothing to train on, to choose by, or to test on.
    #[error(
        "there are no images to {purpose}: of {images} in the training part, of every class one stays \
         to train on"
    )]
    Nothing {
        /// What for.
        purpose: &'static str,
        /// Images of the training part that can be used.
        images: usize,
    },
    /// All images to train on are of one class.
    #[error("all training images are of class {class}")]
    OneClass {
        /// Its name.
        class: String,
    },
    /// More is held out than there is.
    #[error("`held_out` = {held_out} of [data] leaves none of {images} images{}", if *twice { ", of which as many are held out to test on" } else { "" })]
    TooManyHeldOut {
        /// Images to hold out.
        held_out: usize,
        /// Images of the training part that can be used.
        images: usize,
        /// Whether the set has no part to test on either.
        twice: bool,
    },
}

impl Division {
    /// That something can be learned, chosen and tested.
    ///
    /// # Errors
    ///
    /// Which of it cannot, and why.
    pub fn check(&self, catalog: &Catalog, wanted: &Wanted) -> Result<(), DivisionError> {
        let has = |part: Part| catalog.count(part) > 0;
        let (both, twice) =
            (has(Part::Validation) && has(Part::Test), !has(Part::Validation) && !has(Part::Test));
        let images = self.train.len()
            + if both { 0 } else { self.held_out.len() }
            + if twice { self.test.len() } else { 0 };
        let class = |image: &usize| catalog.samples[*image].class;
        let first = self.train.first().map(class);
        if let Some(first) = first
            && self.train.iter().all(|image| class(image) == first)
        {
            let class = catalog.classes.get(first as usize).cloned().unwrap_or_default();
            return Err(DivisionError::OneClass { class });
        }
        let Wanted { held_out, .. } = *wanted;
        if !both && held_out * (1 + usize::from(twice)) >= images {
            return Err(DivisionError::TooManyHeldOut { held_out, images, twice });
        }
        let parts =
            [("train on", &self.train), ("choose by", &self.held_out), ("test on", &self.test)];
        match parts.into_iter().find(|(_, part)| part.is_empty()) {
            Some((purpose, _)) => Err(DivisionError::Nothing { purpose, images }),
            None => Ok(()),
        }
    }
}

/// What a study asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Images that are held out of training where a set has no part for it.
    pub held_out: usize,
    /// Most images of the training part, of every class its share; 0: all.
    pub train: usize,
    /// Most images of the part that is tested on, of every class its share; 0: all.
    pub test: usize,
    /// What is drawn depends on it.
    pub seed: u64,
}

/// What a study uses the parts for, of the images that are `usable`. What is missing is held out of the
/// training part: of every class the same share, as many images as are wanted or a few less; a set without a
/// test part is tested on its validation part, one without either on as many images again, or on as many as are wanted
/// for testing where these are fewer.
///
/// At least one image of a class is left to train on.
pub fn divide(catalog: &Catalog, usable: impl Fn(usize) -> bool, wanted: &Wanted) -> Division {
    let Wanted { held_out, seed, .. } = *wanted;
    let of = |part: Part, most: usize| -> Vec<usize> {
        let samples = catalog.samples.iter().enumerate();
        let of_part = samples.filter(|(index, sample)| sample.part == part && usable(*index));
        let images: Vec<usize> = of_part.map(|(index, _)| index).collect();
        let beyond = if most == 0 { 0 } else { images.len().saturating_sub(most) };
        hold_out(catalog, images, beyond, seed, "left out").0
    };
    let (train, test) = (of(Part::Train, wanted.train), of(Part::Test, wanted.test));
    let validation = of(Part::Validation, if test.is_empty() { wanted.test } else { 0 });
    let mut division = match (validation.is_empty(), test.is_empty()) {
        (false, false) => Division { train, held_out: validation, test },
        (true, false) | (false, true) => {
            let (train, held_out) = hold_out(catalog, train, held_out, seed, "held out");
            Division { train, held_out, test: if test.is_empty() { validation } else { test } }
        }
        (true, true) => {
            let tested = if wanted.test == 0 { held_out } else { held_out.min(wanted.test) };
            let (train, test) = hold_out(catalog, train, tested, seed, "test");
            let (train, held_out) = hold_out(catalog, train, held_out, seed, "held out");
            Division { train, held_out, test }
        }
    };
    // The first ones of a set that is sorted by class say little about the others.
    division.held_out.shuffle(&mut random::generator(seed, &["data", "order of held out"]));
    division.test.shuffle(&mut random::generator(seed, &["data", "order of test"]));
    division
}

/// Takes `count` of the images out, of every class its share, and leaves one of each class; both lists
/// keep their order. Where all shares fall to classes of one image, the other classes share alone.
fn hold_out(
    catalog: &Catalog,
    images: Vec<usize>,
    count: usize,
    seed: u64,
    purpose: &str,
) -> (Vec<usize>, Vec<usize>) {
    if count == 0 {
        return (images, Vec::new());
    }
    let mut of_class = vec![Vec::new(); catalog.classes.len()];
    for &index in &images {
        of_class[catalog.samples[index].class as usize].push(index);
    }
    let mut rng = random::generator(seed, &["data", purpose]);
    of_class.iter_mut().for_each(|members| members.shuffle(&mut rng));
    let mut out = shares(&of_class, count);
    if out.is_empty() {
        of_class.retain(|members| members.len() > 1);
        out = shares(&of_class, count);
    }
    let mut is_out = vec![false; catalog.samples.len()];
    out.into_iter().for_each(|index| is_out[index] = true);
    images.into_iter().partition(|&index| !is_out[index])
}

/// `count` of the images of all classes, or a few less, of every class its share, and never its last image.
fn shares(of_class: &[Vec<usize>], count: usize) -> Vec<usize> {
    let images: usize = of_class.iter().map(Vec::len).sum();
    let share = count.min(images) as f64 / images.max(1) as f64;
    let (mut seen, mut taken) = (0, 0);
    let mut out = Vec::new();
    for members in of_class {
        // What rounding leaves of one class is added to the next; what a class cannot give is not.
        seen += members.len();
        let due = (seen as f64 * share).round() as usize - taken;
        taken += due;
        out.extend(&members[..due.min(members.len().saturating_sub(1))]);
    }
    out
}
