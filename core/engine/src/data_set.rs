//! The images of a study: where they are, what identifies them, and reading them.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::{DataSet, ImageSet},
    space::Hyperspace,
    study::{FieldError, Section},
};
use spacewright_data::{
    Layout as _, Part, Pixels,
    idx::{self, Idx},
};

use crate::{
    error::{EngineError, Result},
    hash, synthetic,
};

/// A kind of data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// 60,000 + 10,000 grey images of clothes.
    #[default]
    FashionMnist,
    /// Four IDX files in a folder.
    Idx,
    /// Small drawn patterns.
    Synthetic,
}

/// Images to train and to judge on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Which set.
    pub set: DataKind,
    /// Folder of the four IDX files, plain or gzipped; empty for fashion-mnist: where the set-up
    /// has put it.
    pub folder: String,
    /// Side of the black square on which images are centred, in pixels; no smaller than they are.
    #[default = 32]
    #[schemars(range(min = 1))]
    pub canvas: usize,
    /// Training images that are only judged on, never trained on.
    #[default = 5000]
    #[schemars(range(min = 1))]
    pub held_out: usize,
    /// Uses only the first training images; 0 uses all.
    pub train_images: usize,
    /// Uses only the first test images; 0 uses all.
    pub test_images: usize,
}

impl Section for DataSettings {
    const NAME: &'static str = "data";

    fn check(&self) -> Result<(), FieldError> {
        if self.set == DataKind::Idx && self.folder.is_empty() {
            let hint = "name the folder of the four IDX files";
            return Err(FieldError::refused("data", "folder", "is missing", hint));
        }
        Ok(())
    }
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

impl DataSettings {
    /// What the classes are called, where that is known.
    pub fn labels(&self) -> Vec<String> {
        match self.set {
            DataKind::FashionMnist => CLOTHES.map(str::to_owned).into(),
            DataKind::Idx | DataKind::Synthetic => Vec::new(),
        }
    }
}

/// Images in memory, divided.
#[derive(Debug, Clone)]
pub struct LoadedData {
    /// The images.
    pub data: Arc<DataSet>,
    /// Positions in the training images that are never trained on.
    pub held_out: Arc<Vec<usize>>,
}

impl LoadedData {
    /// That the images have the channels and classes of a hyperspace.
    pub fn check(&self, hyperspace: &Hyperspace) -> Result<()> {
        let Hyperspace { input_channels, classes, .. } = hyperspace;
        for (name, set) in [("training", &self.data.train), ("test", &self.data.test)] {
            if set.channels != *input_channels {
                let message = format!(
                    "the {name} images have {} channels, the hyperspace takes {input_channels}",
                    set.channels
                );
                return Err(EngineError::study(message).with_hint("set `input_channels`"));
            }
            let largest = set.labels.iter().max().copied().unwrap_or(0);
            if largest as usize >= *classes {
                let message = format!(
                    "a {name} image has class {largest}, the hyperspace has {classes} classes"
                );
                return Err(EngineError::study(message).with_hint("set `classes`"));
            }
        }
        Ok(())
    }
}

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

impl DataSettings {
    /// What identifies the images: settings and content, but not where they lie.
    pub fn fingerprint(&self, base: &Path) -> Result<String> {
        let content = match self.set {
            DataKind::Synthetic => synthetic::VERSION.to_owned(),
            DataKind::FashionMnist | DataKind::Idx => {
                let files = self.files(base)?;
                files.iter().map(|file| hash::of_file(file)).collect::<Result<Vec<_>>>()?.join(" ")
            }
        };
        let Self { canvas, held_out, train_images, test_images, .. } = self;
        Ok(format!("{content} {canvas} {held_out} {train_images} {test_images}"))
    }

    /// Reads the images; `base` is the folder of the study file.
    pub fn load(&self, base: &Path, seed: u64) -> Result<LoadedData> {
        let (train, test) = match self.set {
            DataKind::Synthetic => synthetic::images(self.train_images, self.test_images),
            DataKind::FashionMnist | DataKind::Idx => self.read(base)?,
        };
        self.check_images(&train, &test)?;
        let held_out = held_out(train.len(), self.held_out, seed)?;
        Ok(LoadedData { data: Arc::new(DataSet { train, test }), held_out: Arc::new(held_out) })
    }

