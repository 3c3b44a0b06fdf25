//! The images with which a network is quantized, prepared as it was trained on them.

use spacewright_core::data::{
    CenterCrop, Flip, LABELS_KEY, Normalize, Preprocessing, Resize, Transform, check_judging,
};
use spacewright_engine::{DataSettings, OnBadImage, StudyData, default_home};

use crate::{
    cli::{Global, QuantizeArgs},
    commands::{data::held_out_of, model::opened},
    foreign::{self, OpenTask, Task},
    render::Failure,
};

/// With which networks for ImageNet are mostly trained and judged: mean and standard deviation of red, green and blue,
/// and the share of an image's shorter side in its middle.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
const CROP_SHARE: f64 = 0.875;

/// What a file of Spacewright's says of itself.
#[derive(Default)]
pub struct Own {
    /// How images are prepared, where nothing else is asked for.
    pub preprocessing: Option<Preprocessing>,
    /// What its outputs are called.
    pub labels: Option<Vec<String>>,
}

impl Own {
    pub fn of(args: &QuantizeArgs, global: &Global) -> Self {
        if args.model.is_dir() {
            return Self::default();
        }
        let task = Task::Open(OpenTask::Inspect { measures: false });
        let found = foreign::ask(&opened(&args.model, &args.opening, task, global), false);
        let Some(summary) = found.ok().and_then(|found| found.summary) else {
            return Self::default();
        };
        let text = |key: &str| summary.metadata.get(key).map(String::as_str);
        let is_given = args.mean.is_some() || args.std.is_some() || args.crop_share.is_some();
        let said = text(Preprocessing::KEY).filter(|_| !is_given);
        let preprocessing = said.and_then(|text| serde_json::from_str(text).ok());
        let can_judge = |own: &Preprocessing| check_judging(&own.transforms).is_ok();
        Self {
            preprocessing: preprocessing.filter(can_judge),
            labels: text(LABELS_KEY).map(|text| text.lines().map(str::to_owned).collect()),
        }
    }
}

/// Images of so many channels as the network was trained on them.
pub fn images(
    args: &QuantizeArgs,
    own: Option<&Preprocessing>,
    channels: usize,
    global: &Global,
) -> Result<StudyData, Failure> {
    if own.is_none() && channels == 1 && (args.mean.is_none() || args.std.is_none()) {
        let message = "images are grey, and ImageNet's mean and deviation are of three channels";
        return Err(Failure::input(message).hint("give `--mean` and `--std`, a number each"));
    }
    let mean = args.mean.clone().unwrap_or_else(|| IMAGENET_MEAN.to_vec());
    let std = args.std.clone().unwrap_or_else(|| IMAGENET_STD.to_vec());
    let given = [("--mean", &mean), ("--std", &std)];
    for (option, values) in given.into_iter().filter(|_| own.is_none()) {
        if values.len() != channels {
            let message =
                format!("{option}: {} numbers, and images have {channels} channels", values.len());
            return Err(
                Failure::input(message).hint("give one for each channel, such as 0.5,0.5,0.5")
            );
        }
    }
    let resize = Resize { crop_share: args.crop_share.unwrap_or(CROP_SHARE), ..Resize::default() };
    let usual = || {
        vec![
            Transform::Resize(resize),
            Transform::CenterCrop(CenterCrop::default()),
            Transform::Normalize(Normalize { mean, std }),
        ]
    };
    let transforms = own.map_or_else(usual, |own| own.transforms.clone());
    // Values are normalized after that as they are for judging.
    let seen = transforms.iter().filter(|each| !matches!(each, Transform::Normalize(_)));
    let augment = seen.cloned().chain([Transform::Flip(Flip::default())]).collect();
    let path = std::path::absolute(&args.data).unwrap_or_else(|_| args.data.clone());
    let settings = DataSettings {
        path: path.display().to_string(),
        channels,
        transforms,
        augment,
        test_images: args.test_images,
        on_bad_image: if args.skip_bad_images { OnBadImage::Skip } else { OnBadImage::Stop },
        ..DataSettings::default()
    };
    let catalog = spacewright_data::open(&[path], None)?;
    let settings = DataSettings { held_out: held_out_of(&catalog, None)?, ..settings };
    let seed = global.seed.unwrap_or_default();
    Ok(StudyData::new(settings, "".into(), &default_home()?, seed))
}
