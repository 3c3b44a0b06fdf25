//! Every network on every target.

use maud::html;
use spacewright_spaceevo::report::compare::StudiesReport;

use crate::{
    number::Shown,
    parts::{Part, table},
};

pub fn part(report: &StudiesReport) -> Part {
    let names: Vec<String> = report
        .targets
        .iter()
        .flat_map(|target| [format!("ms on {target}"), "accuracy".into()])
        .collect();
    let mut heading = vec!["study", "network"];
    heading.extend(names.iter().map(String::as_str));
    heading.push("encoding");
    let mut rows = Vec::new();
    for (position, row) in report.studies.iter().enumerate() {
        for (index, network) in row.networks.iter().enumerate() {
            let mut cells = vec![
                html! { bdi { (row.study) } },
                html! { span id={ "network-" (position) "-" (index) } { (network.network) } },
            ];
            for (at, on) in network.on.iter().enumerate() {
                let path = format!("report.studies.{position}.networks.{index}.on.{at}");
                cells.push(html! { (Shown::ms(format!("{path}.ms"), on.ms)) });
                let accuracy = Shown::percent(format!("{path}.accuracy"), on.accuracy);
                cells.push(html! {
                    @if on.verified { (accuracy) } @else { "(" (accuracy) ")" }
                });
            }
            cells.push(html! { code { (network.subnet) } });
            rows.push(cells);
        }
    }
    let is_verified = report.studies.iter().flat_map(|row| &row.networks);
    let is_verified = is_verified.flat_map(|network| &network.on).all(|on| on.verified);
    Part {
        id: "networks",
        title: "The networks",
        lead: html! { "Every network of each study, on every target." },
        body: html! {
            (table(&heading, rows))
            @if !is_verified {
                p.note {
                    "An accuracy in parentheses was computed on the study's own target; with "
                    code { "formats = [\"all\"]" } " under " code { "[export]" } " it is computed on each."
                }
            }
        },
    }
}
