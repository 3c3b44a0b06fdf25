//! The parts of a set, and what is held out of training where a set has no part for it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashSet},
};

use rand::{Rng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;
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
    /// A part has images, but none that can be used: what it is for would fall to images that nobody has
    /// meant for it.
    #[error("no image of the {} part can be used", part.name())]
    NoneUsable {
        /// Which part.
        part: Part,
    },
    /// Networks would be judged on classes that they never see in training.
    #[error(
        "class {class}{} has images to choose by or to test on, but none to train on that can be \
         used",
        if *others > 0 { format!(" (and {others} more)") } else { String::new() }
    )]
    Untrained {
        /// The first such class.
        class: String,
        /// How many others there are.
        others: usize,
    },
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
    #[error(
        "`held_out` = {held_out} of [data] leaves none of {images} images{}",
        match tested {
            0 => String::new(),
            _ => format!(", of which {tested} are held out to test on"),
        }
    )]
    TooManyHeldOut {
        /// Images to hold out.
        held_out: usize,
        /// Images of the training part that can be used.
        images: usize,
        /// Images to hold out for testing, where the set has no part to test on either.
        tested: usize,
    },
}

impl DivisionError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoneUsable { part: Part::Train } => {
                "mend its images: there are no others to train on"
            }
            Self::NoneUsable { .. } => {
                "mend its images, or remove the part: then others are used in its place"
            }
            Self::Untrained { .. } => {
                "mend images of the class to train on, add some, or remove it from all parts"
            }
            Self::Nothing { .. } => "more images of each class are needed",
            Self::OneClass { .. } => "at least two classes are needed to tell apart",
            Self::TooManyHeldOut { .. } => "set `held_out` in [data] to fewer",
        }
    }
}

impl Division {
    /// That something can be learned, chosen and tested, with the images that are `usable`.
    ///
    /// # Errors
    ///
    /// Which of it cannot, and why.
    pub fn check(
        &self,
        catalog: &Catalog,
        usable: impl Fn(usize) -> bool,
        wanted: &Wanted,
    ) -> Result<(), DivisionError> {
        let is_lost = |part: &Part| {
            let mut samples = catalog.samples.iter().enumerate();
            catalog.has(*part)
                && !samples.any(|(index, sample)| sample.part == *part && usable(index))
        };
        if let Some(part) = Part::ALL.into_iter().find(is_lost) {
            return Err(DivisionError::NoneUsable { part });
        }
        let has = |part: Part| catalog.count(part) > 0;
        let (both, neither) =
            (has(Part::Validation) && has(Part::Test), !has(Part::Validation) && !has(Part::Test));
        let images = self.train.len()
            + if both { 0 } else { self.held_out.len() }
            + if neither { self.test.len() } else { 0 };
        let class = |image: &usize| catalog.samples[*image].class;
        let first = self.train.first().map(class);
        if let Some(first) = first
            && self.train.iter().all(|image| class(image) == first)
        {
            let class = catalog.classes.get(first as usize).cloned().unwrap_or_default();
            return Err(DivisionError::OneClass { class });
        }
        if let [class, others @ ..] = &self.untrained(catalog, usable)[..] {
            let (class, others) = ((*class).to_owned(), others.len());
            return Err(DivisionError::Untrained { class, others });
        }
        let Wanted { held_out, .. } = *wanted;
        let tested = if neither { wanted.tested() } else { 0 };
        if !both && held_out.saturating_add(tested) >= images {
            return Err(DivisionError::TooManyHeldOut { held_out, images, tested });
        }
        let parts =
            [("train on", &self.train), ("choose by", &self.held_out), ("test on", &self.test)];
        match parts.into_iter().find(|(_, part)| part.is_empty()) {
            Some((purpose, _)) => Err(DivisionError::Nothing { purpose, images }),
            None => Ok(()),
        }
    }

    /// Classes with images to judge on, but no usable one in the training part.
    fn untrained<'a>(&self, catalog: &'a Catalog, usable: impl Fn(usize) -> bool) -> Vec<&'a str> {
        let samples = catalog.samples.iter().enumerate();
        let trained: BTreeSet<u32> = samples
            .filter(|(index, sample)| sample.part == Part::Train && usable(*index))
            .map(|(_, sample)| sample.class)
            .collect();
        let judged = self.held_out.iter().chain(&self.test);
        let judged: BTreeSet<u32> = judged.map(|image| catalog.samples[*image].class).collect();
        let names = judged.difference(&trained).map(|class| &catalog.classes[*class as usize][..]);
        names.collect()
    }
}

