//! The best network of each study within the same latency limits.

use maud::{Markup, html};
use spacewright_spaceevo::report::compare::{MatchedTarget, StudiesReport};

use super::study;
use crate::{
    chart::{Csv, Figure, IntervalRow, Intervals},
    number::Shown,
    parts::{Part, table},
};

pub fn part(report: &StudiesReport) -> Part {
    Part {
        id: "matched",
        title: "Within the same latency",
        lead: html! {
            "For each latency that a network takes, the most accurate network of each study that is as fast, and how \
             many points it is better than that of the study that was designed for the target."
        },
        body: html! {
            @for (at, matched) in report.matched.iter().enumerate() {
                h3 { "On " (matched.target) ", against " bdi { (matched.reference) } }
                (differences(report, at, matched))
                (networks(report, at, matched))
            }
            p.note {
                "Intervals are Newcombe's, at 95 %, as if the networks had been judged on different images. They \
                 were judged on the same ones, where differences are surer than this. Where an interval has nought \
                 in it, no difference is shown."
            }
        },
    }
}

fn differences(report: &StudiesReport, at: usize, matched: &MatchedTarget) -> Markup {
    let mut csv = Csv::new(&["limit_ms", "study", "difference", "low", "high"]);
    let mut rows = Vec::new();
    for (index, limit) in matched.limits.iter().enumerate() {
        for (position, network) in limit.networks.iter().enumerate() {
            let Some((network, difference)) = network.and_then(|n| Some((n, n.difference?))) else {
                continue;
            };
            let (name, color) = study(report, position);
            let range = network.interval.map(|interval| (interval.low, interval.high));
            csv.row([
                limit.limit_ms.into(),
                name.into(),
                difference.into(),
                range.map(|range| range.0).into(),
                range.map(|range| range.1).into(),
            ]);
            let (within, points) =
                (Shown::ms("", limit.limit_ms), Shown::signed("", 100.0 * difference, 2));
            let path = format!("report.matched.{at}.limits.{index}.networks.{position}.difference");
            rows.push(IntervalRow {
                name: format!("{} {name}", within.text()),
                value: difference,
                range,
                color,
                tip: format!("{name} within {}: {} points", within.text(), points.text()),
                path,
            });
        }
    }
    if rows.is_empty() {
        return html! { p.note { "At no latency have two studies a network each." } };
    }
    let label = format!("points more than {}", matched.reference);
    let figure = Figure {
        id: &format!("differences-{at}"),
        title: "Differences of accuracy within the same latency",
        about: "To the right of the line a network is better than that of the reference.",
        svg: Intervals { label: &label, rows }
            .svg(&format!("Differences of accuracy on {}", matched.target)),
        csv,
    };
    figure.markup()
}

fn networks(report: &StudiesReport, at: usize, matched: &MatchedTarget) -> Markup {
    let mut heading = vec!["within"];
    heading.extend(report.studies.iter().map(|row| row.study.as_str()));
    let rows = matched.limits.iter().enumerate().map(|(index, limit)| {
        let path = format!("report.matched.{at}.limits.{index}");
        let mut cells = vec![html! { (Shown::ms(format!("{path}.limit_ms"), limit.limit_ms)) }];
        cells.extend(limit.networks.iter().enumerate().map(|(position, network)| {
            let path = format!("{path}.networks.{position}");
            html! {
                @match network {
                    Some(network) => {
                        a href={ "#network-" (position) "-" (network.network) } {
                            "network " (report.studies[position].networks[network.network].network)
                        } ": "
                        (Shown::percent(format!("{path}.accuracy"), network.accuracy))
                        @if let Some(interval) = network.interval {
                            " (" (Shown::signed("", 100.0 * interval.low, 2).derived()) " to "
                            (Shown::signed("", 100.0 * interval.high, 2).derived()) " points)"
                        }
                    }
                    None => "–",
                }
            }
        }));
        cells
    });
    table(&heading, rows.collect())
}
