//! Where the images of a study come from: listed when classes are asked for, looked through when a step
//! needs them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use spacewright_core::data::{StudyImages, Transform};
use spacewright_data::{
    Catalog, CatalogImages, Division, Kept, Part, SURVEY_VERSION, Survey, SurveyFiles, Values,
    Wanted, divide, idx, open,
};

use super::{
    content,
    settings::{DataKind, DataSettings, OnBadImage},
    synthetic,
};
use crate::{
    engine::Once,
    error::{EngineError, Result},
    home,
};

/// What a network needs to know of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// What the classes are called.
    pub classes: Vec<String>,
}

/// The images of a study, read when they are first asked for.
pub struct StudyData {
    settings: DataSettings,
    /// Folder of the study.
    folder: PathBuf,
    /// What all studies share.
    home: PathBuf,
    /// What is kept of sets, in the home.
    cache: PathBuf,
    seed: u64,
    catalog: Once<Arc<Catalog>>,
    content: Once<String>,
    images: Once<StudyImages>,
}

/// What Fashion-MNIST's classes are called (github.com/zalandoresearch/fashion-mnist).
const CLOTHES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

impl StudyData {
    /// The images of a study in a folder; `home` takes what is kept of them.
    pub fn new(settings: DataSettings, folder: PathBuf, home: &Path, seed: u64) -> Self {
        let (home, cache) = (home.to_owned(), home.join("cache/images"));
        let (catalog, content, images) = Default::default();
        Self { settings, folder, home, cache, seed, catalog, content, images }
    }

    /// Channels and classes. Of a set that is known by its name nothing is read.
    pub fn described(&self) -> Result<Described> {
        let known = |classes: Vec<String>| Ok(Described { channels: 1, classes });
        match (self.settings.path.is_empty(), self.settings.set) {
            (true, DataKind::FashionMnist) => known(CLOTHES.map(str::to_owned).into()),
            (true, DataKind::Synthetic) => known(synthetic::classes()),
            (false, _) => {
                let catalog = self.catalog()?;
                Ok(Described {
                    channels: self.channels(&catalog),
                    classes: catalog.classes.clone(),
                })
            }
        }
    }

    fn channels(&self, catalog: &Catalog) -> usize {
        match self.settings.channels {
            0 => catalog.channels().unwrap_or(3),
            given => given,
        }
    }

    /// What there is of the set.
    pub fn catalog(&self) -> Result<Arc<Catalog>> {
        self.catalog.get(|| {
            let DataSettings { set, path, layout, train_images, test_images, .. } = &self.settings;
            let catalog = match (path.is_empty(), set) {
                (true, DataKind::Synthetic) => synthetic::catalog(*train_images, *test_images),
                (true, DataKind::FashionMnist) => self.fashion_mnist()?,
                (false, _) => {
                    let layout = (!layout.is_empty()).then_some(layout.as_str());
                    open(&[self.folder.join(path)], layout)?
                }
            };
            Ok(Arc::new(catalog))
        })
    }

    fn fashion_mnist(&self) -> Result<Catalog> {
        let hint = "run `cargo xtask setup`, or set SPACEWRIGHT_DATA";
        let missing = |message: String| EngineError::study(message).with_hint(hint);
        let folder = fashion_mnist_folder()
            .ok_or_else(|| missing("the data set fashion-mnist is missing".into()))?;
        if idx::files(&folder).map_err(|error| missing(error.to_string()))?.len() < 4 {
            return Err(missing(format!("{}: not all files are there", folder.display())));
        }
        let mut catalog = open(&[folder], Some("idx"))?;
        catalog.classes = CLOTHES.map(str::to_owned).into();
        Ok(catalog)
    }

    /// What identifies the images: settings and content, but not where they lie.
    pub fn fingerprint(&self) -> Result<String> {
        let DataSettings { held_out, train_images, test_images, .. } = &self.settings;
        let as_text = |error: serde_json::Error| EngineError::study(error.to_string());
        let transforms =
            serde_json::to_string(&(self.settings.judging(), self.settings.training()))
                .map_err(as_text)?;
        let channels = self.described()?.channels;
        let content = self.content()?;
        Ok(format!("{content} {channels} {held_out} {train_images} {test_images} {transforms}"))
    }

    fn content(&self) -> Result<String> {
        self.content.get(|| match (self.settings.path.is_empty(), self.settings.set) {
            (true, DataKind::Synthetic) => Ok(synthetic::VERSION.to_owned()),
            _ => {
                home::make(&self.home)?;
                content::hash(self.catalog()?.as_ref(), &self.cache)
            }
        })
    }

    /// Bytes of decoded images that are kept in the home.
    pub fn kept_bytes(&self) -> Result<u64> {
        let samples = self.catalog()?.samples.len();
        Ok(self.survey_files()?.read(samples).map_or(0, |(survey, _)| survey.kept_bytes()))
    }

    /// The images, once each was looked at; `progress` is told how many of how many were, and says whether
    /// to go on.
    pub fn images(&self, progress: impl Fn(usize, usize) -> bool + Sync) -> Result<StudyImages> {
        self.images.get(|| {
            let catalog = self.catalog()?;
            let (survey, kept) = match catalog.is_encoded() {
                true => {
                    self.survey(&catalog, &progress).map(|(survey, kept)| (Some(survey), kept))?
                }
                false => (None, None),
            };
            self.check_bad(&catalog, survey.as_ref())?;
            let Division { train, held_out, test } = self.division(&catalog, survey.as_ref())?;
            let channels = self.channels(&catalog);
            let judging = self.judging(&catalog, survey.as_ref(), channels);
            Ok(StudyImages {
                all: Arc::new(CatalogImages::new(catalog, kept, channels)),
                train: train.into(),
                held_out: held_out.into(),
                test: test.into(),
                judging: judging.into(),
                training: self.settings.training().into(),
            })
        })
    }

