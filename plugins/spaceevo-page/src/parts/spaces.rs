//! The space against a random one, manual ones, and networks from outside.

use maud::{Markup, html};
use spacewright_spaceevo::report::{Certainty, Estimate, SpacesReport, Verdict};

use super::table;
use crate::{
    chart::{
        Axis, Csv, Figure, IntervalRow, Intervals, Line, Mark, Plot, Shape, Stroke, accuracy_axes,
    },
    data::PageData,
    number::Shown,
};

/// What came of training and searching all of them alike.
pub fn markup(data: &PageData, spaces: &SpacesReport) -> Markup {
    html! {
        (fronts(data, spaces)) (distributions(spaces)) (comparisons(spaces)) (differences(spaces))
    }
}

/// The networks of each space, and those from outside that the report knows.
fn fronts(data: &PageData, spaces: &SpacesReport) -> Markup {
    let mut csv = Csv::new(&["space", "network", "int8_ms", "accuracy"]);
    let (mut lines, mut marks) = (Vec::new(), Vec::new());
    let mut mark =
        |space: &str, network: &str, at: (f64, f64), color: usize, paths: [String; 2]| {
            csv.row([space.into(), network.into(), at.0.into(), at.1.into()]);
            let (ms, share) = (Shown::ms("", at.0), Shown::percent("", at.1));
            let tip = format!("{space}: {}, {}", ms.text(), share.text());
            let [x_path, y_path] = paths;
            marks.push(Mark { x_path, y_path, ..Mark::new(at.0, at.1, color, tip) });
        };
    for (color, space) in spaces.spaces.iter().enumerate() {
        let mut points = Vec::new();
        for (at, network) in space.networks.iter().enumerate() {
            let point = (network.int8_ms, network.test_accuracy);
            let path = format!("spaces.spaces.{color}.networks.{at}");
            let paths = ["int8_ms", "test_accuracy"].map(|field| format!("{path}.{field}"));
            mark(&space.name, &network.subnet, point, color, paths);
            points.push(point);
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let label = Some(space.name.clone());
        lines.push(Line { points, color, stroke: Stroke::Solid, label });
    }
    let outside = spaces.spaces.len();
    for (at, rival) in data.report.rivals.iter().enumerate() {
        let Some(accuracy) = rival.network.int8_accuracy else { continue };
        let path = format!("report.rivals.{at}.int8");
        let paths = ["ms", "accuracy"].map(|field| format!("{path}_{field}"));
        mark(&rival.model, "", (rival.latency.int8_ms, accuracy), outside, paths);
    }
    for mark in marks.iter_mut().filter(|mark| mark.color == outside) {
        mark.shape = Shape::Triangle;
    }
    let (x, y) = accuracy_axes("INT8 latency in ms", &marks);
    let plot = Plot { lines, marks, ..Plot::new(x, y) };
    let figure = Figure {
        id: "space-fronts",
        title: "Networks of each space",
        about: "All with the weights of their supernets, which were trained alike: the further up and to the left, \
                the better the space. A triangle is a network from outside.",
        svg: plot.svg("Accuracy against latency of the networks of each space"),
        csv,
    };
    figure.markup()
}

/// Figure 1 of the paper: how many subnets of each space err at most so often.
fn distributions(spaces: &SpacesReport) -> Markup {
    let mut csv = Csv::new(&["space", "error", "share_of_subnets"]);
    let mut lines = Vec::new();
    for (color, space) in spaces.spaces.iter().enumerate() {
        let errors = &space.errors.errors;
        let mut points = Vec::new();
        for (index, &error) in errors.iter().enumerate() {
            let share = (index + 1) as f64 / errors.len() as f64;
            csv.row([(&space.name).into(), error.into(), share.into()]);
            points.push((error, share));
        }
        let label = Some(space.name.clone());
        lines.push(Line { points, color, stroke: Stroke::Steps, label });
    }
    let errors = || lines.iter().flat_map(|line| &line.points).map(|point| point.0);
    let x = Axis::around("error on held-out images, in %", errors()).in_percent();
    let y = Axis::between("random subnets that err at most so often, in %", 0.0, 1.0).in_percent();
    let plot = Plot { lines: lines.clone(), ..Plot::new(x, y) };
    let figure = Figure {
        id: "errors",
        title: "Errors of random subnets of each space",
        about: "The further left a line rises, the better the space.",
        svg: plot.svg("Distribution of the errors of random subnets of each space"),
        csv,
    };
    figure.markup()
}

fn comparisons(spaces: &SpacesReport) -> Markup {
    let rows = spaces.comparisons.iter().enumerate().map(|(index, against)| {
        let path = format!("spaces.comparisons.{index}");
        let estimate = |of: fn(&Certainty) -> Option<Estimate>| against.certainty.as_ref().and_then(of);
        let (speed_up, gain) = (estimate(|c| c.speed_up), estimate(|c| c.gain));
        vec![
            html! { (against.name) },
            html! {
                @match (speed_up, against.compared.mean_speed_up) {
                    (Some(Estimate { value, interval, known, at_least, .. }), _) => {
                        @if at_least { "at least " }
                        (Shown::times(format!("{path}.certainty.speed_up.value"), value)) " ("
                        (Shown::times("", interval.low).derived()) " to "
                        (Shown::times("", interval.high).derived())
                        @if known < 1.0 {
                            ", " (Shown::percent(format!("{path}.certainty.speed_up.known"), known)) " reached"
                        }
                        ")"
                    }
                    (None, Some(factor)) => (Shown::times(format!("{path}.mean_speed_up"), factor)),
                    (None, None) => "–",
                }
            },
            html! {
                @match (gain, against.compared.mean_gain) {
                    (Some(Estimate { value, interval, .. }), _) => {
                        (points(value)) " (" (points(interval.low)) " to " (points(interval.high)) ") points"
                    }
                    (None, Some(gain)) => { (points(gain)) " points" }
                    (None, None) => "–",
                }
            },
            html! {
                @match &against.certainty {
                    Some(certainty) => {
                        (Shown::count(
                            format!("{path}.certainty.own_trainings"),
                            certainty.own_trainings as u64,
                        )) " and "
                        (Shown::count(
                            format!("{path}.certainty.other_trainings"),
                            certainty.other_trainings as u64,
                        ))
                    }
                    None => "–",
                }
            },
            html! {
                @if against.certainty.is_some() {
                    (Verdict::in_words(speed_up.as_ref(), gain.as_ref()))
                } @else { "–" }
            },
        ]
    });
    let heading = [
        "the space against",
        "faster at equal accuracy",
        "more right at equal latency",
        "trainings",
        "shown",
    ];
    let mut certainties =
        spaces.comparisons.iter().filter_map(|against| against.certainty.as_ref());
    let over_trainings = certainties.any(|certainty| certainty.over_trainings);
    html! {
        (table(&heading, rows.collect()))
        p.note {
            "In brackets: with 95 % certainty, over test images, spreads of latencies and, where a supernet was trained \
             several times, trainings; how many of the other's accuracies are reached. "
            @if !over_trainings {
                "Each supernet was trained once: what is shown holds for these trainings, and says nothing of the next \
                 ones. "
            }
            "Of twenty figures without a difference one may seem to have one."
        }
        @for left in &spaces.left_out { p.note { (left.name) " is not compared: " (left.reason) } }
    }
}

fn points(share: f64) -> Shown {
    Shown::signed("", 100.0 * share, 2).derived()
}

/// Differences within the same budgets.
fn differences(spaces: &SpacesReport) -> Markup {
    let mut csv = Csv::new(&["space", "budget_ms", "difference", "low", "high", "p"]);
    let mut rows = Vec::new();
    for (index, against) in spaces.comparisons.iter().enumerate() {
        let budgets = against.certainty.iter().flat_map(|certainty| &certainty.budgets).enumerate();
        for (at, pair) in budgets {
            let Estimate { value, interval, .. } = pair.difference;
            csv.row([
                (&against.name).into(),
                pair.budget_ms.into(),
                value.into(),
                interval.low.into(),
                interval.high.into(),
                pair.p.into(),
            ]);
            let within = Shown::ms("", pair.budget_ms);
            let path =
                format!("spaces.comparisons.{index}.certainty.budgets.{at}.difference.value");
            rows.push(IntervalRow {
                name: format!("{} {}", within.text(), against.name),
                value,
                range: Some((interval.low, interval.high)),
                color: index + 1,
                tip: format!(
                    "against {} within {}: {} points, p = {:.3}",
                    against.name,
                    within.text(),
                    points(value).text(),
                    pair.p
                ),
                path,
            });
        }
    }
    if rows.is_empty() {
        return html! {};
    }
    let figure = Figure {
        id: "space-differences",
        title: "Differences of accuracy within the same budgets",
        about: "To the right of the line the network of the space that was found is better. p is McNemar's, of the \
                networks of the first trainings.",
        svg: Intervals { label: "points more than the other space", rows }
            .svg("Differences of accuracy between the space that was found and the others"),
        csv,
    };
    figure.markup()
}
