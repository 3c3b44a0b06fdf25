//! Accuracy against latency.

use maud::html;
use spacewright_spaceevo::report::Interval;

use super::{Part, network_name, network_number};
use crate::{
    chart::{Csv, Figure, Key, Line, Mark, Plot, Rule, Shape, Stroke, accuracy_axes, keys},
    data::PageData,
    number::Shown,
};

/// Colours of what is compared.
const INT8: usize = 0;
const FP32: usize = 1;
const RIVALS: usize = 2;
const OUTSIDE: usize = 3;

pub fn part(data: &PageData) -> Part {
    let mut csv = Csv::new(&["network", "precision", "latency_ms", "spread_ms", "accuracy"]);
    let marks = marks(data, &mut csv);
    let (x, y) = accuracy_axes("latency in ms", &marks);
    let mut plot = Plot::new(x, y);
    for (color, hollow) in [(INT8, false), (FP32, true)] {
        let of = marks.iter().filter(|mark| mark.color == color && mark.hollow == hollow);
        let mut points: Vec<(f64, f64)> = of.map(|mark| (mark.x, mark.y)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let stroke = if hollow { Stroke::Dashed } else { Stroke::Solid };
        plot.lines.push(Line { points, color, stroke, label: None });
    }
    let inside = |ms: f64| ms >= plot.x.low && ms <= plot.x.high;
    let budgets = data.report.budgets.iter().map(|network| network.budget_ms).enumerate();
    let budgets = budgets.filter(|(_, ms)| inside(*ms));
    plot.rules = budgets
        .map(|(index, x)| Rule { x, label: format!("budget {}", network_number(data, index)) })
        .collect();
    plot.marks = marks;
    let key = |name: &str, color: usize| Key { name: name.into(), color };
    let mut names = vec![key("INT8 ●", INT8)];
    let has_float = data.report.budgets.iter().any(|network| network.latency.fp32_ms.is_some());
    if has_float {
        names.push(key("FP32 □", FP32));
    }
    if data.plain.is_some() {
        names.push(key("trained alone ◆", RIVALS));
    }
    if !data.report.rivals.is_empty() {
        names.push(key("from outside ▲", OUTSIDE));
    }
    let figure = Figure {
        id: "accuracy-latency",
        title: "Accuracy against latency",
        about: "Up is right more often, left is faster. A line to the right of a point is the spread of its \
                runs, one through it the interval of 95 % certainty; of networks trained alone, the standard error \
                over seeds. A point leads to its network.",
        svg: plot.svg("Accuracy of the networks against their latency"),
        csv,
    };
    Part {
        id: "front",
        title: "Accuracy against latency",
        lead: html! {
            "Each point is a network as the runtime computes it: the further up and to the left, the better."
        },
        body: html! { (keys(&names)) (figure.markup()) },
    }
}

/// From where to where an accuracy may be.
pub fn accuracy_range(accuracy: f64, images: usize) -> (f64, f64) {
    let Interval { low, high } = Interval::of_share(accuracy, images);
    (low, high)
}

fn marks(data: &PageData, csv: &mut Csv) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (index, network) in data.report.budgets.iter().enumerate() {
        let name = network_name(data, index);
        let verified = &network.network;
        let mut add = |color: usize, ms: f64, spread: Option<f64>, accuracy: f64| {
            let precision = if color == INT8 { "int8" } else { "fp32" };
            let upper = precision.to_uppercase();
            let path = format!("report.budgets.{index}.{precision}");
            let (shown_ms, share) = (Shown::ms("", ms), Shown::percent("", accuracy));
            let tip = format!("{name}, {upper}: {}, {}", shown_ms.text(), share.text());
            csv.row([(&name).into(), precision.into(), ms.into(), spread.into(), accuracy.into()]);
            let range = verified.test_images.map(|images| accuracy_range(accuracy, images));
            marks.push(Mark {
                x_range: spread.map(|spread| (ms, ms + spread)),
                y_range: range,
                shape: if color == INT8 { Shape::Circle } else { Shape::Square },
                hollow: color == FP32,
                label: (color == INT8).then(|| network_number(data, index)),
                x_path: format!("{path}_ms"),
                y_path: format!("{path}_accuracy"),
                link: Some(format!("#network-{index}")),
                ..Mark::new(ms, accuracy, color, tip)
            });
        };
        let latency = &network.latency;
        add(INT8, latency.int8_ms, Some(latency.int8_spread_ms), verified.int8_accuracy);
        if let Some(ms) = latency.fp32_ms {
            add(FP32, ms, latency.fp32_spread_ms, verified.fp32_accuracy);
        }
    }
    for (index, rival) in data.report.rivals.iter().enumerate() {
        let Some(accuracy) = rival.network.int8_accuracy else { continue };
        let (ms, spread) = (rival.latency.int8_ms, rival.latency.int8_spread_ms);
        let (shown_ms, share) = (Shown::ms("", ms), Shown::percent("", accuracy));
        let path = format!("report.rivals.{index}.int8");
        csv.row([
            (&rival.model).into(),
            "int8".into(),
            ms.into(),
            Some(spread).into(),
            accuracy.into(),
        ]);
        marks.push(Mark {
            x_range: Some((ms, ms + spread)),
            y_range: Some(accuracy_range(accuracy, rival.network.images)),
            shape: Shape::Triangle,
            x_path: format!("{path}_ms"),
            y_path: format!("{path}_accuracy"),
            ..Mark::new(
                ms,
                accuracy,
                OUTSIDE,
                format!("{}: {}, {}", rival.model, shown_ms.text(), share.text()),
            )
        });
    }
    let plain = data.plain.iter().flat_map(|plain| plain.networks.iter().enumerate());
    for (own, network) in plain {
        for (at, rival) in network.rivals.iter().enumerate() {
            let (ms, share) = (Shown::ms("", rival.int8_ms), Shown::percent("", rival.int8.mean));
            let tip = format!("trained alone: {}, {}", ms.text(), share.text());
            csv.row([
                "trained alone".into(),
                "int8".into(),
                rival.int8_ms.into(),
                None.into(),
                rival.int8.mean.into(),
            ]);
            let path = format!("plain.networks.{own}.rivals.{at}");
            let error = rival.int8.standard_error;
            let around = |error: f64| (rival.int8.mean - error, rival.int8.mean + error);
            marks.push(Mark {
                y_range: error.map(around),
                shape: Shape::Diamond,
                x_path: format!("{path}.int8_ms"),
                y_path: format!("{path}.int8.mean"),
                ..Mark::new(rival.int8_ms, rival.int8.mean, RIVALS, tip)
            });
        }
    }
    marks
}
