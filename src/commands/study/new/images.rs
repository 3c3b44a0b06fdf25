//! What a set of images asks of a study: a hyperspace, transforms and a recipe.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use serde_json::json;
use spacewright_core::data::Transform;
use spacewright_data::{Checked, CheckedPart, Part, Wanted, check, open};
use spacewright_engine::{DataKind, DataSettings, EngineError};

use super::quoted;
use crate::{
    catalog, cli::Global, commands::data::held_out_of, process, progress, render::Failure,
};

/// A kind of images that has a hyperspace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grey, up to 32 pixels.
    SmallGrey,
    /// In colours, up to about 32 pixels.
    Small,
    /// Larger ones.
    Photographs,
}

/// The images of a study that is written.
pub struct Images {
    /// Which recipe and hyperspace suit them.
    pub kind: Kind,
    /// Lines of the section `[data]`.
    pub lines: Vec<String>,
    /// Images that are only judged on.
    pub held_out: usize,
    /// Images that cannot be used.
    pub bad: usize,
    /// What a user may want to know of the set.
    pub notices: Vec<String>,
}

/// Up to this side, in pixels, images are small.
const SMALL: usize = 40;

/// Side, in pixels, of the networks for small images.
const SIDE: usize = 32;

impl Kind {
    /// By the images to train on; those of other parts have to fit as well.
    fn of(part: &CheckedPart, sizes: &[[usize; 2]]) -> Self {
        let largest = sizes.iter().flatten().copied().max().unwrap_or_default();
        let is_grey = part.grey == part.images;
        match (is_grey, part.width.median.max(part.height.median)) {
            (true, _) if largest <= SIDE => Self::SmallGrey,
            (_, median) if median <= SMALL => Self::Small,
            _ => Self::Photographs,
        }
    }

    /// Its hyperspace.
    pub fn hyperspace(self) -> &'static str {
        match self {
            Self::SmallGrey => "mini",
            Self::Small => "cifar",
            Self::Photographs => "photographs",
        }
    }

    /// The sections of a study that say how it is trained.
    pub fn recipe(self) -> &'static str {
        match self {
            Self::SmallGrey => include_str!("mini.toml.in"),
            Self::Small => include_str!("cifar.toml.in"),
            Self::Photographs => include_str!("photographs.toml.in"),
        }
    }

    /// How images are judged and trained on.
    fn transforms(self, sizes: &[[usize; 2]]) -> [String; 2] {
        let all_are_side = sizes.iter().all(|size| *size == [SIDE; 2]);
        let (judging, training) = match self {
            Self::SmallGrey => (
                format!("{{ pad = {{ to = {SIDE} }} }}"),
                format!(
                    "{{ pad = {{ to = {SIDE} }} }}, {{ random-crop = {{ padding = 1 }} }}, {{ flip = {{}} }}"
                ),
            ),
            Self::Small if all_are_side => (
                "{ normalize = {} }".to_owned(),
                "{ random-crop = { padding = 4 } }, { flip = {} }".to_owned(),
            ),
            Self::Small => (
                "{ resize = { crop_share = 1.0 } }, { center-crop = {} }, { normalize = {} }"
                    .to_owned(),
                "{ random-resized-crop = { scale = [0.5, 1.0] } }, { flip = {} }".to_owned(),
            ),
            Self::Photographs => (
                "{ resize = {} }, { center-crop = {} }, { normalize = {} }".to_owned(),
                "{ random-resized-crop = { scale = [0.25, 1.0] } }, { flip = {} }".to_owned(),
            ),
        };
        [judging, training]
    }
}

