//! From named tensors to a network: the family that fits, and how it was trained.

use std::{fs::File, io::Read as _, path::Path};

use serde::Deserialize;

use spacewright_core::{
    foreign::{Escaped, OpenSizes, SizeError, shortened},
    import::{ImportError, ImportedNetwork},
};

use crate::{
    draft::{Drafted, Rules},
    mobile, resnet,
    tensors::Tensors,
};

/// The size of the input that can be given.
const SIDE: &str = "side";

/// Side of the input of networks that are none of the published ones.
const USUAL_SIDE: usize = 224;

/// Sides of inputs that are allowed.
const SIDES: std::ops::RangeInclusive<u64> = 1..=4096;

/// The file beside weights on Hugging Face that names the network, and how much of it is read, in bytes.
const CONFIG: &str = "config.json";
const LONGEST_CONFIG: u64 = 1 << 20;

/// How timm calls networks that were trained with TensorFlow.
const TENSORFLOW: &str = "tf_";

/// A family that a file may be one of.
pub(crate) trait Candidate {
    /// What it would be.
    fn identity(&self) -> Identity;
    /// The network for inputs of this side, with all that is wrong with it.
    fn draft(&self, rules: Rules, side: usize) -> Drafted;
}

/// What a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub family: &'static str,
    /// timm's name for it; `None` where no network with these widths and depths was published.
    pub variant: Option<&'static str>,
    /// Side of the images that it was published for.
    pub side: Option<usize>,
    /// Whether a network that was trained with TensorFlow can have the same tensors.
    pub has_tensorflow: bool,
    /// Whether all networks with these names were.
    pub only_tensorflow: bool,
}

/// The network that these tensors make.
pub(crate) fn network(
    tensors: &Tensors<'_>,
    path: Option<&Path>,
    sizes: &OpenSizes,
) -> Result<ImportedNetwork, ImportError> {
    let side = given_side(sizes)?;
    let architecture = tensors.architecture.clone().or_else(|| configured(path?));
    let architecture = architecture.as_deref();
    let drafts = mobile::candidates(tensors).into_iter().chain(resnet::candidates(tensors));
    let drafts = drafts.map(|candidate| {
        let identity = candidate.identity();
        let origin = Origin::of(identity, architecture, path);
        let side = side.or(identity.side).unwrap_or(USUAL_SIDE);
        (identity, origin, candidate.draft(origin.rules(), side))
    });
    let nearest = drafts.min_by_key(|(.., draft)| draft.wrong.len());
    let (identity, origin, draft) = nearest.ok_or_else(|| unknown(tensors))?;
    let (graph, weights) = draft.complete(tensors)?;
    check_architecture(identity, architecture)?;
    let mut name = identity.variant.unwrap_or(identity.family).to_owned();
    if origin != Origin::Plain && identity.variant.is_some() {
        name.insert_str(0, TENSORFLOW);
    }
    let notes = notes(identity, origin, side.is_some());
    Ok(ImportedNetwork { name, graph, weights, softmax: false, notes })
}

/// What the file that Hugging Face keeps beside weights calls the network.
fn configured(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        architecture: String,
    }
    let file = File::open(path.with_file_name(CONFIG)).ok()?;
    let mut text = String::new();
    file.take(LONGEST_CONFIG).read_to_string(&mut text).ok()?;
    Some(serde_json::from_str::<Config>(&text).ok()?.architecture)
}

fn given_side(sizes: &OpenSizes) -> Result<Option<usize>, ImportError> {
    let unreadable = |reason: String| ImportError::Unreadable(reason);
    if let Some(name) = sizes.keys().find(|name| *name != SIDE) {
        let error = SizeError::Unknown { name: name.clone(), known: vec![SIDE.into()] };
        return Err(unreadable(error.to_string()));
    }
    let Some(side) = sizes.get(SIDE) else { return Ok(None) };
    let allowed = usize::try_from(*side).ok().filter(|_| SIDES.contains(side));
    let (least, most) = (SIDES.start(), SIDES.end());
    allowed.map(Some).ok_or_else(|| {
        unreadable(format!("a side of {side} pixels; {least} to {most} are allowed"))
    })
}

