//! `[data]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;
use spacewright_core::{
    data::{Flip, Interpolation, Pad, Resize, Transform, check_judging, check_training},
    study::{FieldError, Section},
};
use spacewright_data::layouts;

/// A set of images that is known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// 60,000 + 10,000 grey images of clothes.
    #[default]
    FashionMnist,
    /// Small drawn patterns.
    Synthetic,
}

/// What is done about images that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadImage {
    /// All are found and the first ones named, before anything is trained.
    #[default]
    Stop,
    /// They are left out and counted.
    Skip,
}

/// Images to train and to judge on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// A known set; where `path` names one's own, left out.
    pub set: DataKind,
    /// Folder of images in any layout that `data check` knows, or shards, such as
    /// `train-{000..146}.tar`; relative to the study.
    pub path: String,
    /// Layout of the folder, where it could be more than one; empty: found out.
    pub layout: String,
    /// 1: images are used in grey; 3: in colours; 0: as IDX and CIFAR files have them, in colours
    /// where each file holds one image.
    #[schemars(range(max = 3))]
    pub channels: usize,
    /// How images are judged, the same every time: for photographs mostly `resize`, `center-crop`,
    /// `normalize`. Known sets have one of their own where it is empty.
    pub transforms: Vec<Transform>,
    /// How images are trained on, where a step says nothing else; values are normalized as in
    /// `transforms`. Known sets have one of their own where it is empty.
    pub augment: Vec<Transform>,
    /// Training images that are only judged on, never trained on, where the set has no part for it:
    /// of each class its share.
    #[default = 5000]
    #[schemars(range(min = 1))]
    pub held_out: usize,
    /// Uses only so many of the training images, of each class its share; 0 uses all.
    pub train_images: usize,
    /// Uses only so many of the test images, of each class its share; 0 uses all.
    pub test_images: usize,
    /// What is done about images that cannot be used: `stop` names them, `skip` leaves them out.
    pub on_bad_image: OnBadImage,
    /// Most gigabytes of decoded images that are kept in the home, so that no study decodes them
    /// again; below 0: half of the machine's memory, at most 20.
    #[default(-1.0)]
    pub keep_decoded: f64,
}

/// Side of the square to which known sets pad their images.
const KNOWN_SIDE: usize = 32;

fn padded() -> Transform {
    Transform::Pad(Pad { to: KNOWN_SIDE })
}

/// To the side of the network's input.
fn resized() -> Transform {
    Transform::Resize(Resize { crop_share: 1.0, interpolation: Interpolation::Bilinear })
}

impl DataSettings {
    /// How images are judged.
    pub fn judging(&self) -> Vec<Transform> {
        match (&self.transforms[..], self.path.is_empty()) {
            ([], true) => vec![padded(), resized()],
            (given, _) => given.to_vec(),
        }
    }

    /// How images are trained on.
    pub fn training(&self) -> Vec<Transform> {
        match (&self.augment[..], self.path.is_empty()) {
            ([], true) => vec![padded(), Transform::Flip(Flip::default()), resized()],
            (given, _) => given.to_vec(),
        }
    }
}

impl Section for DataSettings {
    const NAME: &'static str = "data";

    fn check(&self) -> Result<(), FieldError> {
        let refused = |field: &str, reason: &str, hint: &str| {
            Err(FieldError::refused("data", field, reason, hint))
        };
        if !self.path.is_empty() && self.set != DataKind::default() {
            return refused("set", "is another set than `path`", "leave one of them out");
        }
        if self.path.is_empty() && !self.layout.is_empty() {
            return refused("layout", "is said, but no `path`", "name the folder in `path`");
        }
        let known = layouts().map(|layout| layout.name());
        if !self.layout.is_empty() && !known.contains(&self.layout.as_str()) {
            let reason = format!("is none that is known: `{}`", self.layout);
            return refused("layout", &reason, &format!("known are {}", known.join(", ")));
        }
        if self.path.is_empty() && self.channels != 0 {
            return refused("channels", "is said, but no `path`", "a known set has its own");
        }
        if ![0, 1, 3].contains(&self.channels) {
            return refused("channels", "must be 0, 1 or 3", "1 is grey, 3 is colours");
        }
        if !self.path.is_empty() && self.transforms.is_empty() {
            let hint = "say how images become a network's square input, such as \
                        `transforms = [{ resize = {} }, { center-crop = {} }, { normalize = {} }]`";
            return refused("transforms", "is missing or empty", hint);
        }
        if !self.path.is_empty() && self.augment.is_empty() {
            let hint = "say how images are trained on, such as \
                        `augment = [{ random-resized-crop = {} }, { flip = {} }]`";
            return refused("augment", "is missing or empty", hint);
        }
        let checks = [
            ("transforms", check_judging(&self.transforms)),
            ("augment", check_training(&self.augment)),
        ];
        for (field, result) in checks {
            if let Err(error) = result {
                return refused(field, &error.to_string(), "see docs/data.md");
            }
        }
        Ok(())
    }
}
