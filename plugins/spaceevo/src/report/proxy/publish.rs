//! The files of a report.

use spacewright_core::study::{StepContext, StepError};

use super::{JudgedSubnet, ProxyReport, SubnetPart};
use crate::{
    error::SpaceEvoError,
    plot::{self, Joined, Panel},
    report::table::csv_text,
};

/// Writes `proxy.json`, `proxy.csv` and `proxy.svg`.
pub(crate) fn publish(context: &dyn StepContext, report: &ProxyReport) -> Result<(), StepError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    context.publish("proxy.json", text.as_bytes())?;
    context.publish("proxy.csv", table(report).map_err(StepError::method)?.as_bytes())?;
    let series = series(report);
    let panel = |x: &'static str, value: fn(&JudgedSubnet) -> f64| {
        let point = |subnet: &&JudgedSubnet| (value(subnet), 100.0 * subnet.accuracy);
        let points = series.iter().map(|(_, subnets)| subnets.iter().map(point).collect());
        Panel { x, y: "INT8 accuracy in %", series: points.collect(), joined: Joined::Dots }
    };
    let panels = [
        panel("million multiply-adds", |subnet| subnet.multiply_adds as f64 / 1e6),
        panel("sum of block-wise losses", |subnet| subnet.loss),
        panel("corrected sum", |subnet| subnet.corrected_loss),
        panel("corrected and weighted sum", |subnet| subnet.weighted_loss),
    ];
    let names: Vec<String> = series.iter().map(|(name, _)| name.clone()).collect();
    let svg = plot::svg("Block-wise loss and accuracy of subnets", &names, &panels)
        .map_err(SpaceEvoError::from)?;
    context.publish("proxy.svg", svg.as_bytes()).map(drop)
}

/// A line for each subnet; a column for the loss of each stage.
pub(super) fn table(report: &ProxyReport) -> Result<String, csv::Error> {
    let mut heading = vec!["part", "name", "space", "subnet", "multiply_adds"];
    heading.extend(report.stages.iter().map(String::as_str));
    heading.extend(["loss", "corrected_loss", "weighted_loss", "accuracy"]);
    let row = |judged: &JudgedSubnet| {
        let part = match judged.part {
            SubnetPart::Fitted => "fitted",
            SubnetPart::HeldOut => "held out",
            SubnetPart::Second => "second space",
            SubnetPart::Manual => "manual space",
        };
        let JudgedSubnet { name, space, subnet, multiply_adds, losses, .. } = judged;
        let mut row: Vec<String> = [part, name, space, subnet].map(str::to_owned).into();
        row.push(multiply_adds.to_string());
        row.extend(losses.iter().map(f64::to_string));
        let JudgedSubnet { loss, corrected_loss, weighted_loss, accuracy, .. } = judged;
        row.extend([loss, corrected_loss, weighted_loss, accuracy].map(f64::to_string));
        row
    };
    csv_text(&heading, report.subnets.iter().map(row))
}

/// The subnets of each space, those of the found one in two parts, with what a legend calls them.
pub(super) fn series(report: &ProxyReport) -> Vec<(String, Vec<&JudgedSubnet>)> {
    let mut series: Vec<(String, Vec<&JudgedSubnet>)> = Vec::new();
    for subnet in &report.subnets {
        let name = match subnet.part {
            SubnetPart::Fitted => format!("{}, fitted", subnet.space),
            SubnetPart::HeldOut => format!("{}, held out", subnet.space),
            SubnetPart::Second | SubnetPart::Manual => format!("{}, {}", subnet.space, subnet.name),
        };
        match series.last_mut().filter(|(known, _)| *known == name) {
            Some((_, subnets)) => subnets.push(subnet),
            None => series.push((name, vec![subnet])),
        }
    }
    series
}
