//! Accuracy against latency of all networks, a drawing for each target.

use maud::{Markup, html};
use spacewright_spaceevo::report::compare::StudiesReport;

use super::study;
use crate::{
    chart::{Csv, Figure, Line, Mark, Plot, Shape, Stroke, accuracy_axes},
    number::Shown,
    parts::{Part, accuracy_range},
};

/// Shapes of the studies' marks, which repeat.
const SHAPES: [Shape; 4] = [Shape::Circle, Shape::Square, Shape::Diamond, Shape::Triangle];

pub fn part(report: &StudiesReport) -> Part {
    Part {
        id: "fronts",
        title: "Accuracy against latency",
        lead: html! {
            "Each point is a network in INT8 on the target: the further up and to the left, the better. A line \
             through a point is the interval of 95 % certainty, one to its right the spread of its runs."
        },
        body: html! {
            @for at in 0..report.targets.len() { (front(report, at)) }
        },
    }
}

fn front(report: &StudiesReport, at: usize) -> Markup {
    let mut csv = Csv::new(&[
        "study",
        "network",
        "int8_ms",
        "spread_ms",
        "accuracy",
        "accuracy_is_of_target",
    ]);
    let (mut lines, mut marks) = (Vec::new(), Vec::new());
    for position in 0..report.studies.len() {
        let (name, color) = study(report, position);
        let mut points = Vec::new();
        for (index, network) in report.studies[position].networks.iter().enumerate() {
            let on = network.on[at];
            csv.row([
                name.into(),
                (index as f64).into(),
                on.ms.into(),
                on.spread_ms.into(),
                on.accuracy.into(),
                if on.verified { "yes" } else { "no" }.into(),
            ]);
            let (ms, share) = (Shown::ms("", on.ms), Shown::percent("", on.accuracy));
            let path = format!("report.studies.{position}.networks.{index}.on.{at}");
            marks.push(Mark {
                x_range: Some((on.ms, on.ms + on.spread_ms)),
                y_range: network.test_images.map(|images| accuracy_range(on.accuracy, images)),
                shape: SHAPES[position % SHAPES.len()],
                hollow: !on.verified,
                x_path: format!("{path}.ms"),
                y_path: format!("{path}.accuracy"),
                link: Some(format!("#network-{position}-{index}")),
                ..Mark::new(
                    on.ms,
                    on.accuracy,
                    color,
                    format!("{name}, network {}: {}, {}", network.network, ms.text(), share.text()),
                )
            });
            points.push((on.ms, on.accuracy));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        lines.push(Line { points, color, stroke: Stroke::Solid, label: Some(name.to_owned()) });
    }
    let (x, y) = accuracy_axes("INT8 latency in ms", &marks);
    let plot = Plot { lines, marks, ..Plot::new(x, y) };
    let target = &report.targets[at];
    let figure = Figure {
        id: &format!("front-{at}"),
        title: &format!("On {target}"),
        about: "A hollow mark has the accuracy of its own target: its file is not one for this target.",
        svg: plot.svg(&format!("Accuracy against latency of all networks on {target}")),
        csv,
    };
    figure.markup()
}