    /// That something can be learned from the images, and that none is cut.
    fn check_images(&self, train: &ImageSet, test: &ImageSet) -> Result<()> {
        let refused = |message: String, hint: &str| {
            Err(EngineError::study(message).with_hint(hint.to_owned()))
        };
        for (name, set) in [("training", train), ("test", test)] {
            let ImageSet { height, width, .. } = *set;
            if set.is_empty() {
                return refused(format!("there are no {name} images"), "see [data] in the study");
            }
            let side = height.max(width);
            if side > self.canvas {
                let message = format!(
                    "the {name} images have {height}x{width} pixels, more than the canvas of {0}x{0}",
                    self.canvas
                );
                return refused(message, &format!("set `canvas = {side}` in [data]"));
            }
        }
        let size = |set: &ImageSet| (set.channels, set.height, set.width);
        if size(train) != size(test) {
            let shape = |set: &ImageSet| format!("{}x{}x{}", set.channels, set.height, set.width);
            let message = format!(
                "training images are {}, test images {}: channels, height, width",
                shape(train),
                shape(test)
            );
            return refused(message, "both must be alike");
        }
        if train.labels.iter().all(|label| *label == train.labels[0]) {
            let message = format!("all training images are of class {}", train.labels[0]);
            return refused(message, "at least two classes are needed to tell apart");
        }
        Ok(())
    }

    fn read(&self, base: &Path) -> Result<(ImageSet, ImageSet)> {
        let catalog = Idx.catalog(&self.locate(base)?)?;
        if let Some(refused) = catalog.refused.first() {
            return Err(EngineError::study(refused.to_string()));
        }
        let set = |part: Part, limit: usize| {
            let limit = if limit == 0 { usize::MAX } else { limit };
            let mut set = ImageSet::default();
            for sample in catalog.samples.iter().filter(|sample| sample.part == part).take(limit) {
                let pixels =
                    catalog.decode(sample).map_err(|bad| EngineError::study(bad.to_string()))?;
                let Pixels { height, width, channels, .. } = pixels;
                (set.channels, set.height, set.width) = (channels, height, width);
                // Decoded images have all channels of a pixel together, a set has planes.
                for channel in 0..channels {
                    set.pixels.extend(pixels.data.iter().skip(channel).step_by(channels));
                }
                set.labels.push(sample.class);
            }
            Ok::<_, EngineError>(set)
        };
        Ok((set(Part::Train, self.train_images)?, set(Part::Test, self.test_images)?))
    }

    fn files(&self, base: &Path) -> Result<Vec<PathBuf>> {
        let folder = self.locate(base)?;
        let files = idx::files(&folder)?;
        if files.len() < FILES.len() {
            let message = format!("{}: not all files are there", folder.display());
            return Err(self.with_hint(EngineError::study(message)));
        }
        Ok(files)
    }

    fn locate(&self, base: &Path) -> Result<PathBuf> {
        if !self.folder.is_empty() {
            return Ok(base.join(&self.folder));
        }
        if let Some(folder) = env::var_os("SPACEWRIGHT_DATA") {
            return Ok(PathBuf::from(folder).join("fashion-mnist"));
        }
        let program = env::current_exe().unwrap_or_default();
        program
            .ancestors()
            .skip(1)
            .map(|place| place.join(".deps/fashion-mnist"))
            .find(|folder| folder.is_dir())
            .ok_or_else(|| {
                self.with_hint(EngineError::study("the data set fashion-mnist is missing"))
            })
    }

    fn with_hint(&self, error: EngineError) -> EngineError {
        if self.set == DataKind::FashionMnist && self.folder.is_empty() {
            error.with_hint("run `cargo xtask setup`, or set SPACEWRIGHT_DATA")
        } else {
            error.with_hint(format!("the folder must hold {}", FILES.join(", ")))
        }
    }
}

fn held_out(images: usize, count: usize, seed: u64) -> Result<Vec<usize>> {
    if count >= images {
        let message = format!("`held_out` = {count} of [data] leaves none of {images} images");
        return Err(
            EngineError::study(message).with_hint("hold out fewer, or raise `train_images`")
        );
    }
    let mut order: Vec<usize> = (0..images).collect();
    order.shuffle(&mut Pcg64Mcg::seed_from_u64(seed ^ 0x6865_6c64));
    Ok(order.split_off(images - count))
}
