//! `spacewright model …`

mod classify;
mod float_cost;
mod folder;
pub mod import;
mod quantize;

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::Serialize;
use spacewright_core::{
    foreign::{Escaped, shortened},
    latency::{LatencyQuery, Position, Precision},
    model::{ModelSummary, OperatorSummary, SPACE_KEY, SUBNET_KEY, Scales, TensorSummary},
    space::network,
    target::{Measurement, Target},
};
use spacewright_measure::cpu;

use crate::{
    catalog,
    cli::{Global, InspectArgs, ModelCommand, ModelFileArgs, OpeningArgs},
    commands::{subnet, target::Predictor},
    foreign::{self, Found, OpenTask, Request, Task},
    render::{Failure, Output, Table, foreign_name, grouped},
};

pub fn run(command: &ModelCommand, global: &Global) -> Result<Output, Failure> {
    match command {
        ModelCommand::Inspect(args) => inspect(args, global),
        ModelCommand::Run(args) => classify::run(args, global),
        ModelCommand::Import(args) => import::run(args, global),
        ModelCommand::Quantize(args) => quantize::run(args, global),
    }
}

/// What the process that opens a file is asked.
pub fn request(args: &ModelFileArgs, task: OpenTask, global: &Global) -> Request {
    let target = args.target.clone();
    Request { target, ..opened(&args.model, &args.opening, Task::Open(task), global) }
}

/// The same of a file whose format says who opens it.
fn opened(model: &Path, opening: &OpeningArgs, task: Task, global: &Global) -> Request {
    Request {
        model: model.to_owned(),
        target: None,
        task,
        threads: global.threads.unwrap_or(1).into(),
        sizes: opening.open_sizes(),
        seconds: opening.limit,
        memory_gib: opening.memory,
    }
}

