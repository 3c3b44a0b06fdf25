//! What INT8 brought.

use maud::{Markup, html};

use super::{Part, lacking, listed, network_name, table, word};
use crate::{
    chart::{Bar, BarRow, Bars, Csv, Figure, Key, keys},
    data::PageData,
    number::Shown,
};

/// Below this, INT8 hardly pays: measurements of one network differ by some percent.
const PAYS: f64 = 1.1;

pub fn part(data: &PageData) -> Part {
    let budgets = &data.report.budgets;
    let slow: Vec<String> = budgets
        .iter()
        .enumerate()
        .filter(|(_, network)| network.speed_up.is_some_and(|factor| factor < PAYS))
        .map(|(index, _)| network_name(data, index))
        .collect();
    let known = budgets.iter().any(|network| network.speed_up.is_some());
    Part {
        id: "int8",
        title: "What INT8 brought",
        lead: lead(known, &slow),
        body: html! {
            @if known { (drawing(data)) }
            @if !slow.is_empty() {
                (lacking(
                    "This shows which operators and widths INT8 slows down on the target:",
                    &format!("spacewright profile --target {}", word(&data.report.target)),
                ))
            }
            p { "Accuracies on the test images, as the runtime computes them:" }
            (accuracies(data))
        },
    }
}

fn lead(known: bool, slow: &[String]) -> Markup {
    match (known, slow) {
        (false, _) => html! {
            "The latencies of this target are known in integers only, so that there is no FP32 to compare \
             with."
        },
        (true, []) => {
            html! { "In integers, every network is clearly faster than in floating point." }
        }
        (true, slow) => {
            html! { "For " (listed(slow)) ", INT8 hardly pays, or does not pay at all." }
        }
    }
}

fn drawing(data: &PageData) -> Markup {
    let mut csv = Csv::new(&["network", "int8_ms", "fp32_ms", "speed_up"]);
    let mut rows = Vec::new();
    for (index, network) in data.report.budgets.iter().enumerate() {
        let (name, latency) = (network_name(data, index), &network.latency);
        csv.row([
            (&name).into(),
            latency.int8_ms.into(),
            latency.fp32_ms.into(),
            network.speed_up.into(),
        ]);
        let bar = |precision: &str, ms: f64, color: usize, more: String| {
            let shown = Shown::ms("", ms);
            Bar {
                value: ms,
                text: format!("{}{more}", shown.text()),
                color,
                tip: format!("{name}, {}: {}", precision.to_uppercase(), shown.text()),
                path: format!("report.budgets.{index}.{precision}_ms"),
            }
        };
        let factor = network.speed_up.map(|factor| format!(" · {factor:.2} ×")).unwrap_or_default();
        let mut bars = vec![bar("int8", latency.int8_ms, 0, factor)];
        bars.extend(latency.fp32_ms.map(|ms| bar("fp32", ms, 1, String::new())));
        rows.push(BarRow { name: name.clone(), bars });
    }
    let figure = Figure {
        id: "int8-fp32",
        title: "Latency in INT8 and in FP32",
        about: "The factor beside a bar is FP32 over INT8.",
        svg: Bars { rows }.svg("Latency of each network in INT8 and in FP32"),
        csv,
    };
    let key = |name: &str, color: usize| Key { name: name.into(), color };
    html! { (keys(&[key("INT8", 0), key("FP32", 1)])) (figure.markup()) }
}

fn accuracies(data: &PageData) -> Markup {
    let rows = data.report.budgets.iter().enumerate().map(|(index, network)| {
        let at = |field: &str| format!("report.budgets.{index}.{field}");
        let verified = &network.network;
        let lost = 100.0 * (verified.int8_accuracy - verified.fp32_accuracy);
        vec![
            html! { a href={ "#network-" (index) } { (network_name(data, index)) } },
            html! { (Shown::percent(at("fp32_accuracy"), verified.fp32_accuracy)) },
            html! { (Shown::percent(at("ptq_accuracy"), verified.ptq_accuracy)) },
            html! { (Shown::percent(at("int8_accuracy"), verified.int8_accuracy)) },
            html! { (Shown::signed("", lost, 2).derived()) },
        ]
    });
    let heading = [
        "network",
        "FP32",
        "INT8, quantized after training",
        "INT8, learned scales",
        "points to FP32",
    ];
    table(&heading, rows.collect())
}
