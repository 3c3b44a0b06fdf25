//! `spacewright model …`

use std::{collections::BTreeMap, fmt::Write as _, fs, sync::Arc};

use serde::Serialize;
use spacewright_core::{
    latency::{LatencyQuery, Position, Precision},
    model::{ModelSummary, OperatorSummary, TensorSummary},
    space::network,
    target::{Measurement, Target},
};

use crate::{
    catalog,
    cli::{InspectArgs, ModelCommand},
    commands::{
        subnet,
        target::{Predictor, by_format},
    },
    render::{Failure, Output, Table, grouped},
};

pub fn run(command: &ModelCommand) -> Result<Output, Failure> {
    match command {
        ModelCommand::Inspect(args) => inspect(args),
    }
}

#[derive(Serialize)]
struct InspectReport {
    model: String,
    #[serde(flatten)]
    summary: ModelSummary,
    /// How often each kind of operator occurs.
    kinds: BTreeMap<String, usize>,
    float_operators: Vec<String>,
    target: String,
    /// `None` where it was not measured; see `not_measured`.
    measured: Option<Measurement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_measured: Option<String>,
    /// By the target's predictor, for files that name their space and subnet.
    predicted_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_predicted: Option<String>,
}

fn inspect(args: &InspectArgs) -> Result<Output, Failure> {
    let registry = catalog::registry()?;
    let model = args.model.display().to_string();
    let content =
        fs::read(&args.model).map_err(|error| Failure::input(format!("{model}: {error}")))?;
    let reader = by_format(&registry, &args.model)?;
    let target = match &args.target {
        Some(name) => catalog::target(&registry, name)?,
        None => Arc::clone(&reader),
    };
    let summary = reader
        .inspect(&content)
        .map_err(|error| Failure::input(format!("{model}: {}", error.reason)))?;
    let measured = if args.no_measuring {
        Err("--no-measuring was given".into())
    } else {
        let measured = target.runtime().and_then(|runtime| runtime.measure(&content));
        measured.map_err(|error| error.reason.to_string())
    };
    let predicted = predict(target.as_ref(), &summary);
    let kinds = count(summary.operators.iter().map(|operator| operator.kind.as_str()));
    let inspected = InspectReport {
        model,
        kinds,
        float_operators: summary.float_operators(),
        summary,
        target: target.description().name,
        not_measured: measured.as_ref().err().map(ToString::to_string),
        measured: measured.ok(),
        not_predicted: predicted.as_ref().err().cloned(),
        predicted_ms: predicted.ok(),
    };
    Output::new(text(&inspected), &inspected)
}

/// Milliseconds of the network that a file of Spacewright's says it holds.
fn predict(target: &dyn Target, summary: &ModelSummary) -> Result<f64, String> {
    let entry = |key: &str| {
        let text = summary.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| format!("the file does not say its network: it has no `{key}`"))
    };
    let (space, encoding) = (entry("spacewright.space")?, entry("spacewright.subnet")?);
    let text = |failure: Failure| failure.to_string();
    let source = Predictor::of(target, &[]).map_err(text)?.source;
    let (hyperspace, space) = catalog::space(space, None).map_err(text)?;
    let (_, segments) = subnet::segments(encoding, &hyperspace, &space).map_err(text)?;
    let graph = network(segments).map_err(|error| error.to_string())?;
    let precision = if summary.is_quantized() { Precision::Int8 } else { Precision::Fp32 };
    let query = LatencyQuery { graph, precision, position: Position::Whole };
    let latencies = source.latencies(&[query]).map_err(|error| error.to_string())?;
    latencies.first().map(|latency| latency.ms).ok_or_else(|| "no answer".into())
}

fn text(inspected: &InspectReport) -> String {
    let InspectReport { summary, kinds, .. } = inspected;
    let bytes = |count: usize| grouped(&count.to_string());
    let mut text = format!(
        "{} ({}): {} bytes, of which {} are constants\n",
        summary.name,
        summary.format,
        bytes(summary.file_bytes),
        bytes(summary.constants_bytes)
    );
    for (key, value) in &summary.metadata {
        let _ = writeln!(text, "{key}: {}", value.replace('\n', ", "));
    }
    for (what, tensors) in [("input", &summary.inputs), ("output", &summary.outputs)] {
        for tensor in tensors {
            let _ = writeln!(text, "{what} {}: {}", tensor.name, described(tensor));
        }
    }
    let mut table = Table::new(&["operator", "name", "result", "weights"]);
    for operator in &summary.operators {
        let result = operator.outputs.first().map(described).unwrap_or_default();
        table.row([operator.kind.clone(), operator.name.clone(), result, weights(operator)]);
    }
    let _ = writeln!(text, "\n{}", table.render());
    let _ = writeln!(text, "{} operators: {}", summary.operators.len(), counted(kinds));
    let float = match &inspected.float_operators[..] {
        [] => "none".to_owned(),
        float => {
            let kinds = float.iter().map(|name| name.split(' ').next().unwrap_or_default());
            counted(&count(kinds))
        }
    };
    let _ = writeln!(text, "with real numbers: {float}");
    match (&inspected.measured, &inspected.not_measured) {
        (Some(measured), _) => {
            let Measurement { min_ms, median_ms, runs, warnings, .. } = measured;
            let target = &inspected.target;
            let _ = writeln!(
                text,
                "measured on {target}: {min_ms:.4} ms (minimum of {runs} runs; median \
                 {median_ms:.4})"
            );
            for warning in warnings {
                let _ = writeln!(text, "warning: {warning}");
            }
        }
        (None, reason) => {
            let reason = reason.as_deref().unwrap_or_default();
            let _ = writeln!(text, "not measured: {}", reason.replace('\n', "; "));
        }
    }
    match (inspected.predicted_ms, &inspected.not_predicted) {
        (Some(ms), _) => {
            let _ = writeln!(text, "predicted for {}: {ms:.4} ms", inspected.target);
        }
        (None, reason) => {
            let _ = writeln!(text, "not predicted: {}", reason.as_deref().unwrap_or_default());
        }
    }
    text
}

fn count<'a>(kinds: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    kinds.for_each(|kind| *counts.entry(kind.to_owned()).or_default() += 1);
    counts
}

fn counted(kinds: &BTreeMap<String, usize>) -> String {
    let each = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Type, shape and scale of a tensor, as far as the file tells.
fn described(tensor: &TensorSummary) -> String {
    let sizes: Vec<String> = tensor.shape.iter().map(i64::to_string).collect();
    let mut parts = vec![tensor.element.clone(), sizes.join("×")];
    match &tensor.scales[..] {
        [] => {}
        [scale] => {
            parts.push(format!("scale {scale:.3e}"));
            parts.extend(tensor.zero_point.map(|zero| format!("zero {zero}")));
        }
        scales => {
            let low = scales.iter().copied().fold(f32::INFINITY, f32::min);
            let high = scales.iter().copied().fold(0.0, f32::max);
            parts.push(format!("{} scales {low:.1e}…{high:.1e}", scales.len()));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// The first constant of an operator that is no scale, axis or size.
fn weights(operator: &OperatorSummary) -> String {
    let is_weights = |tensor: &&TensorSummary| tensor.constant && tensor.shape.len() > 1;
    operator.inputs.iter().find(is_weights).map(described).unwrap_or_default()
}
