//! Fitted models in files, and what predicts for a target.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use spacewright_core::{
    latency::{HeldOut, LatencySource, Precision},
    target::{LatencyKind, Target, TargetDescription},
};
use spacewright_engine::default_home;
use spacewright_latency_model::{Fitted, Model};

use crate::render::Failure;

/// Where predictors of targets lie that were fitted here.
pub fn folder() -> Result<PathBuf, Failure> {
    Ok(default_home()?.join("models"))
}

/// That a target's name can be part of the name of a file, which stays in its folder.
pub fn check_name(target: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if target.starts_with(|c: char| c.is_ascii_alphanumeric()) && target.chars().all(legal) {
        return Ok(());
    }
    let message = format!("`{}` cannot be the name of a target", target.escape_default());
    Err(Failure::input(message).hint("use letters, digits, `-`, `_` and `.`"))
}

/// The file of a model in a folder.
pub fn file(folder: &Path, target: &str, precision: Precision) -> PathBuf {
    folder.join(format!("{target}.{}.json", precision.name()))
}

/// Reads a model.
pub fn read(file: &Path) -> Result<Model, Failure> {
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    Model::from_json(&text).map_err(|error| wrong(error.to_string()))
}

/// The models in the folder of predictors that were fitted here.
fn installed(target: &str) -> Result<Option<Fitted>, Failure> {
    let exists = |file: &PathBuf| match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Whatever else is wrong is said when the file is read.
        _ => true,
    };
    let folder = folder()?;
    let files = Precision::ALL.map(|precision| file(&folder, target, precision));
    let models: Vec<Model> = files
        .iter()
        .filter(|file| exists(file))
        .map(|file| read(file))
        .collect::<Result<_, _>>()?;
    if models.is_empty() {
        return Ok(None);
    }
    Fitted::new(target, models).map(Some).map_err(Failure::input)
}

fn command(target: &str) -> String {
    format!("spacewright target fit {target} --hyperspace <HYPERSPACE>")
}

/// That models were fitted to what this source measures: on this machine, with this runtime.
pub fn check_here(fitted: &Fitted, source: &dyn LatencySource) -> Result<(), Failure> {
    let here = source.fingerprint();
    for precision in fitted.precisions() {
        let model = fitted.predictor(precision).map(|predictor| predictor.model());
        let of = model.map(|model| model.fingerprint.clone()).unwrap_or_default();
        if of != here {
            let (name, precision) = (fitted.name(), precision.name());
            let message = format!(
                "the predictor of `{name}` ({precision}) was fitted for another machine or \
                 runtime:\n  fitted: {of}\n  here:   {here}"
            );
            let again = command(name);
            return Err(Failure::input(message)
                .hint(format!("fit it again with `{again}`, or name its files with --model")));
        }
    }
    Ok(())
}

/// The predictor that was fitted here to what a target measures; none where it does not measure.
pub fn of_measured(target: &dyn Target) -> Result<Option<Fitted>, Failure> {
    let description = target.description();
    if description.latency != LatencyKind::Measured {
        return Ok(None);
    }
    let Some(fitted) = installed(&description.name)? else { return Ok(None) };
    let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
    check_here(&fitted, &*source)?;
    Ok(Some(fitted))
}

/// What predicts latencies, and what is known of it.
pub struct Predictor {
    pub source: Arc<dyn LatencySource>,
    pub kind: LatencyKind,
    pub held_out: Vec<HeldOut>,
    /// The models, where it consists of some.
    pub fitted: Option<Fitted>,
}

impl Predictor {
    fn of_models(fitted: Fitted) -> Self {
        Self {
            source: Arc::new(fitted.clone()),
            kind: LatencyKind::Fitted,
            held_out: fitted.held_out(),
            fitted: Some(fitted),
        }
    }

    /// The models in these files; else what was fitted here, where the target measures; else the
    /// target's own source.
    pub fn of(target: &dyn Target, models: &[PathBuf]) -> Result<Self, Failure> {
        let TargetDescription { name, latency, held_out, .. } = target.description();
        if !models.is_empty() {
            let models = models.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Self::of_models(Fitted::new(&name, models).map_err(Failure::input)?));
        }
        if latency != LatencyKind::Measured {
            let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
            return Ok(Self { source, kind: latency, held_out, fitted: None });
        }
        let missing = || {
            let message = format!("`{name}` is measured, and no predictor was fitted to it yet");
            Failure::input(message).hint(format!("fit one with `{}`", command(&name)))
        };
        of_measured(target)?.map(Self::of_models).ok_or_else(missing)
    }
}
