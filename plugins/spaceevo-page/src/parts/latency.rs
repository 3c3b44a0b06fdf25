//! The latency model: sums of parts against whole networks.

use maud::{Markup, html};

use super::{Part, network_name};
use crate::{
    chart::{Axis, Csv, Figure, Key, Line, Mark, Plot, Shape, Stroke, keys},
    data::PageData,
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    let latency = &data.report.latency;
    Part {
        id: "latency",
        title: "The latency model",
        lead: if latency.networks == 0 {
            html! { "The search adds up latencies of blocks; the sums were compared with no whole network." }
        } else {
            html! {
                "The search adds up latencies of blocks; against "
                (Shown::count("report.latency.networks", latency.networks as u64))
                " whole networks that were drawn at random, the sums are "
                (Shown::unsigned_percent("report.latency.bias", latency.bias))
                @if latency.bias < 0.0 { " too low" } @else { " too high" } " on average and "
                (Shown::percent("report.latency.rms_error", latency.rms_error))
                " off in the root mean square."
            }
        },
        body: html! {
            (pairs(data))
            (deciles(data))
            p {
                "Latencies hold for " code { (data.report.latency_source) } ". Limits that are fair to ask \
                 for, on this hardware, lie within the range of the second drawing."
            }
        },
    }
}

fn pairs(data: &PageData) -> Markup {
    let mut csv = Csv::new(&["network", "sum_of_parts_ms", "whole_network_ms"]);
    let mut marks = Vec::new();
    let mut add = |name: String, sum: f64, whole: f64, paths: (String, String), own: bool| {
        csv.row([(&name).into(), sum.into(), whole.into()]);
        let (of_parts, of_whole) = (Shown::ms("", sum), Shown::ms("", whole));
        let tip = format!("{name}: sum {}, whole {}", of_parts.text(), of_whole.text());
        marks.push(Mark {
            shape: if own { Shape::Diamond } else { Shape::Circle },
            hollow: !own,
            x_path: paths.1,
            y_path: paths.0,
            ..Mark::new(whole, sum, usize::from(own), tip)
        });
    };
    for (index, sum) in data.sums.iter().enumerate() {
        let path = format!("sums.{index}");
        let paths = (format!("{path}.predicted_ms"), format!("{path}.measured_ms"));
        add(format!("of {}", sum.space), sum.predicted_ms, sum.measured_ms, paths, false);
    }
    for (index, network) in data.report.budgets.iter().enumerate() {
        let path = format!("report.budgets.{index}");
        let paths = (format!("{path}.predicted_ms"), format!("{path}.int8_ms"));
        add(network_name(data, index), network.predicted_ms, network.latency.int8_ms, paths, true);
    }
    let values: Vec<f64> = marks.iter().flat_map(|mark| [mark.x, mark.y]).collect();
    let x = Axis::around("whole network, in ms", values.iter().copied());
    let y = Axis::around("sum of its parts, in ms", values);
    let plot = Plot { marks, diagonal: true, ..Plot::new(x, y) };
    let key = |name: &str, color: usize| Key { name: name.into(), color };
    let figure = Figure {
        id: "sums-of-parts",
        title: "Sums of parts against whole networks",
        about: "On the line, the sum of the parts is what the whole takes, as the source of latencies says.",
        svg: plot.svg("Sum of parts against the latency of whole networks"),
        csv,
    };
    html! {
        (keys(&[key("drawn at random ○", 0), key("networks of this study ◆", 1)]))
        (figure.markup())
    }
}

/// How fast random subnets are, and where the budgets lie among them.
fn deciles(data: &PageData) -> Markup {
    let mut csv = Csv::new(&["share_of_subnets", "latency_ms"]);
    let deciles = &data.report.latency.deciles_ms;
    let mut points = Vec::new();
    let mut marks = Vec::new();
    for (index, &ms) in deciles.iter().enumerate() {
        let share = index as f64 / deciles.len().saturating_sub(1).max(1) as f64;
        csv.row([share.into(), ms.into()]);
        points.push((ms, share));
        let tip = format!(
            "{:.0} % of random subnets take at most {}",
            100.0 * share,
            Shown::ms("", ms).text()
        );
        let x_path = format!("report.latency.deciles_ms.{index}");
        marks.push(Mark { x_path, ..Mark::new(ms, share, 0, tip) });
    }
    let budgets = data.report.budgets.iter().map(|network| network.budget_ms);
    let x = Axis::around("latency in ms", deciles.iter().copied().chain(budgets.clone()));
    let y =
        Axis::between("random subnets of random spaces that take at most so long, in %", 0.0, 1.0);
    let rules = budgets.map(|x| crate::chart::Rule { x, label: "budget".into() }).collect();
    let lines = vec![Line { points, color: 0, stroke: Stroke::Solid, label: None }];
    let plot = Plot { lines, marks, rules, height: 260.0, ..Plot::new(x, y.in_percent()) };
    let figure = Figure {
        id: "latencies",
        title: "How fast networks of this hyperspace are",
        about: "",
        svg: plot.svg("Distribution of the latencies of random subnets, with the budgets"),
        csv,
    };
    figure.markup()
}