/// What a study asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Images that are held out of training where a set has no part for it.
    pub held_out: usize,
    /// Most images of the training part, of every class its share, but at least one; 0: all.
    pub train: usize,
    /// Most images of the part that is tested on, of every class its share; 0: all.
    pub test: usize,
    /// What is drawn depends on it.
    pub seed: u64,
}

impl Wanted {
    /// Images that are held out for testing where a set has neither a test nor a validation part.
    fn tested(&self) -> usize {
        if self.test == 0 { self.held_out } else { self.held_out.min(self.test) }
    }
}

/// What a study uses the parts for, of the images that are `usable`. What is missing is held out of the
/// training part: as many images as are wanted, of every class the same share; a set without a test part is
/// tested on its validation part, one without either on as many images again, or on as many as are wanted
/// for testing where these are fewer.
///
/// At least one image of a class is left to train on: what a class cannot give, others give. Where all
/// together cannot give what is wanted, choosing and testing have to do with less.
pub fn divide(catalog: &Catalog, usable: impl Fn(usize) -> bool, wanted: &Wanted) -> Division {
    let Wanted { held_out, seed, .. } = *wanted;
    let of = |part: Part, most: usize| -> Vec<usize> {
        let samples = catalog.samples.iter().enumerate();
        let of_part = samples.filter(|(index, sample)| sample.part == part && usable(*index));
        let images: Vec<usize> = of_part.map(|(index, _)| index).collect();
        let beyond = if most == 0 { 0 } else { images.len().saturating_sub(most) };
        let kept = if part == Part::Train { shares } else { shares_of_judged };
        hold_out_by(kept, catalog, images, beyond, (seed, "left out")).0
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
            let tested = tested_of(most_held_out(catalog, &train), wanted);
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

/// How many images are tested on where both these and those to choose by are held out, at most so many in
/// all. Where that is too few for both, either lacks its share.
fn tested_of(most: usize, wanted: &Wanted) -> usize {
    let [tested, most] = [wanted.tested() as f64, most as f64];
    let all = tested + wanted.held_out as f64;
    if all <= most { wanted.tested() } else { (tested * most / all).round() as usize }
}

/// How many of the images can be held out: of every class all but one.
fn most_held_out(catalog: &Catalog, images: &[usize]) -> usize {
    let classes: HashSet<u32> = images.iter().map(|image| catalog.samples[*image].class).collect();
    images.len() - classes.len()
}

/// Takes `count` of the images out, and leaves one of each class; both lists keep their order.
fn hold_out(
    catalog: &Catalog,
    images: Vec<usize>,
    count: usize,
    seed: u64,
    purpose: &str,
) -> (Vec<usize>, Vec<usize>) {
    hold_out_by(shares, catalog, images, count, (seed, purpose))
}

/// Takes `count` of the images out, of each class as many as `shares` says; both lists keep their order.
fn hold_out_by(
    shares: fn(&[usize], usize, &mut Pcg64Mcg) -> Vec<usize>,
    catalog: &Catalog,
    images: Vec<usize>,
    count: usize,
    (seed, purpose): (u64, &str),
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
    let sizes: Vec<usize> = of_class.iter().map(Vec::len).collect();
    let shares = shares(&sizes, count, &mut rng);
    let mut is_out = vec![false; catalog.samples.len()];
    for (members, share) in of_class.iter().zip(shares) {
        members[..share].iter().for_each(|&index| is_out[index] = true);
    }
    images.into_iter().partition(|&index| !is_out[index])
}

/// How many images each class gives, of classes that have so many: `count` in all, or as many as there are
/// if every class keeps one.
fn shares(sizes: &[usize], count: usize, rng: &mut Pcg64Mcg) -> Vec<usize> {
    let shares = shares_of_images(sizes, count);
    let is_given = |(share, size): (&usize, &usize)| *share == 0 || share < size;
    if shares.iter().zip(sizes).all(is_given) {
        return shares;
    }
    let most: Vec<usize> = sizes.iter().map(|size| size.saturating_sub(1)).collect();
    shares_of_most(&most, count, rng)
}

/// The same for images that are judged on alone: no class has to keep one.
fn shares_of_judged(sizes: &[usize], count: usize, _: &mut Pcg64Mcg) -> Vec<usize> {
    shares_of_images(sizes, count)
}

/// The same share of the images of each class, be it all of them. What rounding leaves of one class is added
/// to the next.
fn shares_of_images(sizes: &[usize], count: usize) -> Vec<usize> {
    let images: usize = sizes.iter().sum();
    let share = count.min(images) as f64 / images.max(1) as f64;
    let (mut seen, mut taken) = (0, 0);
    let share_of = |size: &usize| {
        seen += *size;
        let due = (seen as f64 * share).round() as usize - taken;
        taken += due;
        due
    };
    sizes.iter().map(share_of).collect()
}

/// The same share of what each class can give at most, rounded by the method of the largest remainder.
fn shares_of_most(most: &[usize], count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let total: usize = most.iter().sum();
    let count = count.min(total);
    let quota = |most: &usize| most * count / total.max(1);
    let mut shares: Vec<usize> = most.iter().map(quota).collect();
    let left = count - shares.iter().sum::<usize>();
    let mut classes: Vec<usize> = (0..most.len()).collect();
    // Of equal remainders chance decides, not which class is the first by name.
    classes.shuffle(rng);
    classes.sort_by_key(|&class| Reverse(most[class] * count % total.max(1)));
    classes[..left].iter().for_each(|&class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images in one part, so many of each class.
    fn catalog(part: Part, sizes: &[usize]) -> Catalog {
        let classes = (0..sizes.len()).map(|class| class.to_string()).collect();
        let labels: Vec<u32> =
            (0..).zip(sizes).flat_map(|(class, size)| vec![class; *size]).collect();
        let pixels = vec![0; labels.len()];
        Catalog::in_memory("made", classes, [1, 1, 1], vec![(part, pixels, labels)])
    }

    fn wanted(held_out: usize, train: usize, test: usize) -> Wanted {
        Wanted { held_out, train, test, seed: 3 }
    }

    /// As the first version divided: what studies have trained on stays what they train on.
    #[test]
    fn sets_whose_classes_can_give_their_shares_are_divided_as_ever() {
        let catalog = catalog(Part::Train, &[7, 13, 20, 4]);
        let all = divide(&catalog, |_| true, &wanted(6, 0, 0));
        let train = [
            1, 2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 27, 29, 31,
            32, 33, 34, 36, 37, 39, 40, 41, 42,
        ];
        assert_eq!(all.train, train);
        assert_eq!(
            (all.held_out, all.test),
            (vec![38, 12, 28, 0, 23, 8], vec![35, 43, 10, 11, 4, 30])
        );
        let fewer = divide(&catalog, |_| true, &wanted(6, 30, 4));
        let train = [1, 2, 5, 9, 12, 16, 17, 18, 19, 20, 22, 23, 30, 32, 33, 34, 35, 38, 42, 43];
        assert_eq!(fewer.train, train);
        assert_eq!(
            (fewer.held_out, fewer.test),
            (vec![40, 13, 36, 0, 28, 10], vec![6, 31, 14, 27])
        );
        let mut rng = random::generator(0, &["test"]);
        assert_eq!(shares(&[7, 13, 40, 2, 0, 5], 9, &mut rng), [1, 2, 5, 0, 0, 1]);
    }

    #[test]
    fn fewer_images_than_classes_are_judged_where_so_many_are_wanted() {
        let mut set = catalog(Part::Train, &[3; 20]);
        set.samples.extend(catalog(Part::Test, &[2; 20]).samples);
        let Division { train, test, .. } = divide(&set, |_| true, &wanted(5, 0, 8));
        assert_eq!((train.len(), test.len()), (60 - 5, 8));
    }

    #[test]
    fn what_classes_cannot_give_others_give() {
        let mut sizes = vec![1; 300];
        sizes.push(200);
        let counts = |sizes: &[usize], wanted: &Wanted| {
            let catalog = catalog(Part::Train, sizes);
            let division = divide(&catalog, |_| true, wanted);
            assert_eq!(divide(&catalog, |_| true, wanted), division);
            assert_eq!(division.check(&catalog, |_| true, wanted), Ok(()));
            let classes: HashSet<u32> =
                division.train.iter().map(|image| catalog.samples[*image].class).collect();
            assert_eq!(classes.len(), sizes.len(), "each keeps one to train on");
            [division.train.len(), division.held_out.len(), division.test.len()]
        };
        assert_eq!(counts(&sizes, &wanted(60, 0, 0)), [380, 60, 60]);
        // All but one of 200 are fewer than are wanted.
        assert_eq!(counts(&sizes, &wanted(100, 0, 0)), [301, 99, 100]);
        assert_eq!(counts(&sizes, &wanted(150, 0, 50)), [301, 149, 50]);
        let share = |sizes: &[usize], count: usize| {
            shares(sizes, count, &mut random::generator(1, &["test"]))
        };
        assert_eq!(share(&[1, 1, 1, 41, 61], 60), [0, 0, 0, 24, 36]);
        // Quotas of 24.4 and 35.6.
        assert_eq!(share(&[1, 1, 1, 42, 61], 60), [0, 0, 0, 24, 36]);
        assert_eq!(share(&[3, 0, 1, 2], 9), [2, 0, 0, 1]);
        assert_eq!(share(&[2; 40], 79), [1; 40]);
        // Chance, not the alphabet, says which of many equal classes give one more.
        let first: usize = shares_of_most(&[1; 100], 20, &mut random::generator(1, &["test"]))
            .iter()
            .take(20)
            .sum();
        assert!(first < 12, "{first}");
    }

    #[test]
    fn what_can_be_held_out_is_not_refused() {
        let check = |catalog: &Catalog, wanted: Wanted| {
            divide(catalog, |_| true, &wanted).check(catalog, |_| true, &wanted)
        };
        let set = catalog(Part::Train, &[20, 20]);
        assert_eq!(check(&set, wanted(30, 0, 2)), Ok(()));
        let refused = check(&set, wanted(30, 0, 10)).unwrap_err().to_string();
        let rest = "leaves none of 40 images, of which 10 are held out to test on";
        assert_eq!(refused, format!("`held_out` = 30 of [data] {rest}"));
        let mut whole = catalog(Part::Train, &[20, 20]);
        for part in [Part::Validation, Part::Test] {
            whole.samples.extend(catalog(part, &[1, 1]).samples);
        }
        assert_eq!(check(&whole, wanted(usize::MAX, 0, 0)), Ok(()), "nothing is held out");
    }

    #[test]
    fn parts_and_classes_are_not_lost_in_silence() {
        let mut set = catalog(Part::Train, &[3, 3, 3]);
        set.samples.extend(catalog(Part::Test, &[1, 1, 1]).samples);
        let check = |set: &Catalog, bad: &[usize]| {
            let (usable, wanted) = (|image: usize| !bad.contains(&image), wanted(1, 0, 0));
            divide(set, usable, &wanted).check(set, usable, &wanted).map_err(|error| {
                assert!(!error.hint().is_empty());
                error.to_string()
            })
        };
        assert_eq!(check(&set, &[0, 4, 9]), Ok(()));
        let lost = |part: &str| Err(format!("no image of the {part} part can be used"));
        assert_eq!(check(&set, &[9, 10, 11]), lost("test"));
        assert_eq!(check(&set, &[0, 1, 2, 3, 4, 5, 6, 7, 8]), lost("train"));
        let untrained = |named: &str| {
            let rest =
                "has images to choose by or to test on, but none to train on that can be used";
            Err(format!("class {named} {rest}"))
        };
        assert_eq!(check(&set, &[3, 4, 5]), untrained("1"));
        assert_eq!(check(&set, &[3, 4, 5, 10]), Ok(()), "nothing is judged on it");
        set.samples.extend(catalog(Part::Train, &[0, 0, 0, 2]).samples);
        set.classes.push("3".into());
        assert_eq!(check(&set, &[0, 1, 2, 3, 4, 5]), untrained("0 (and 1 more)"));
        // Such as samples of shards that have no label.
        set.samples.truncate(9);
        set.add(Part::Test, Ok(9), set.samples[0].place.clone(), "unlabelled".into());
        assert_eq!(check(&set, &[]), lost("test"));
    }
}
