//! `spacewright target …`

mod evaluate;
mod fit;
pub mod fitted;
mod measure;
mod predict;
pub mod rows;

pub use fitted::Predictor;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use spacewright_core::{
    graph::OpKind,
    latency::{Accuracy, HeldOut},
    quant::WeightRange,
    target::{LatencyKind, Target, TargetDescription},
};

use crate::{
    catalog,
    cli::{Global, TargetCommand},
    render::{Failure, Output, Table},
};

pub fn run(command: &TargetCommand, global: &Global) -> Result<Output, Failure> {
    let registry = match command {
        // The process that opens the file has one of its own.
        TargetCommand::Measure(args) => return measure::measure(args, global),
        _ => catalog::registry()?,
    };
    match command {
        TargetCommand::List => list(registry.targets.values().map(AsRef::as_ref)),
        TargetCommand::Inspect { target } => inspect(&*catalog::target(&registry, target)?),
        TargetCommand::Measure(args) => measure::measure(args, global),
        TargetCommand::Predict(args) => predict::predict(&registry, args, global),
        TargetCommand::Evaluate(args) => evaluate::evaluate(&registry, args, global),
        TargetCommand::Fit(args) => fit::fit(&registry, args, global),
    }
}

/// A target with the errors of the predictor that was fitted to its measurements here.
#[derive(Serialize)]
struct TargetReport {
    #[serde(flatten)]
    target: TargetDescription,
    fitted: Vec<HeldOut>,
    /// Why the predictor that was fitted here cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

impl TargetReport {
    fn of(target: &dyn Target) -> Self {
        let (fitted, unusable) = match fitted::of_measured(target) {
            Ok(fitted) => (fitted.map(|fitted| fitted.held_out()).unwrap_or_default(), None),
            Err(failure) => (Vec::new(), Some(failure.to_string())),
        };
        Self { target: target.description(), fitted, unusable }
    }

    /// The first of the stated errors, as a cell.
    fn error(&self) -> String {
        match self.target.held_out.iter().chain(&self.fitted).next() {
            Some(held_out) => brief(&held_out.accuracy),
            None if self.target.latency == LatencyKind::Measured => "measured".into(),
            None => "not stated".into(),
        }
    }
}

/// An accuracy in few words.
fn brief(accuracy: &Accuracy) -> String {
    let [within, median] = [accuracy.within_10, accuracy.median_error].map(|share| 100.0 * share);
    format!("{within:.1}% within 10%, median {median:.1}%")
}

fn list<'a>(targets: impl Iterator<Item = &'a dyn Target>) -> Result<Output, Failure> {
    let targets: Vec<TargetReport> = targets.map(TargetReport::of).collect();
    let mut table = Table::new(&["target", "latency", "error", "format", "scheme", "summary"]);
    for listed in &targets {
        let d = &listed.target;
        table.row([
            d.name.clone(),
            kind(d.latency).into(),
            listed.error(),
            d.model_format.clone(),
            d.scheme.name.clone(),
            d.summary.clone(),
        ]);
    }
    Output::new(table.render(), &json!({ "targets": targets }))
}

fn inspect(target: &dyn Target) -> Result<Output, Failure> {
    let listed = TargetReport::of(target);
    let description = &listed.target;
    let (source, precisions) = match target.latency_source() {
        Ok(source) => (source.fingerprint(), source.precisions()),
        Err(error) => (format!("not available: {}", error.reason), Vec::new()),
    };
    let runtime = match target.runtime() {
        Ok(_) => "available".to_owned(),
        Err(error) => format!("not available: {}", error.reason),
    };
    let scheme = &description.scheme;
    let mut text = format!(
        "{}: {}\nlatency: {}, {source}\nprecisions: {}\nmodel format: {}\n\
         runtime: {runtime}\nscheme {}: dense weights in {}, depth-wise weights in {}\n\
         fused: {}\ndecomposed: {}\nkernels take in: {}\n",
        description.name,
        description.summary,
        kind(description.latency),
        listed_names(precisions.iter().map(|precision| precision.name())),
        description.model_format,
        scheme.name,
        weights(scheme.dense_weights),
        weights(scheme.depthwise_weights),
        pairs(&scheme.fused),
        listed_names(scheme.decomposed.iter().map(|activation| activation.name())),
        pairs(&description.fusion.absorbed),
    );
    if !description.unsupported.is_empty() {
        let unsupported = listed_names(description.unsupported.iter().map(|kind| kind.name()));
        let _ = writeln!(text, "not in integers: {unsupported}");
    }
    for (what, errors) in
        [("predictions", &description.held_out), ("predictor fitted here", &listed.fitted)]
    {
        for HeldOut { how, accuracy } in errors {
            let _ = writeln!(text, "{what}: {} of {} ({how})", brief(accuracy), accuracy.rows);
        }
    }
    if let Some(reason) = &listed.unusable {
        let _ = writeln!(text, "predictor fitted here: not usable, {reason}");
    }
    let report = json!({
        "target": listed,
        "latency_source": source,
        "precisions": precisions,
        "runtime": runtime,
    });
    Output::new(text, &report)
}

/// Names as a list.
fn listed_names(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Pairs of operators that are computed together.
fn pairs(pairs: &[(OpKind, OpKind)]) -> String {
    listed_names(pairs.iter().map(|(first, then)| format!("{} with {}", first.name(), then.name())))
}

/// The integers that weights may be.
fn weights(range: WeightRange) -> &'static str {
    match range {
        WeightRange::Bits7 => "7 bits",
        WeightRange::Bits8 => "8 bits",
        WeightRange::PairAware8 => "8 bits under the pair rule",
    }
}

/// How latencies are known, in a word.
pub fn kind(latency: LatencyKind) -> &'static str {
    match latency {
        LatencyKind::Measured => "measured",
        LatencyKind::Fitted => "fitted",
        LatencyKind::Modelled => "modelled",
    }
}