#[derive(Serialize)]
struct InspectReport {
    model: String,
    #[serde(flatten)]
    summary: ModelSummary,
    /// How often each kind of operator occurs.
    kinds: BTreeMap<String, usize>,
    /// Who says which operators compute with real numbers: the runtime, or the types in the file.
    float_operators_by: String,
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

fn inspect(args: &InspectArgs, global: &Global) -> Result<Output, Failure> {
    let task = OpenTask::Inspect { measures: !args.no_measuring };
    let found = foreign::ask(&request(&args.file, task, global), global.verbose)?;
    let Found { target, summary, float_by, predicted, measured, mut not_measured, .. } = found;
    let model = args.file.model.display().to_string();
    let summary =
        summary.ok_or_else(|| Failure::failed(format!("{model}: there is no summary")))?;
    if args.no_measuring {
        not_measured = Some("--no-measuring was given".into());
    }
    let (predicted_ms, not_predicted) = match predicted {
        Some(Ok(ms)) => (Some(ms), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, Some("nobody was asked".into())),
    };
    let inspected = InspectReport {
        model,
        kinds: count(summary.operators.iter().map(|operator| operator.kind.as_str())),
        float_operators_by: float_by.unwrap_or_else(|| "the types in the file".into()),
        summary,
        target,
        measured,
        not_measured,
        predicted_ms,
        not_predicted,
    };
    Output::new(text(&inspected), &inspected)
}

/// That a file's weights are too large for processors without VNNI, if they are.
pub fn saturation(summary: &ModelSummary) -> Option<String> {
    let operators = &summary.saturating_operators;
    let first = operators.first()?;
    let here = match cpu::has_vnni() {
        true => "exact on this processor, which has VNNI, but not on those without",
        false => "and this processor has no VNNI",
    };
    Some(format!(
        "{} of {} operators have weights beyond 7 bits, such as {}: {here}; without VNNI, x86 \
         processors add two products in 16 bits, which saturate, and results are wrong",
        operators.len(),
        summary.operators.len(),
        Escaped(first)
    ))
}

/// Milliseconds of the network that a file of Spacewright's says it holds.
pub fn predict(target: &dyn Target, summary: &ModelSummary) -> Result<f64, Failure> {
    let entry = |key: &str| {
        let text = summary.metadata.get(key).map(String::as_str);
        let message = || format!("the file does not say its network: it has no `{key}`");
        text.ok_or_else(|| Failure::input(message()))
    };
    let (space, encoding) = (entry(SPACE_KEY)?, entry(SUBNET_KEY)?);
    let source = Predictor::of(target, &[])?.source;
    let (hyperspace, space) = catalog::space(space, None)?;
    let (_, segments) = subnet::segments(encoding, &hyperspace, &space)?;
    let graph = network(segments).map_err(Failure::input)?;
    let precision = if summary.is_quantized() { Precision::Int8 } else { Precision::Fp32 };
    let query = LatencyQuery { graph, precision, position: Position::Whole };
    let latencies = source.latencies(&[query]).map_err(Failure::failed)?;
    latencies.first().map(|latency| latency.ms).ok_or_else(|| Failure::failed("no answer"))
}

fn text(inspected: &InspectReport) -> String {
    let InspectReport { summary, kinds, .. } = inspected;
    let bytes = |count: u64| grouped(&count.to_string());
    let mut text = format!(
        "{} ({}): {} bytes, {} bytes of constants\n",
        foreign_name(&summary.name),
        summary.format,
        bytes(summary.file_bytes),
        bytes(summary.constants_bytes)
    );
    for (file, used) in &summary.external_files {
        let _ = writeln!(text, "constants in {}: {} bytes", foreign_name(file), bytes(*used));
    }
    for (key, value) in &summary.metadata {
        let value = value.trim_end().replace('\n', ", ");
        let _ = writeln!(text, "{}: {}", foreign_name(key), Escaped(shortened(&value, 1000)));
    }
    for (what, tensors) in [("input", &summary.inputs), ("output", &summary.outputs)] {
        for tensor in tensors {
            let _ = writeln!(text, "{what} {}: {}", foreign_name(&tensor.name), described(tensor));
        }
    }
    let mut table = Table::new(&["operator", "name", "result", "weights"]);
    for operator in &summary.operators {
        let result = operator.outputs.first().and_then(|place| summary.tensors.get(*place));
        table.row([
            foreign_name(&operator.kind),
            foreign_name(summary.name_of(operator)),
            result.map(described).unwrap_or_default(),
            weights(summary, operator),
        ]);
    }
    let _ = writeln!(text, "\n{}", table.render());
    let _ = writeln!(text, "{} operators: {}", summary.operators.len(), counted(kinds));
    if !summary.custom_operators.is_empty() {
        let kinds: Vec<String> = summary.custom_operators.iter().map(|k| foreign_name(k)).collect();
        let _ = writeln!(text, "of other libraries: {}", kinds.join(", "));
    }
    let float = match &summary.float_operators[..] {
        [] => "none".to_owned(),
        float => {
            let kinds = float.iter().map(|name| name.split(' ').next().unwrap_or_default());
            counted(&count(kinds))
        }
    };
    let by = &inspected.float_operators_by;
    let _ = writeln!(text, "with real numbers: {float} (according to {by})");
    if let Some(saturation) = saturation(summary) {
        let _ = writeln!(text, "warning: {saturation}");
    }
    match (&inspected.measured, &inspected.not_measured) {
        (Some(measured), _) => {
            let Measurement { min_ms, median_ms, runs, warnings, inputs, machine, .. } = measured;
            let target = &inspected.target;
            let _ = writeln!(
                text,
                "measured on {target}: {min_ms:.4} ms (minimum of {runs} runs; median \
                 {median_ms:.4})"
            );
            if let Some(threads) = machine.get("threads") {
                let _ = writeln!(text, "threads: {threads}");
            }
            for input in inputs {
                let _ = writeln!(text, "measured with {input}");
            }
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
    let each = kinds.iter().map(|(kind, count)| format!("{count} {}", foreign_name(kind)));
    each.collect::<Vec<_>>().join(", ")
}

/// Type, shape and scale of a tensor, as far as the file tells.
fn described(tensor: &TensorSummary) -> String {
    let mut parts = vec![tensor.element.clone(), Escaped(tensor.sizes()).to_string()];
    match tensor.scales {
        None => {}
        Some(Scales { count: 1, smallest, .. }) => {
            parts.push(format!("scale {smallest:.3e}"));
            parts.extend(tensor.zero_point.map(|zero| format!("zero {zero}")));
        }
        Some(Scales { count, smallest, largest }) => {
            parts.push(format!("{count} scales {smallest:.1e}…{largest:.1e}"));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// The first constant of an operator that is no scale, axis or size.
fn weights(summary: &ModelSummary, operator: &OperatorSummary) -> String {
    let is_weights = |tensor: &&TensorSummary| tensor.constant && tensor.shape.len() > 1;
    let mut inputs = operator.inputs.iter().filter_map(|place| summary.tensors.get(*place));
    inputs.find(is_weights).map(described).unwrap_or_default()
}
