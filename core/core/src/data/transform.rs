//! How an image becomes the input of a network: a list of transforms, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest side of a square that images are padded to, in pixels.
const LARGEST_SIDE: usize = 8192;

/// Most pixels that are added on each side.
const MOST_PADDING: usize = 1024;

/// Most operations of RandAugment.
const MOST_OPERATIONS: usize = 16;

/// Least standard deviation that values are divided by: what is divided by much less is a number that no
/// network can compute with.
pub const LEAST_STD: f64 = 1e-6;

/// A change of an image, or of its numbers. `side` below is the side of the network's input, in pixels:
/// what is drawn at random does not depend on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Adds black rows and columns around the image, up to a square.
    Pad(Pad),
    /// Cuts a square of `side` pixels from anywhere.
    RandomCrop(RandomCrop),
    /// Cuts a random rectangle and resizes it to `side` by `side` pixels (Szegedy et al. 2014,
    /// arXiv 1409.4842).
    RandomResizedCrop(RandomResizedCrop),
    /// Resizes the image, keeping its proportions.
    Resize(Resize),
    /// Cuts a square of `side` pixels from the middle.
    CenterCrop(CenterCrop),
    /// Mirrors the image from left to right.
    Flip(Flip),
    /// One of 25 pairs of operations on the whole image (Cubuk et al. 2018, arXiv 1805.09501), with the
    /// strengths of the policy `v0` of TensorFlow's EfficientNet.
    AutoAugment(AutoAugment),
    /// Some operations on the whole image, of one strength (Cubuk et al. 2019, arXiv 1909.13719).
    RandAugment(RandAugment),
    /// Other brightness, contrast, saturation and hue, in random order.
    ColorJitter(ColorJitter),
    /// Covers a random rectangle with the colour that normalization makes zero (Zhong et al. 2017, arXiv
    /// 1708.04896); leaves images in which none is found to fit.
    RandomErasing(RandomErasing),
    /// The last one: values of a channel, from 0 to 1, less their mean, divided by their deviation.
    Normalize(Normalize),
}

/// See [`Transform::Pad`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Side of the square, in pixels; a larger image is refused.
    #[schemars(range(min = 1, max = LARGEST_SIDE))]
    pub to: usize,
}

/// See [`Transform::RandomCrop`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// Pixels that are added on each side before, of the colour that normalization makes zero: the mean colour, or
    /// black where values are not normalized.
    #[schemars(range(max = MOST_PADDING))]
    pub padding: usize,
}

/// See [`Transform::RandomResizedCrop`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Smallest and largest share of the image's area.
    pub scale: [f64; 2],
    /// Smallest and largest ratio of width to height.
    pub ratio: [f64; 2],
    /// How pixels are mixed.
    pub interpolation: Interpolation,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0], interpolation: Interpolation::Bicubic }
    }
}

/// See [`Transform::Resize`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resize {
    /// How much of the resized image's shorter side `side` is: 0.875 gives 256 pixels for 224.
    #[schemars(range(min = 0.1, max = 1.0))]
    pub crop_share: f64,
    /// How pixels are mixed.
    pub interpolation: Interpolation,
}

impl Default for Resize {
    fn default() -> Self {
        Self { crop_share: 0.875, interpolation: Interpolation::Bicubic }
    }
}

/// See [`Transform::CenterCrop`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {}

/// See [`Transform::Flip`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// How often.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

/// See [`Transform::AutoAugment`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoAugment {}

/// See [`Transform::RandAugment`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Operations in a row.
    #[schemars(range(min = 1, max = MOST_OPERATIONS))]
    pub operations: usize,
    /// Their strength, from 0 to 10.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub magnitude: f64,
    /// Standard deviation of the strength, which is drawn anew for each operation.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub magnitude_std: f64,
    /// How often each of them is done: always in the paper, 0.5 in timm's `rand-m9-mstd0.5`.
    // It came later: what identifies a study that does not give it is as before.
    #[serde(skip_serializing_if = "is_always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { operations: 2, magnitude: 9.0, magnitude_std: 0.5, probability: 1.0 }
    }
}

fn is_always(probability: &f64) -> bool {
    *probability == 1.0
}

/// See [`Transform::ColorJitter`]. Factors are drawn from 1 less the strength to 1 plus it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Strength for brightness.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub brightness: f64,
    /// Strength for contrast.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub contrast: f64,
    /// Strength for saturation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub saturation: f64,
    /// Largest turn of the hue, as a share of the whole circle, in either direction.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub hue: f64,
}

/// See [`Transform::RandomErasing`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// How often.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
    /// Smallest and largest share of the image's area.
    pub scale: [f64; 2],
    /// Smallest and largest ratio of width to height.
    pub ratio: [f64; 2],
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { probability: 0.25, scale: [0.02, 1.0 / 3.0], ratio: [0.3, 1.0 / 0.3] }
    }
}

