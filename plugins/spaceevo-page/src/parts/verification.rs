//! Verification: the same networks in training, in integers and on the runtime.

use maud::{Markup, html};

use super::{Part, network_name, table};
use crate::{
    chart::{Axis, Csv, Figure, Key, Line, Mark, Plot, Stroke, keys},
    data::PageData,
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    let networks = || data.report.budgets.iter().map(|network| &network.network);
    let wrong = networks().any(|network| !network.wrong_operators.is_empty());
    let compared = networks().all(|network| network.checked_integers > 0);
    Part {
        id: "verification",
        title: "Verification",
        lead: html! {
            "Every file was run on the whole test set; operators of the INT8 files for " (data.report.target)
            @if wrong {
                " were compared with exact arithmetic, and some give other integers: see the remarks above."
            } @else if compared {
                " give the integers of exact arithmetic, but for rounding ties."
            } @else {
                " were not compared with exact arithmetic."
            }
        },
        body: html! { (drawing(data)) (checked(data)) (translated(data)) },
    }
}

/// The accuracies of each network on its way to the device.
fn drawing(data: &PageData) -> Markup {
    const STOPS: [&str; 5] =
        ["as searched", "FP32", "post-training", "as trained", "on the runtime"];
    const FIELDS: [&str; 5] = [
        "as_searched_accuracy",
        "fp32_accuracy",
        "ptq_accuracy",
        "fake_quant_accuracy",
        "int8_accuracy",
    ];
    let mut csv = Csv::new(&["network", "state", "accuracy"]);
    let (mut lines, mut marks) = (Vec::new(), Vec::new());
    for (index, network) in data.report.budgets.iter().enumerate() {
        let verified = &network.network;
        let values = [
            verified.as_searched_accuracy,
            Some(verified.fp32_accuracy),
            Some(verified.ptq_accuracy),
            Some(verified.fake_quant_accuracy),
            Some(verified.int8_accuracy),
        ];
        let mut points = Vec::new();
        for (stop, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            csv.row([network_name(data, index).into(), STOPS[stop].into(), value.into()]);
            let shown = Shown::percent("", value);
            let tip = format!("{}, {}: {}", network_name(data, index), STOPS[stop], shown.text());
            points.push((stop as f64, value));
            marks.push(Mark {
                y_path: format!("report.budgets.{index}.{}", FIELDS[stop]),
                ..Mark::new(stop as f64, value, index, tip)
            });
        }
        lines.push(Line { points, color: index, stroke: Stroke::Solid, label: None });
    }
    let y =
        Axis::around("test images that are classified correctly, in %", marks.iter().map(|m| m.y));
    let x = Axis::named("", &STOPS);
    let plot = Plot { lines, marks, height: 280.0, ..Plot::new(x, y.in_percent()) };
    let names =
        (0..data.report.budgets.len()).map(|color| Key { name: network_name(data, color), color });
    let figure = Figure {
        id: "verification-steps",
        title: "From the search to the runtime",
        about: "With the weights of the supernet; then trained alone, in FP32, quantized without training, with \
                learned scales, and as the runtime computes the file.",
        svg: plot.svg(
            "Accuracies of each network as searched, in FP32, quantized, trained and deployed",
        ),
        csv,
    };
    html! { (keys(&names.collect::<Vec<_>>())) (figure.markup()) }
}

fn checked(data: &PageData) -> Markup {
    let rows = data.report.budgets.iter().enumerate().map(|(index, network)| {
        let at = |field: &str| format!("report.budgets.{index}.{field}");
        let verified = &network.network;
        let none =
            |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
        vec![
            html! { a href={ "#network-" (index) } { (network_name(data, index)) } },
            html! { (Shown::percent(at("fake_quant_accuracy"), verified.fake_quant_accuracy)) },
            html! { (Shown::percent(at("int8_accuracy"), verified.int8_accuracy)) },
            html! { (Shown::percent(at("identical_predictions"), verified.identical_predictions)) },
            html! { (Shown::count(at("checked_integers"), verified.checked_integers as u64)) },
            html! { (Shown::count(at("rounding_ties"), verified.rounding_ties as u64)) },
            html! { (none(&verified.wrong_operators)) },
            html! { (none(&verified.float_operators)) },
        ]
    });
    let heading = [
        "network",
        "as trained",
        "on the runtime",
        "same class",
        "integers compared",
        "rounding ties",
        "wrong operators",
        "in real numbers",
    ];
    table(&heading, rows.collect())
}

/// The same networks in other formats.
fn translated(data: &PageData) -> Markup {
    let mut rows = Vec::new();
    for (index, network) in data.report.budgets.iter().enumerate() {
        for (position, other) in network.network.translated.iter().enumerate() {
            let at = |field: &str| format!("report.budgets.{index}.translated.{position}.{field}");
            rows.push(vec![
                html! { (network_name(data, index)) },
                html! { (other.format) },
                html! { (other.target) },
                html! { (Shown::percent(at("int8_accuracy"), other.int8_accuracy)) },
                html! { (Shown::percent(at("identical_predictions"), other.identical_predictions)) },
                html! { (Shown::bytes(at("bytes"), other.bytes as u64)) },
            ]);
        }
    }
    if rows.is_empty() {
        return html! {};
    }
    let heading = ["network", "format", "run by", "right", "same class as trained", "size"];
    html! { p { "The same networks in other formats:" } (table(&heading, rows)) }
}