    /// What is known of each image; they are looked through where that is not known yet.
    fn survey(
        &self,
        catalog: &Catalog,
        progress: &(impl Fn(usize, usize) -> bool + Sync),
    ) -> Result<(Survey, Option<Kept>)> {
        let files = self.survey_files()?;
        if let Some(known) = files.read(catalog.samples.len()) {
            return Ok(known);
        }
        let most = self.most_kept_bytes();
        let survey = files.make(catalog, most, progress)?.ok_or_else(EngineError::cancelled)?;
        let kept = files.read(catalog.samples.len()).and_then(|(_, kept)| kept);
        Ok((survey, kept))
    }

    fn survey_files(&self) -> Result<SurveyFiles> {
        let name = format!("{}-{SURVEY_VERSION}", self.content()?);
        Ok(SurveyFiles::new(&self.cache, &name))
    }

    fn most_kept_bytes(&self) -> u64 {
        const GIGABYTE: f64 = 1e9;
        const MOST: f64 = 20.0 * GIGABYTE;
        let bytes = match self.settings.keep_decoded {
            given if given >= 0.0 => given * GIGABYTE,
            _ => (memory().unwrap_or(4.0 * GIGABYTE) / 2.0).min(MOST),
        };
        bytes as u64
    }

    /// Stops at images that cannot be used, or says how many there are.
    fn check_bad(&self, catalog: &Catalog, survey: Option<&Survey>) -> Result<()> {
        let mut bad: Vec<String> = catalog.refused.iter().map(ToString::to_string).collect();
        bad.extend(survey.iter().flat_map(|survey| survey.bad.iter().cloned()));
        let Some(first) = bad.first() else { return Ok(()) };
        let count = bad.len();
        if self.settings.on_bad_image == OnBadImage::Skip {
            tracing::warn!("{count} images cannot be used and are left out, {first} first");
            return Ok(());
        }
        const SHOWN: usize = 20;
        let mut shown: Vec<String> = bad.into_iter().take(SHOWN).collect();
        if count > SHOWN {
            shown.push(format!("and {} more", count - SHOWN));
        }
        let message = match count {
            1 => format!("an image cannot be used: {}", shown.join("")),
            _ => format!("{count} images cannot be used:\n  {}", shown.join("\n  ")),
        };
        let hint = "mend or remove them, or set `on_bad_image = \"skip\"` in [data]; \
                    `spacewright data check` lists all";
        Err(EngineError::study(message).with_hint(hint))
    }

    fn division(&self, catalog: &Catalog, survey: Option<&Survey>) -> Result<Division> {
        let DataSettings { held_out, train_images, test_images, .. } = self.settings;
        let wanted = Wanted { held_out, train: train_images, test: test_images, seed: self.seed };
        let usable = |image: usize| survey.is_none_or(|survey| survey.is_usable(image));
        let division = divide(catalog, usable, &wanted);
        let refused = |message: String, hint: &str| {
            Err(EngineError::study(message).with_hint(hint.to_owned()))
        };
        let parts = [
            ("train", &division.train),
            ("hold out", &division.held_out),
            ("test", &division.test),
        ];
        let taken = division.train.len() + division.held_out.len();
        let has_part = catalog.count(Part::Validation) > 0;
        if held_out >= taken && !has_part {
            let message =
                format!("`held_out` = {held_out} of [data] leaves none of {taken} images");
            return refused(message, "hold out fewer, or raise `train_images`");
        }
        if let Some((what, _)) = parts.iter().find(|(_, images)| images.is_empty()) {
            let hint = "of every class one image stays to train on: more images are needed";
            return refused(format!("there are no images to {what}"), hint);
        }
        let class = |image: &usize| catalog.samples[*image].class;
        let first = class(&division.train[0]);
        if division.train.iter().all(|image| class(image) == first) {
            let name = &catalog.classes[first as usize];
            let message = format!("all training images are of class {name}");
            return refused(message, "at least two classes are needed to tell apart");
        }
        Ok(division)
    }

    /// How images are judged, with the mean and deviation of the training images where they are asked for.
    fn judging(
        &self,
        catalog: &Catalog,
        survey: Option<&Survey>,
        channels: usize,
    ) -> Vec<Transform> {
        let mut judging = self.settings.judging();
        let normalize = match judging.last_mut() {
            Some(Transform::Normalize(normalize)) => normalize,
            _ => return judging,
        };
        if normalize.mean.is_empty() || normalize.std.is_empty() {
            let values = survey.map(|survey| survey.values);
            let values = values.unwrap_or_else(|| Values::of_catalog(catalog));
            let (mean, std) = values.mean_and_std(channels);
            if normalize.mean.is_empty() {
                normalize.mean = mean;
            }
            if normalize.std.is_empty() {
                normalize.std = std;
            }
        }
        judging
    }
}

fn fashion_mnist_folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("SPACEWRIGHT_DATA") {
        return Some(PathBuf::from(folder).join("fashion-mnist"));
    }
    let program = env::current_exe().unwrap_or_default();
    let mut places = program.ancestors().skip(1).map(|place| place.join(".deps/fashion-mnist"));
    places.find(|folder| folder.is_dir())
}

/// The machine's memory in bytes, where the system tells it.
fn memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kilobytes)
}
