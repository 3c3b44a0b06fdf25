//! What each study has cost.

use maud::html;
use spacewright_core::study::duration;

use super::{ComparePageData, study};
use crate::{
    chart::{Bar, BarRow, Bars, Csv, Figure, Key, keys},
    number::Shown,
    parts::Part,
};

pub fn part(data: &ComparePageData) -> Part {
    let report = &data.report;
    let mut csv = Csv::new(&["study", "step", "seconds", "core_seconds"]);
    let mut steps: Vec<&str> = Vec::new();
    for cost in report.studies.iter().flat_map(|row| &row.costs) {
        if !steps.contains(&cost.step.as_str()) {
            steps.push(&cost.step);
        }
    }
    let mut rows = Vec::new();
    for step in steps {
        let mut bars = Vec::new();
        for (position, row) in report.studies.iter().enumerate() {
            let costs = row.costs.iter().enumerate();
            for (index, cost) in costs.filter(|(_, cost)| cost.step == step) {
                let (name, color) = study(report, position);
                csv.row([name.into(), step.into(), cost.seconds.into(), cost.core_seconds.into()]);
                bars.push(Bar {
                    value: cost.seconds,
                    text: duration(cost.seconds),
                    color,
                    tip: format!("{name}, {step}: {}", duration(cost.seconds)),
                    path: format!("report.studies.{position}.costs.{index}.seconds"),
                });
            }
        }
        rows.push(BarRow { name: step.to_owned(), bars });
    }
    let names: Vec<Key> = (0..report.studies.len())
        .map(|position| study(report, position))
        .map(|(name, color)| Key { name: name.to_owned(), color })
        .collect();
    let figure = Figure {
        id: "step-times",
        title: "Time by step",
        about: "All attempts together, those that were stopped included.",
        svg: Bars { rows }.svg("Time that the steps of each study took"),
        csv,
    };
    Part {
        id: "costs",
        title: "What they cost",
        lead: html! {
            "How long the steps of each study took. What a study takes from another counts for both."
        },
        body: html! {
            (keys(&names))
            (figure.markup())
            ul.remarks {
                @for row in &report.studies {
                    @let seconds: f64 = row.costs.iter().map(|cost| cost.seconds).sum();
                    @let cores: f64 = row.costs.iter().map(|cost| cost.core_seconds).sum();
                    li {
                        bdi { (row.study) } ": " (duration(seconds)) ", "
                        (Shown::plain("", cores / 3600.0, 2).derived()) " core-hours"
                    }
                }
            }
        },
    }
}
