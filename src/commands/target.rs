//! Targets.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use serde::Serialize;
use serde_json::json;
use spacewright_core::target::{LatencyKind, Measurement, Target};
use spacewright_engine::Registry;

use crate::{
    catalog,
    cli::TargetCommand,
    render::{Failure, Output, Table},
};

pub fn run(command: &TargetCommand) -> Result<Output, Failure> {
    let registry = catalog::registry()?;
    match command {
        TargetCommand::List => {
            let descriptions: Vec<_> = registry.targets.values().map(|t| t.description()).collect();
            let mut table = Table::new(&["target", "latency", "format", "scheme", "summary"]);
            for d in &descriptions {
                let scheme = d.scheme.name.clone();
                let format = d.model_format.clone();
                table.row([
                    d.name.clone(),
                    kind(d.latency).into(),
                    format,
                    scheme,
                    d.summary.clone(),
                ]);
            }
            Output::new(table.render(), &json!({ "targets": descriptions }))
        }
        TargetCommand::Measure { model, target } => measure(&registry, model, target.as_deref()),
        TargetCommand::Inspect { target } => {
            let target = registry.target(target)?;
            let description = target.description();
            let source = match target.latency_source() {
                Ok(source) => source.fingerprint(),
                Err(error) => format!("not available: {}", error.reason),
            };
            let scheme = &description.scheme;
            let text = format!(
                "{}: {}\nlatency: {}, {source}\nmodel format: {}\nscheme {}: dense weights {:?}, \
                 depth-wise weights {:?}\nfused: {:?}\ndecomposed: {:?}",
                description.name,
                description.summary,
                kind(description.latency),
                description.model_format,
                scheme.name,
                scheme.dense_weights,
                scheme.depthwise_weights,
                scheme.fused,
                scheme.decomposed
            );
            Output::new(text, &json!({ "target": description, "latency_source": source }))
        }
    }
}

#[derive(Serialize)]
struct Measured<'a> {
    model: &'a Path,
    target: String,
    #[serde(flatten)]
    measurement: Measurement,
}

fn measure(registry: &Registry, model: &Path, target: Option<&str>) -> Result<Output, Failure> {
    let target = match target {
        Some(name) => registry.target(name)?,
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
    Output::new(text, &Measured { model, target, measurement })
}

/// The first target that runs files of this format.
fn by_format(registry: &Registry, model: &Path) -> Result<Arc<dyn Target>, Failure> {
    let format = model.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let runs = |target: &&Arc<dyn Target>| {
        target.has_runtime() && target.description().model_format == format
    };
    registry.targets.values().find(runs).cloned().ok_or_else(|| {
        Failure::input(format!("{}: no target runs `{format}` files", model.display()))
            .hint("name a target with --target")
    })
}

fn kind(latency: LatencyKind) -> &'static str {
    match latency {
        LatencyKind::Measured => "measured",
        LatencyKind::Fitted => "fitted",
        LatencyKind::Modelled => "modelled",
    }
}
