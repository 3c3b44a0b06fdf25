//! Predicting one network.

use std::path::Path;

use serde::Serialize;
use spacewright_core::{
    graph::Graph,
    kernel::{Kernel, KernelReader},
    latency::{HeldOut, Interval, LatencyQuery, LatencySource, Position, Precision},
    space::network,
    target::LatencyKind,
};
use spacewright_engine::Registry;

use super::{brief, fitted::Predictor, kind};
use crate::{
    catalog,
    cli::{Global, PredictArgs},
    commands::{model::import, subnet},
    render::{Failure, Output, Table},
};

#[derive(Serialize)]
struct PredictionReport {
    target: String,
    latency: LatencyKind,
    predictor: String,
    /// Of a subnet its encoding, else the file or folder.
    network: String,
    /// Of a subnet the space that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    precision: Precision,
    ms: f64,
    /// Nine of ten measurements are expected in it, where that is known.
    interval: Option<Interval>,
    /// Errors on rows that were held out.
    stated: Vec<HeldOut>,
    kernels: Vec<KernelReport>,
    /// What the kernels with times leave over: entering and leaving the runtime, and kernels that
    /// cannot stand alone.
    rest_ms: f64,
}

#[derive(Serialize)]
struct KernelReport {
    /// Stage or block of the first operator.
    part: String,
    kernel: Kernel,
    /// `None` where the kernel cannot stand alone.
    ms: Option<f64>,
}

pub fn predict(
    registry: &Registry,
    args: &PredictArgs,
    global: &Global,
) -> Result<Output, Failure> {
    let target = catalog::target(registry, &args.target)?;
    let Predictor { source, kind, held_out, fitted } =
        Predictor::of(&*target, &args.predictor.models)?;
    let precision = Precision::from(args.predictor.precision);
    if !source.precisions().contains(&precision) {
        let known: Vec<&str> = source.precisions().into_iter().map(Precision::name).collect();
        let message = format!("`{}` predicts {} only", args.target, known.join(" and "));
        return Err(Failure::input(message).hint(format!("give --precision {}", known[0])));
    }
    let Network { name, space, graph } = Network::of(args, global)?;
    let description = target.description();
    let query = LatencyQuery { graph: graph.clone(), precision, position: Position::Whole };
    let whole = source.latencies(&[query]).map_err(Failure::failed)?;
    let Some(whole) = whole.first() else { return Err(Failure::failed("no answer")) };
    // A fitted model knows kernels by its own rules.
    let model = fitted.as_ref().and_then(|fitted| fitted.predictor(precision));
    let rules = model.map_or(&description.fusion, |predictor| &predictor.model().rules);
    let kernels = kernels(&mut KernelReader::new(rules), &graph, precision, &*source)?;
    let rest_ms = whole.ms - kernels.iter().filter_map(|kernel| kernel.ms).sum::<f64>();
    let report = PredictionReport {
        target: description.name,
        latency: kind,
        predictor: source.fingerprint(),
        stated: held_out,
        network: name,
        space,
        precision,
        ms: whole.ms,
        interval: whole.interval,
        // Below this it is what rounding of the sum leaves over.
        rest_ms: if rest_ms.abs() < 1e-9 * whole.ms { 0.0 } else { rest_ms },
        kernels,
    };
    Output::new(text(&report), &report)
}

/// What is predicted.
struct Network {
    name: String,
    space: Option<String>,
    graph: Graph,
}

impl Network {
    /// A network from outside, or a subnet.
    fn of(args: &PredictArgs, global: &Global) -> Result<Self, Failure> {
        let PredictArgs { network: name, space, hyperspace, opening, .. } = args;
        if let Some(graph) = import::graph(Path::new(name), opening, global)? {
            return Ok(Self { name: name.clone(), space: None, graph });
        }
        if space.is_none() && hyperspace.is_none() {
            let hint =
                "name a file or folder; the encoding of a subnet needs --space or --hyperspace";
            return Err(Failure::input(format!("{name}: there is no such file")).hint(hint));
        }
        let (hyperspace, space) = subnet::space_of(name, space.as_deref(), hyperspace.as_deref())?;
        let (subnet, segments) = subnet::segments(name, &hyperspace, &space)?;
        let graph = network(segments).map_err(Failure::failed)?;
        Ok(Self { name: subnet.to_string(), space: Some(space.to_string()), graph })
    }
}

/// Each kernel of a network, asked for alone.
fn kernels(
    reader: &mut KernelReader,
    graph: &Graph,
    precision: Precision,
    predictor: &dyn LatencySource,
) -> Result<Vec<KernelReport>, Failure> {
    let kernels = reader.kernels(graph, Position::Inside).map_err(Failure::failed)?;
    let mut reports = Vec::with_capacity(kernels.len());
    let mut queries = Vec::new();
    for (at, kernel) in kernels.into_iter().enumerate() {
        let nodes = reader.owners().iter().enumerate().filter(|(_, owner)| **owner == Some(at));
        let nodes: Vec<usize> = nodes.map(|(node, _)| node).collect();
        let part = graph.part(&nodes).map_err(Failure::failed)?;
        let alone = part.is_some();
        let query = |graph| LatencyQuery { graph, precision, position: Position::Inside };
        queries.extend(part.map(query));
        let first = nodes.first().map_or("", |node| graph.nodes[*node].name.as_str());
        let name = first.rsplit_once('.').map_or(first, |(part, _)| part).to_owned();
        reports.push((KernelReport { part: name, kernel, ms: None }, alone));
    }
    let mut latencies = predictor.latencies(&queries).map_err(Failure::failed)?.into_iter();
    let filled = reports.into_iter().map(|(report, alone)| KernelReport {
        ms: if alone { latencies.next().map(|latency| latency.ms) } else { None },
        ..report
    });
    Ok(filled.collect())
}

fn text(report: &PredictionReport) -> String {
    let mut table = Table::new(&["part", "kernel", "ms", "%"]);
    let percent = |ms: f64| format!("{:.1}", 100.0 * ms / report.ms);
    for KernelReport { part, kernel, ms } in &report.kernels {
        let [ms, share] = match ms {
            Some(ms) => [format!("{ms:.4}"), percent(*ms)],
            None => ["-".into(), "-".into()],
        };
        table.row([part.clone(), kernel.to_string(), ms, share]);
    }
    table.row([
        "rest".into(),
        String::new(),
        format!("{:.4}", report.rest_ms),
        percent(report.rest_ms),
    ]);
    let interval = report.interval.map_or_else(String::new, |Interval { low_ms, high_ms }| {
        format!(" (nine of ten measurements from {low_ms:.3} to {high_ms:.3})")
    });
    let stated =
        |HeldOut { how, accuracy }: &HeldOut| format!("stated: {} ({how})\n", brief(accuracy));
    let stated: String = report.stated.iter().map(stated).collect();
    format!(
        "{:.3} ms{interval}\n{} ({}), {}, predicted by {}\n{stated}\n{}",
        report.ms,
        report.target,
        kind(report.latency),
        report.precision.name(),
        report.predictor,
        table.render()
    )
}