impl Images {
    /// A known set, or those of a folder or of shards, each of which is looked at; `layout` says which it is of
    /// several that a folder looks like. Paths in the study are relative to its `file` where they were given so.
    pub fn of(
        (data, layout): (&str, Option<&str>),
        file: &Path,
        global: &Global,
    ) -> Result<Self, Failure> {
        if serde_json::from_value::<DataKind>(json!(data)).is_ok() {
            if let Some(layout) = layout {
                let message = format!("--layout {layout}: `{data}` is a known set, no folder");
                return Err(Failure::input(message).hint("leave it out, or give a folder"));
            }
            let (kind, held_out) = (Kind::SmallGrey, DataSettings::default().held_out);
            let lines = vec![format!("set = {data:?}")];
            return Ok(Self { kind, lines, held_out, bad: 0, notices: Vec::new() });
        }
        let catalog = open(&[PathBuf::from(data)], layout).map_err(|error| {
            let hint = error.hint().map(str::to_owned);
            let hint =
                hint.unwrap_or_else(|| "give `fashion-mnist`, `synthetic`, or a folder".into());
            Failure::input(error).hint(hint)
        })?;
        let held_out = held_out_of(&catalog, None)?;
        let wanted = Wanted { held_out, ..Wanted::default() };
        let cancel = process::cancelled_by_signal();
        let bar = progress::bar(catalog.samples.len(), global.quiet);
        let checked = check(&catalog, &wanted, |_, _| {
            bar.inc(1);
            !cancel.load(Ordering::Relaxed)
        });
        bar.finish_and_clear();
        let checked = checked.ok_or_else(EngineError::cancelled)?;
        if let Some(reason) = &checked.study.refused {
            let says = format!("`{}` says what the set holds", check_command(data, layout));
            let hint =
                checked.study.hint.map_or_else(|| says.clone(), |hint| format!("{hint}; {says}"));
            return Err(Failure::input(format!("{data}: {reason}")).hint(hint));
        }
        Self::checked((data, layout), file, &checked, held_out)
    }

    fn checked(
        (data, layout): (&str, Option<&str>),
        file: &Path,
        checked: &Checked,
        held_out: usize,
    ) -> Result<Self, Failure> {
        let part = checked.parts.get(Part::Train.name()).filter(|part| part.images > 0);
        let Some(part) = part else {
            let message = format!("{data}: no image to train on can be used");
            return Err(Failure::input(message).hint(check_command(data, layout)));
        };
        let sizes = &checked.sizes;
        let kind = Kind::of(part, sizes);
        let mut lines = vec![
            format!("path = {}", quoted(&path_from(file, data))),
            format!("layout = {:?}", checked.layout),
        ];
        if part.grey == part.images {
            lines.push("channels = 1".into());
        }
        lines.push("# How images become a network's square input, when they are judged and when they are trained on.".into());
        let [judging, training] = kind.transforms(sizes);
        lines.push(format!("transforms = [{judging}]"));
        lines.push(format!("augment = [{training}]"));
        let lists = [&judging, &training].map(|list| listed(list));
        let lists = lists.into_iter().collect::<Result<Vec<_>, _>>()?;
        let sides = catalog::hyperspace(kind.hyperspace())?.resolutions;
        let bad = checked.bad.len() + checked.unfit(&lists, &sides).map_err(Failure::failed)?;
        if bad > 0 {
            lines.push(format!(
                "# {bad} images cannot be used: `spacewright data check` names those that do not decode."
            ));
            lines.push("on_bad_image = \"skip\"".into());
        }
        Ok(Self { kind, lines, held_out, bad, notices: checked.notices.clone() })
    }
}

/// The command that says what there is in a folder, of the layout that was named.
pub fn check_command(data: &str, layout: Option<&str>) -> String {
    let layout = layout.map(|layout| format!(" --layout {layout}")).unwrap_or_default();
    format!("spacewright data check {data}{layout}")
}

/// Transforms as a study has them.
fn listed(list: &str) -> Result<Vec<Transform>, Failure> {
    let table: toml::Table = format!("list = [{list}]").parse().map_err(Failure::failed)?;
    table["list"].clone().try_into().map_err(Failure::failed)
}

/// A path that a study in `file` can name: absolute where the two are not in one folder.
fn path_from(file: &Path, data: &str) -> String {
    let beside = file.parent().is_none_or(|folder| folder == Path::new(""));
    if beside || Path::new(data).is_absolute() {
        return data.to_owned();
    }
    let path = std::path::absolute(data).unwrap_or_else(|_| data.into());
    path.display().to_string()
}