/// How it is known with what a network was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Plain,
    /// TensorFlow, as the file says, or the one beside it.
    Metadata,
    /// TensorFlow, as the name of the file says.
    FileName,
    /// TensorFlow, as all with these names.
    Names,
}

impl Origin {
    fn of(identity: Identity, architecture: Option<&str>, path: Option<&Path>) -> Self {
        let says = |name: &str| name.starts_with(TENSORFLOW);
        let file = path.and_then(Path::file_name).and_then(|name| name.to_str());
        match (architecture, file) {
            _ if identity.only_tensorflow => Self::Names,
            _ if !identity.has_tensorflow => Self::Plain,
            (Some(architecture), _) if says(architecture) => Self::Metadata,
            (Some(_), _) => Self::Plain,
            (None, Some(file)) if says(file) => Self::FileName,
            (None, _) => Self::Plain,
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Plain => Rules::PLAIN,
            _ => Rules::TENSORFLOW,
        }
    }
}

/// That the file does not call itself something else that merely has the same tensors.
fn check_architecture(identity: Identity, architecture: Option<&str>) -> Result<(), ImportError> {
    let (Some(variant), Some(said)) = (identity.variant, architecture) else { return Ok(()) };
    let plain = said.split('.').next().unwrap_or_default();
    let plain = plain.strip_prefix(TENSORFLOW).filter(|_| identity.has_tensorflow).unwrap_or(plain);
    let plain = plain.strip_prefix("tv_").unwrap_or(plain);
    let rest = plain.strip_prefix(variant);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
        return Ok(());
    }
    Err(ImportError::Unreadable(format!(
        "its metadata, or `{CONFIG}` beside it, call it `{}`, its tensors are those of `{variant}`: whether both compute the same \
         is not known",
        Escaped(shortened(said, 100))
    )))
}

fn notes(identity: Identity, origin: Origin, side_given: bool) -> Vec<String> {
    let Identity { family, variant, .. } = identity;
    let mut notes = Vec::new();
    if variant.is_none() {
        let input = if side_given { "" } else { ", so its input is taken as 224 pixels wide" };
        notes.push(format!("no {family} with these widths and depths was published{input}"));
    }
    let name = variant.unwrap_or("architecture");
    let padded = "padded as in TensorFlow, with 1e-3 added to variances";
    match origin {
        Origin::Plain if identity.has_tensorflow => notes.push(format!(
            "read as trained with PyTorch, with 1e-5 added to variances; weights of `tf_{name}` need this \
             name in the file's metadata or in `{CONFIG}` beside it, as `architecture`, or as their file's name"
        )),
        Origin::Plain => {}
        Origin::Metadata => notes.push(format!("{padded}, as its metadata, or `{CONFIG}` beside it, name a `{TENSORFLOW}` network")),
        Origin::FileName => notes.push(format!("{padded}, as its file's name begins with `{TENSORFLOW}`")),
        Origin::Names => notes.push(format!("{padded}, as all networks with these names")),
    }
    notes
}

/// The error that no family has such names.
fn unknown(tensors: &Tensors<'_>) -> ImportError {
    let some: Vec<String> = tensors
        .names()
        .take(5)
        .map(|name| format!("`{}`", Escaped(shortened(name, 100))))
        .collect();
    let found = match some.is_empty() {
        true => "it has no tensors".to_owned(),
        false => format!("its tensors begin with {}", some.join(", ")),
    };
    ImportError::Unreadable(format!(
        "no network that is known has such names: {found}; known are ResNet, MobileNetV2, MobileNetV3, \
         EfficientNet and EfficientNet-Lite by timm's names, and EfficientNet-Lite by those of \
         efficientnet_lite_pytorch\nhint: networks of other kinds can be read from ONNX files"
    ))
}
