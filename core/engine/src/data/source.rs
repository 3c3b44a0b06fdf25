//! Where the images of a study come from: listed when classes are asked for, looked through when a step
//! needs them.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rayon::ThreadPoolBuilder;
use spacewright_core::data::{StudyImages, Transform};
use spacewright_data::{
    Catalog, CatalogImages, DataError, Division, Kept, Part, Pipeline, SURVEY_VERSION, Survey,
    SurveyFiles, Values, Wanted, divide, idx, open,
};

use super::{
    content,
    settings::{DataKind, DataSettings, OnBadImage},
    synthetic,
};
use crate::{
    engine::Once,
    error::{AtPath as _, EngineError, Result},
    home,
    lock::Lock,
    room,
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
    /// How many threads look images through.
    threads: usize,
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
    /// The images of a study in a folder, looked through by one thread; `home` takes what is kept of them.
    pub fn new(settings: DataSettings, folder: PathBuf, home: &Path, seed: u64) -> Self {
        let (home, cache) = (home.to_owned(), home.join("cache/images"));
        let (catalog, content, images) = Default::default();
        Self { settings, folder, home, cache, seed, threads: 1, catalog, content, images }
    }

    /// The same, looked through by so many threads.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
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

    /// The images, once each was looked at, for networks whose inputs have these sides, in pixels. Those to train on
    /// have to suit what sections, by name, have as `augment` of their own, too, at each of the sides. `progress` is
    /// told how many of how many were looked at, and says whether to go on.
    pub fn images(
        &self,
        sides: &[usize],
        of_sections: &[(&str, Vec<Transform>)],
        progress: impl Fn(usize, usize) -> bool + Sync,
    ) -> Result<StudyImages> {
        self.images.get(|| {
            let catalog = self.catalog()?;
            let (survey, kept) = match catalog.is_encoded() {
                true => {
                    self.survey(&catalog, &progress).map(|(survey, kept)| (Some(survey), kept))?
                }
                false => (None, None),
            };
            let survey = survey.as_ref();
            let channels = self.channels(&catalog);
            let judging = self.judging(&catalog, survey, channels);
            let training = self.settings.training();
            let mut bad: Vec<String> = catalog.refused.iter().map(ToString::to_string).collect();
            bad.extend(survey.iter().flat_map(|survey| survey.bad(&catalog)));
            let lists = [("transforms", &judging[..]), ("augment", &training[..])];
            let (usable, of_other_sizes) = usable(&catalog, survey, (channels, lists), sides)?;
            bad.extend(of_other_sizes);
            self.check_bad(&bad)?;
            catalog.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
            let Division { train, held_out, test } = self.division(&catalog, &usable)?;
            check_sections(&catalog, survey, (channels, of_sections), sides, &train)?;
            Ok(StudyImages {
                all: Arc::new(CatalogImages::new(catalog, kept, channels)),
                train: train.into(),
                held_out: held_out.into(),
                test: test.into(),
                judging: judging.into(),
                training: training.into(),
            })
        })
    }

    /// What is known of each image; they are looked through where that is not known yet, or where more of
    /// their pixels may be kept than are. One process does it, others wait.
    fn survey(
        &self,
        catalog: &Catalog,
        progress: &(impl Fn(usize, usize) -> bool + Sync),
    ) -> Result<(Survey, Option<Kept>)> {
        let (files, most) = (self.survey_files()?, self.most_kept_bytes());
        let known = || {
            let (survey, kept) = files.read(catalog.samples.len())?;
            (kept.is_some() || survey.decoded_bytes() > most).then_some((survey, kept))
        };
        let _lock = loop {
            if let Some(known) = known() {
                return Ok(known);
            }
            fs::create_dir_all(&self.cache).at(&self.cache)?;
            match Lock::try_take(&self.cache.join(format!("{}.lock", self.content()?)))? {
                Some(lock) => break lock,
                None if !progress(0, catalog.samples.len()) => {
                    return Err(EngineError::cancelled());
                }
                None => std::thread::sleep(Duration::from_millis(200)),
            }
        };
        // Another process may have ended it since.
        if let Some(known) = known() {
            return Ok(known);
        }
        let make = || files.make(catalog, most, progress);
        // Where there can be no threads of its own, those that there are do it.
        let made = match ThreadPoolBuilder::new().num_threads(self.threads).build() {
            Ok(pool) => pool.install(make),
            Err(_) => make(),
        };
        let survey = made?.ok_or_else(EngineError::cancelled)?;
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
        // More than the disk holds would fill it, and be decoded in vain each time.
        (bytes as u64).min(room::to_spare(&self.cache).unwrap_or(u64::MAX))
    }

    /// Stops at images that cannot be used, or says how many there are.
    fn check_bad(&self, bad: &[String]) -> Result<()> {
        let (Some(first), count) = (bad.first(), bad.len()) else { return Ok(()) };
        if self.settings.on_bad_image == OnBadImage::Skip {
            tracing::warn!(
                "left out, since they cannot be used: {count}, of which the first: {first}"
            );
            return Ok(());
        }
        const SHOWN: usize = 20;
        let mut shown: Vec<String> = bad.iter().take(SHOWN).cloned().collect();
        if count > SHOWN {
            shown.push(format!("and {} more", count - SHOWN));
        }
        let message = match count {
            1 => format!("an image cannot be used: {}", shown.join("")),
            _ => format!("{count} images cannot be used:\n  {}", shown.join("\n  ")),
        };
        let hint = "mend or remove them, or leave them out: `on_bad_image = \"skip\"` in [data] of a study, \
                    `--skip-bad-images` elsewhere; `spacewright data check` lists all that cannot be decoded";
        Err(EngineError::study(message).with_hint(hint))
    }

    /// That the set is there and can be divided as the study asks, as if all of its images could be used.
    pub fn check(&self) -> Result<()> {
        let catalog = self.catalog()?;
        self.division(&catalog, &vec![true; catalog.samples.len()]).map(drop)
    }

    fn division(&self, catalog: &Catalog, usable: &[bool]) -> Result<Division> {
        let DataSettings { held_out, train_images, test_images, .. } = self.settings;
        let wanted = Wanted { held_out, train: train_images, test: test_images, seed: self.seed };
        let usable = |image: usize| usable[image];
        let division = divide(catalog, usable, &wanted);
        division.check(catalog, usable, &wanted).map_err(|error| {
            let hint = error.hint();
            EngineError::study(error.to_string()).with_source(error).with_hint(hint)
        })?;
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

/// Which images can be used, and of those that decode, which the transforms refuse at one of the sides,
/// by their sizes. The first list of transforms is for all images, the second one for those to train on.
fn usable(
    catalog: &Catalog,
    survey: Option<&Survey>,
    (channels, transforms): (usize, [(&str, &[Transform]); 2]),
    sides: &[usize],
) -> Result<(Vec<bool>, Vec<String>)> {
    let mut pipelines = Vec::new();
    for (field, transforms) in transforms {
        let pipeline = Pipeline::new(transforms, channels).map_err(DataError::from)?;
        pipelines.push((field, pipeline));
    }
    let refused = |size: [usize; 2], trains: bool| {
        let pipelines = if trains { &pipelines[..] } else { &pipelines[..1] };
        let mut all = sides.iter().flat_map(|side| pipelines.iter().map(move |one| (side, one)));
        all.find_map(|(side, (field, pipeline))| {
            let problem = pipeline.check_size(size, *side).err()?;
            Some(format!("{problem} (`{field}` of [data])"))
        })
    };
    let (mut by_size, mut usable, mut bad) = (HashMap::new(), Vec::new(), Vec::new());
    for (position, sample) in catalog.samples.iter().enumerate() {
        let size = survey.map_or_else(|| catalog.size(sample), |survey| survey.size(position));
        let trains = sample.part == Part::Train;
        let problem = size.and_then(|size| {
            by_size.entry((size, trains)).or_insert_with(|| refused(size, trains)).clone()
        });
        usable.push(size.is_some() && problem.is_none());
        bad.extend(problem.map(|problem| format!("{}: {problem}", catalog.named(sample))));
    }
    Ok((usable, bad))
}

/// That these images suit what sections have as `augment`, at every side: at which of them a section trains is
/// known to its steps alone.
fn check_sections(
    catalog: &Catalog,
    survey: Option<&Survey>,
    (channels, of_sections): (usize, &[(&str, Vec<Transform>)]),
    sides: &[usize],
    images: &[usize],
) -> Result<()> {
    for (section, transforms) in of_sections {
        let pipeline = Pipeline::new(transforms, channels).map_err(DataError::from)?;
        let mut sizes = HashSet::new();
        for &image in images {
            let sample = &catalog.samples[image];
            let size = survey.map_or_else(|| catalog.size(sample), |survey| survey.size(image));
            let Some(size) = size.filter(|size| sizes.insert(*size)) else { continue };
            let problem = sides.iter().find_map(|side| pipeline.check_size(size, *side).err());
            if let Some(problem) = problem {
                let named = catalog.named(sample);
                let message = format!("{named}: {problem} (`augment` of [{section}])");
                let hint = "it must suit all images to train on that those of [data] suit, at every \
                            resolution of the hyperspace";
                return Err(EngineError::study(message).with_hint(hint));
            }
        }
    }
    Ok(())
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
