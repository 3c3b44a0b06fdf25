//! The networks of a study beside its rivals, as points: `networks.csv` and `networks.svg`.

use serde::Serialize;
use spacewright_core::study::{StepContext, StepError};

use super::{Point, StudyReport};
use crate::{
    error::SpaceEvoError,
    plot::{self, Joined, Panel},
};

/// A line of the table.
#[derive(Serialize)]
struct Row<'a> {
    /// `network-N`, as in the name of its files, or the folder of a rival.
    network: &'a str,
    is_rival: bool,
    int8_ms: f64,
    fp32_ms: Option<f64>,
    int8_accuracy: Option<f64>,
    fp32_accuracy: Option<f64>,
    macs: u64,
    params: u64,
}

/// Publishes the table and the plot.
pub(crate) fn publish(context: &dyn StepContext, report: &StudyReport) -> Result<(), StepError> {
    let table = table(report).map_err(StepError::method)?;
    context.publish("networks.csv", table.as_bytes())?;
    let svg = plot(report).map_err(SpaceEvoError::from)?;
    context.publish("networks.svg", svg.as_bytes()).map(drop)
}

fn table(report: &StudyReport) -> Result<String, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for network in &report.budgets {
        table.serialize(Row {
            network: network.file.split('.').next().unwrap_or_default(),
            is_rival: false,
            int8_ms: network.latency.int8_ms,
            fp32_ms: network.latency.fp32_ms,
            int8_accuracy: Some(network.network.int8_accuracy),
            fp32_accuracy: Some(network.network.fp32_accuracy),
            macs: network.network.macs,
            params: network.network.params,
        })?;
    }
    for rival in &report.rivals {
        table.serialize(Row {
            network: &rival.model,
            is_rival: true,
            int8_ms: rival.latency.int8_ms,
            fp32_ms: rival.latency.fp32_ms,
            int8_accuracy: rival.network.int8_accuracy,
            fp32_accuracy: rival.network.fp32_accuracy,
            macs: rival.network.macs,
            params: rival.network.params,
        })?;
    }
    let bytes = table.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn plot(report: &StudyReport) -> Result<String, spacewright_plot::PlotError> {
    let percent = |(ms, accuracy): Point| (ms, 100.0 * accuracy);
    let own = report.budgets.iter().map(|network| percent(network.point())).collect();
    let rivals = report.rivals.iter().map(|rival| vec![percent(rival.point())]);
    let rival_names = report.rivals.iter().map(|rival| rival.model.clone());
    let names: Vec<String> = std::iter::once("this study".to_owned()).chain(rival_names).collect();
    let panel = Panel {
        x: "INT8 latency in ms",
        y: "INT8 accuracy on test images in %",
        series: std::iter::once(own).chain(rivals).collect(),
        joined: Joined::Lines,
    };
    plot::svg(&format!("Networks on {}", report.target), &names, &[panel])
}
