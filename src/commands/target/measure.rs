//! Measuring model files.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use serde::Serialize;
use spacewright_core::target::{Measurement, Target};
use spacewright_engine::Registry;

use crate::{
    catalog,
    render::{Failure, Output},
};

#[derive(Serialize)]
struct MeasureReport<'a> {
    model: &'a Path,
    target: String,
    #[serde(flatten)]
    measurement: Measurement,
}

pub fn measure(registry: &Registry, model: &Path, target: Option<&str>) -> Result<Output, Failure> {
    let target = match target {
        Some(name) => catalog::target(registry, name)?,
        None => by_format(registry, model)?,
    };
    let content =
        fs::read(model).map_err(|error| Failure::input(format!("{}: {error}", model.display())))?;
    let measurement = target
        .runtime()
        .and_then(|runtime| runtime.measure(&content))
        .map_err(|error| Failure::failed(format!("{}: {}", model.display(), error.reason)))?;
    let target = target.description().name;
    let Measurement { min_ms, p10_ms, median_ms, runs, drift, warnings, machine } = &measurement;
    let mut text = format!(
        "{}: {min_ms:.4} ms (minimum of {runs} runs; p10 {p10_ms:.4}, median {median_ms:.4})\n\
         drift  {drift:.2} between the fastest and the slowest round of an unchanging model\n",
        model.display()
    );
    for (key, value) in machine {
        let _ = writeln!(text, "{key:<9}{value}");
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    Output::new(text, &MeasureReport { model, target, measurement })
}

/// The first target that runs files of this format.
pub fn by_format(registry: &Registry, model: &Path) -> Result<Arc<dyn Target>, Failure> {
    let format = model.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let runs = |target: &&Arc<dyn Target>| {
        target.has_runtime() && target.description().model_format == format
    };
    registry.targets.values().find(runs).cloned().ok_or_else(|| {
        Failure::input(format!("{}: no target runs `{format}` files", model.display()))
            .hint("name a target with --target")
    })
}