/// See [`Transform::Normalize`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Normalize {
    /// Mean of each channel; where empty, that of the training images.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel; where empty, that of the training images.
    pub std: Vec<f64>,
}

/// How pixels are mixed when an image is resized; all pixels that lie below one of the smaller image
/// count (antialiasing).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// A triangle.
    Bilinear,
    /// The cubic of Catmull and Rom (a = −0.5).
    #[default]
    Bicubic,
}

/// Why transforms cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("transform {position}, {name}: {reason}")]
pub struct TransformError {
    /// Which one, from 0.
    pub position: usize,
    /// What it is called.
    pub name: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl Transform {
    /// What it is called in studies.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pad(_) => "pad",
            Self::RandomCrop(_) => "random-crop",
            Self::RandomResizedCrop(_) => "random-resized-crop",
            Self::Resize(_) => "resize",
            Self::CenterCrop(_) => "center-crop",
            Self::Flip(_) => "flip",
            Self::AutoAugment(_) => "auto-augment",
            Self::RandAugment(_) => "rand-augment",
            Self::ColorJitter(_) => "color-jitter",
            Self::RandomErasing(_) => "random-erasing",
            Self::Normalize(_) => "normalize",
        }
    }

    /// Whether it draws at random.
    pub fn is_random(&self) -> bool {
        match self {
            Self::Pad(_) | Self::Resize(_) | Self::CenterCrop(_) | Self::Normalize(_) => false,
            Self::RandomCrop(_)
            | Self::RandomResizedCrop(_)
            | Self::Flip(_)
            | Self::AutoAugment(_)
            | Self::RandAugment(_)
            | Self::ColorJitter(_)
            | Self::RandomErasing(_) => true,
        }
    }

    fn problem(&self) -> Option<String> {
        let range = |name: &str, [low, high]: [f64; 2], most: f64| {
            let good = 0.0 < low && low <= high && high <= most;
            (!good)
                .then(|| format!("`{name}` = [{low}, {high}] is no range above 0 and up to {most}"))
        };
        let share = |name: &str, value: f64, most: f64| {
            let good = (0.0..=most).contains(&value);
            (!good).then(|| format!("`{name}` = {value} is not from 0 to {most}"))
        };
        let count = |name: &str, value: usize, least: usize, most: usize| {
            let good = (least..=most).contains(&value);
            (!good).then(|| format!("`{name}` = {value} is not from {least} to {most}"))
        };
        const RATIO: f64 = 100.0;
        match self {
            Self::RandomResizedCrop(RandomResizedCrop { scale, ratio, .. }) => {
                range("scale", *scale, 1.0).or(range("ratio", *ratio, RATIO))
            }
            Self::RandomErasing(RandomErasing { probability, scale, ratio }) => {
                let ranges = range("scale", *scale, 1.0).or(range("ratio", *ratio, RATIO));
                share("probability", *probability, 1.0).or(ranges)
            }
            Self::Flip(Flip { probability }) => share("probability", *probability, 1.0),
            Self::Resize(Resize { crop_share, .. }) => {
                let good = (0.1..=1.0).contains(crop_share);
                (!good).then(|| format!("`crop_share` = {crop_share} is not from 0.1 to 1"))
            }
            Self::RandAugment(RandAugment {
                operations,
                magnitude,
                magnitude_std,
                probability,
            }) => count("operations", *operations, 1, MOST_OPERATIONS)
                .or(share("magnitude", *magnitude, 10.0))
                .or(share("magnitude_std", *magnitude_std, 10.0))
                .or(share("probability", *probability, 1.0)),
            Self::ColorJitter(ColorJitter { brightness, contrast, saturation, hue }) => {
                share("brightness", *brightness, 1.0)
                    .or(share("contrast", *contrast, 1.0))
                    .or(share("saturation", *saturation, 1.0))
                    .or(share("hue", *hue, 0.5))
            }
            Self::Normalize(Normalize { mean, std }) => {
                let bad = mean.iter().any(|mean| !(0.0..=1.0).contains(mean))
                    || std.iter().any(|std| !(LEAST_STD..=1.0).contains(std));
                let uneven = !mean.is_empty() && !std.is_empty() && mean.len() != std.len();
                let range = || {
                    format!(
                        "values are from 0 to 1: `mean` must be, too, and `std` from {LEAST_STD:e} \
                         to 1 (divide numbers for values up to 255 by that)"
                    )
                };
                bad.then(range).or(uneven
                    .then(|| format!("has {} means and {} deviations", mean.len(), std.len())))
            }
            Self::Pad(Pad { to }) => count("to", *to, 1, LARGEST_SIDE),
            Self::RandomCrop(RandomCrop { padding }) => count("padding", *padding, 0, MOST_PADDING),
            Self::CenterCrop(_) | Self::AutoAugment(_) => None,
        }
    }
}

