//! Predictions against measurements.

use std::collections::BTreeMap;

use serde::Serialize;
use spacewright_core::{
    latency::{Accuracy, HeldOut, LatencyQuery, Precision},
    quality::Cell,
    random::generator,
    target::{LatencyKind, Target},
};
use spacewright_engine::Registry;

use super::{
    brief,
    fitted::{Predictor, check_here},
    kind, rows,
};
use crate::{
    catalog,
    cli::{EvaluateArgs, Global},
    measuring::Measuring,
    progress,
    render::{Failure, Output, Table},
};

/// Accuracy with what is systematic in it.
#[derive(Serialize)]
struct Errors {
    #[serde(flatten)]
    accuracy: Accuracy,
    /// Mean of predicted / measured − 1.
    bias: f64,
    /// Standard deviation of predicted / measured.
    spread: f64,
}

impl Errors {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let count = pairs.len() as f64;
        let ratios = pairs.iter().map(|(predicted, measured)| predicted / measured);
        let mean = ratios.clone().sum::<f64>() / count;
        let variance = ratios.map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / count;
        Self {
            accuracy: Accuracy::of(pairs.iter().copied()),
            bias: mean - 1.0,
            spread: variance.sqrt(),
        }
    }

    fn cells(&self, name: &str) -> [String; 8] {
        let Accuracy { rows, within_5, within_10, median_error, mape } = self.accuracy;
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        [
            name.into(),
            rows.to_string(),
            percent(within_5),
            percent(within_10),
            percent(median_error),
            percent(mape),
            percent(self.bias),
            percent(self.spread),
        ]
    }
}

#[derive(Serialize)]
struct EvaluationReport {
    target: String,
    latency: LatencyKind,
    predictor: String,
    #[serde(flatten)]
    all: Errors,
    /// By block type, or by precision of whole networks.
    by: BTreeMap<String, Errors>,
    /// Errors on rows that were held out.
    stated: Vec<HeldOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkComparison>,
}

/// One whole network.
#[derive(Serialize)]
struct NetworkComparison {
    precision: Precision,
    predicted_ms: f64,
    measured_ms: f64,
}

pub fn evaluate(
    registry: &Registry,
    args: &EvaluateArgs,
    global: &Global,
) -> Result<Output, Failure> {
    let target = catalog::target(registry, &args.target)?;
    let predictor = Predictor::of(&*target, &args.predictor.models)?;
    let operators = registry.operators();
    let mut pairs = BTreeMap::<String, Vec<(f64, f64)>>::new();
    let mut compare = |rows: Vec<rows::MeasuredGraph>| {
        let queries: Vec<LatencyQuery> = rows.iter().map(|row| row.query.clone()).collect();
        let predicted = predictor.source.latencies(&queries).map_err(Failure::failed)?;
        for (row, predicted) in rows.into_iter().zip(predicted) {
            pairs.entry(row.name).or_default().push((predicted.ms, row.ms));
        }
        Ok(())
    };
    let hyperspace = args.hyperspace.as_deref().map(catalog::hyperspace).transpose()?;
    let mut networks = Vec::new();
    match (&args.blocks, &args.tables, &hyperspace) {
        (Some(file), ..) => {
            rows::blocks(file, &operators, args.predictor.precision.into(), compare)?
        }
        (_, Some(folder), Some(hyperspace)) => {
            let bar = progress::bar(Cell::of_hyperspace(hyperspace).len(), global.quiet);
            rows::tables(folder, hyperspace, &operators, |rows| {
                bar.inc(1);
                compare(rows)
            })?;
            bar.finish_and_clear();
        }
        (.., Some(hyperspace)) => {
            let seed = global.seed.unwrap_or(0).to_string();
            let mut rng = generator(0, &["evaluate", &seed]);
            let count = args.networks.unwrap_or_default().into();
            let all = rows::networks(hyperspace, &operators, count, &mut rng)?;
            networks = measured(&*target, &predictor, &all, global)?;
            for NetworkComparison { precision, predicted_ms, measured_ms } in &networks {
                let of = pairs.entry(precision.name().into()).or_default();
                of.push((*predicted_ms, *measured_ms));
            }
        }
        _ => return Err(Failure::input("nothing to compare with").hint("give --hyperspace")),
    }
    let all: Vec<(f64, f64)> = pairs.values().flatten().copied().collect();
    let report = EvaluationReport {
        target: target.description().name,
        latency: predictor.kind,
        predictor: predictor.source.fingerprint(),
        all: Errors::of(&all),
        by: pairs.iter().map(|(name, pairs)| (name.clone(), Errors::of(pairs))).collect(),
        stated: predictor.held_out,
        networks,
    };
    Output::new(text(&report), &report)
}

/// Measures networks at every precision that both know.
fn measured(
    target: &dyn Target,
    predictor: &Predictor,
    networks: &[spacewright_latency_model::CandidateGraph],
    global: &Global,
) -> Result<Vec<NetworkComparison>, Failure> {
    let source = target.latency_source().map_err(|error| Failure::failed(error.reason))?;
    if target.description().latency != LatencyKind::Measured {
        let name = target.description().name;
        let message = format!("`{name}` does not measure: {}", kind(target.description().latency));
        return Err(Failure::input(message).hint("compare it with --blocks or --tables"));
    }
    if let Some(fitted) = &predictor.fitted {
        check_here(fitted, &*source)?;
    }
    let known = predictor.source.precisions();
    let precisions = source.precisions().into_iter().filter(|precision| known.contains(precision));
    let queries: Vec<LatencyQuery> = precisions
        .flat_map(|precision| networks.iter().map(move |network| network.query(precision)))
        .collect();
    let predicted = predictor.source.latencies(&queries).map_err(Failure::failed)?;
    let measuring = Measuring::new(queries.len(), global.quiet)?;
    let measured = measuring.latencies(&*source, &queries)?;
    let pairs = queries.iter().zip(predicted).zip(measured);
    Ok(pairs
        .map(|((query, predicted), measured)| NetworkComparison {
            precision: query.precision,
            predicted_ms: predicted.ms,
            measured_ms: measured.ms,
        })
        .collect())
}

fn text(report: &EvaluationReport) -> String {
    let heading =
        ["rows of", "rows", "within 5%", "within 10%", "median %", "mean %", "bias %", "spread %"];
    let mut table = Table::new(&heading);
    table.row(report.all.cells("all"));
    for (name, errors) in &report.by {
        table.row(errors.cells(name));
    }
    let mut text = format!(
        "{} ({}), predicted by {}\n\n{}",
        report.target,
        kind(report.latency),
        report.predictor,
        table.render()
    );
    if report.networks.is_empty() && report.latency == LatencyKind::Fitted {
        text += "\nrows that the predictor was fitted to are no test of it; held out, it had:";
    }
    for HeldOut { how, accuracy } in &report.stated {
        text += &format!("\nstated: {} of {} ({how})", brief(accuracy), accuracy.rows);
    }
    text
}
