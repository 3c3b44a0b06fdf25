//! Fitted models in files, and what predicts for a target.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use spacewright_core::{
    latency::{LatencySource, Precision},
    target::{LatencyKind, Target},
};
use spacewright_engine::default_home;
use spacewright_latency_model::{Fitted, Model};

use crate::render::Failure;

/// Where predictors of targets lie that were fitted here.
pub fn folder() -> PathBuf {
    default_home().join("models")
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

/// The predictor that was fitted here to measurements of a target.
pub fn installed(target: &str) -> Result<Option<Fitted>, Failure> {
    let exists = |file: &PathBuf| match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Whatever else is wrong is said when the file is read.
        _ => true,
    };
    let files = Precision::ALL.map(|precision| file(&folder(), target, precision));
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

/// What predicts latencies for a target: the models in these files; else what was fitted here,
/// where the target measures; else the target's own source.
pub fn predictor(
    target: &dyn Target,
    models: &[PathBuf],
) -> Result<Arc<dyn LatencySource>, Failure> {
    let name = target.description().name;
    if !models.is_empty() {
        let models = models.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Arc::new(Fitted::new(&name, models).map_err(Failure::input)?));
    }
    let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
    if target.description().latency != LatencyKind::Measured {
        return Ok(source);
    }
    let again = format!("spacewright target fit {name} --hyperspace <HYPERSPACE>");
    let Some(fitted) = installed(&name)? else {
        let message = format!("`{name}` is measured, and no predictor was fitted to it yet");
        return Err(Failure::input(message).hint(format!("fit one with `{again}`")));
    };
    for precision in fitted.precisions() {
        let model = fitted.predictor(precision).map(|predictor| predictor.model());
        let of = model.map(|model| model.fingerprint.clone()).unwrap_or_default();
        if of != source.fingerprint() {
            let here = source.fingerprint();
            let message = format!(
                "the predictor of `{name}` ({}) was fitted for another machine or runtime:\n  \
                 fitted: {of}\n  here:   {here}",
                precision.name()
            );
            return Err(Failure::input(message)
                .hint(format!("fit it again with `{again}`, or name its files with --model")));
        }
    }
    Ok(Arc::new(fitted))
}