/// That transforms can be used one after the other.
pub fn check_transforms(transforms: &[Transform]) -> Result<(), TransformError> {
    for (position, transform) in transforms.iter().enumerate() {
        let is_early =
            matches!(transform, Transform::Normalize(_)) && position + 1 < transforms.len();
        let problem = is_early.then(|| "must be the last one".to_owned()).or(transform.problem());
        if let Some(reason) = problem {
            return Err(TransformError { position, name: transform.name(), reason });
        }
    }
    Ok(())
}

/// That images can be judged by transforms: nothing of them is random.
pub fn check_judging(transforms: &[Transform]) -> Result<(), TransformError> {
    let found = transforms.iter().position(Transform::is_random);
    refuse(transforms, found, "is random: it belongs to `augment`")?;
    check_transforms(transforms)
}

/// That images can be trained on by transforms: values are normalized as they are for judging.
pub fn check_training(transforms: &[Transform]) -> Result<(), TransformError> {
    let is_normalize = |transform: &Transform| matches!(transform, Transform::Normalize(_));
    let found = transforms.iter().position(is_normalize);
    refuse(transforms, found, "belongs to `transforms` of [data], which training takes over")?;
    check_transforms(transforms)
}

fn refuse(
    transforms: &[Transform],
    position: Option<usize>,
    reason: &str,
) -> Result<(), TransformError> {
    match position {
        Some(position) => Err(TransformError {
            position,
            name: transforms[position].name(),
            reason: reason.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Transform>, String> {
        #[derive(Deserialize)]
        struct Study {
            transforms: Vec<Transform>,
        }
        toml::from_str::<Study>(text)
            .map(|study| study.transforms)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn studies_write_them_as_tables() {
        let text = "transforms = [
            { random-resized-crop = { scale = [0.2, 1.0] } },
            { flip = {} },
            { rand-augment = { magnitude = 5.0 } },
            { normalize = { mean = [0.5], std = [0.2] } },
        ]";
        let transforms = read(text).unwrap();
        let names: Vec<&str> = transforms.iter().map(Transform::name).collect();
        assert_eq!(names, ["random-resized-crop", "flip", "rand-augment", "normalize"]);
        assert_eq!(transforms[1], Transform::Flip(Flip { probability: 0.5 }));
        let RandAugment { operations, magnitude, .. } = RandAugment::default();
        assert_eq!((operations, magnitude), (2, 9.0));
        assert!(transforms[..3].iter().all(Transform::is_random) && !transforms[3].is_random());
        assert_eq!(check_transforms(&transforms), Ok(()));
    }

    #[test]
    fn judging_is_not_random_and_training_takes_over_normalization() {
        let [flip, normalize] = [
            Transform::Flip(Flip::default()),
            Transform::Normalize(Normalize { mean: vec![0.5], std: vec![0.2] }),
        ];
        let error = |result: Result<(), TransformError>| result.unwrap_err().to_string();
        let judging = [flip.clone(), normalize.clone()];
        assert_eq!(
            error(check_judging(&judging)),
            "transform 0, flip: is random: it belongs to `augment`"
        );
        assert!(error(check_training(&judging)).starts_with("transform 1, normalize: belongs to"));
        assert_eq!(check_judging(&[normalize]), Ok(()));
        assert_eq!(check_training(&[flip]), Ok(()));
    }

    #[test]
    fn a_deviation_that_blows_values_up_is_refused() {
        let refused = |std: f64| {
            let normalize = Transform::Normalize(Normalize { mean: vec![0.5], std: vec![std] });
            check_judging(&[normalize]).err().map(|error| error.reason)
        };
        let reason = refused(1e-320).unwrap();
        assert!(reason.contains("`std` from 1e-6 to 1 (divide"), "{reason}");
        assert_eq!(refused(0.0), Some(reason.clone()));
        assert_eq!(refused(f64::NAN), Some(reason.clone()));
        assert_eq!(refused(58.4), Some(reason));
        assert_eq!([LEAST_STD, 1.0].map(refused), [None, None]);
    }

    #[test]
    fn a_study_that_says_nothing_of_a_later_field_is_written_as_before() {
        let written = |text: &str| serde_json::to_string(&read(text).unwrap()).unwrap();
        assert_eq!(
            written("transforms = [{ rand-augment = {} }]"),
            r#"[{"rand-augment":{"operations":2,"magnitude":9.0,"magnitude_std":0.5}}]"#
        );
        let half = written("transforms = [{ rand-augment = { probability = 0.5 } }]");
        assert!(half.ends_with(r#""magnitude_std":0.5,"probability":0.5}}]"#), "{half}");
        let often = read("transforms = [{ rand-augment = { probability = 2.0 } }]").unwrap();
        assert_eq!(
            check_training(&often).unwrap_err().to_string(),
            "transform 0, rand-augment: `probability` = 2 is not from 0 to 1"
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = read("transforms = [{ flip = { often = 1.0 } }]").unwrap_err();
        assert!(error.contains("unknown field `often`, expected `probability`"), "{error}");
    }
}
