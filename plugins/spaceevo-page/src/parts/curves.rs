//! Training curves of each step.

use maud::{Markup, html};
use spacewright_core::train::CurvePoint;

use super::{Part, command, shell, table};
use crate::{
    chart::{Axis, Csv, Figure, Key, Line, Plot, Rule, Stroke, keys},
    data::{PageCurve, PageData, PageStep},
    number::Shown,
};

/// Points of a line that can be told apart on a screen; the file of the drawing has all.
const MOST: usize = 240;

pub fn part(data: &PageData) -> Part {
    let trained: Vec<(usize, &PageStep)> = trained(&data.history).collect();
    Part {
        id: "curves",
        title: "Training curves",
        lead: match trained.is_empty() {
            true => html! { "No training of this run has left a curve." },
            false => html! {
                "How the loss of each training fell, and what share of the held-out images was right \
                 where it was judged, with batch normalization recalibrated."
            },
        },
        body: html! {
            @for (index, step) in &trained { (step_markup(*index, step)) }
            p { "All points, as JSON:" }
            (shell(&command(data, "study history --json")))
        },
    }
}

/// The steps that have left a curve, with their positions.
pub fn trained(history: &[PageStep]) -> impl Iterator<Item = (usize, &PageStep)> {
    let has_curve = |step: &PageStep| step.curves.iter().any(|curve| !curve.points.is_empty());
    history.iter().enumerate().filter(move |(_, step)| has_curve(step))
}

/// The curves of a step, whose position in the history is `index`.
pub fn step_markup(index: usize, step: &PageStep) -> Markup {
    html! {
        h3 { (step.step) }
        @if !step.current { p.note { "With other settings than the present ones." } }
        (loss(step))
        (accuracy(index, step))
        (ends(index, step))
    }
}

/// Steps of the optimizer over all phases, and where each phase begins: `(name, first step)`.
fn phases(curve: &PageCurve) -> Vec<(&str, f64)> {
    let mut phases = Vec::new();
    let mut start = 0.0;
    for phase in curve.points.chunk_by(|a, b| a.phase == b.phase) {
        phases.push((phase[0].phase.as_str(), start));
        start += phase.last().map_or(0, |point| point.step) as f64;
    }
    phases
}

/// A value of each point where it is known, against the steps over all phases.
fn along(curve: &PageCurve, value: fn(&CurvePoint) -> Option<f64>) -> Vec<(f64, f64)> {
    let starts = phases(curve);
    let chunks = curve.points.chunk_by(|a, b| a.phase == b.phase);
    let points = chunks.zip(starts).flat_map(|(phase, (_, start))| {
        phase.iter().filter_map(move |point| Some((start + point.step as f64, value(point)?)))
    });
    points.filter(|(_, value)| value.is_finite()).collect()
}

/// So many of the points, the first and the last among them.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MOST {
        return points;
    }
    let last = points.len() - 1;
    (0..MOST).map(|index| points[index * last / (MOST - 1)]).collect()
}

/// Names beside lines where there are few, else none.
fn label(count: usize, name: &str) -> Option<String> {
    (2..=6).contains(&count).then(|| name.to_owned())
}

fn rules(step: &PageStep) -> Vec<Rule> {
    // Where all tasks have the same phases, these are told once.
    let Some(first) = step.curves.first() else { return Vec::new() };
    let all = phases(first);
    if all.len() < 2 || step.curves.iter().any(|curve| phases(curve) != all) {
        return Vec::new();
    }
    all.into_iter().map(|(name, x)| Rule { x, label: name.to_owned() }).collect()
}

fn loss(step: &PageStep) -> Markup {
    let mut csv =
        Csv::new(&["task", "phase", "step", "loss", "learning_rate", "held_out_accuracy"]);
    let mut lines = Vec::new();
    for (color, curve) in step.curves.iter().enumerate() {
        for point in &curve.points {
            csv.row([
                (&curve.task).into(),
                (&point.phase).into(),
                (point.step as f64).into(),
                point.loss.into(),
                point.learning_rate.into(),
                point.held_out_accuracy.into(),
            ]);
        }
        let points = thinned(along(curve, |point| point.loss));
        if !points.is_empty() {
            let stroke = if step.curves.len() > 6 { Stroke::Thin } else { Stroke::Solid };
            lines.push(Line {
                points,
                color,
                stroke,
                label: label(step.curves.len(), &curve.task),
            });
        }
    }
    if lines.is_empty() {
        return html! {};
    }
    let x = Axis::from_zero(
        "steps of the optimizer",
        lines.iter().flat_map(|l| &l.points).map(|p| p.0),
    );
    let y = Axis::around("training loss", lines.iter().flat_map(|line| &line.points).map(|p| p.1));
    let plot = Plot { lines, rules: rules(step), height: 250.0, ..Plot::new(x, y) };
    let title = format!("{}: training loss", step.step);
    let about = if step.curves.len() > 6 { "A line for each training." } else { "" };
    let id = format!("loss-{}", id(&step.step));
    Figure { id: &id, title: &title, about, svg: plot.svg(&title), csv }.markup()
}

fn accuracy(index: usize, step: &PageStep) -> Markup {
    let mut csv = Csv::new(&["task", "phase", "step", "held_out_accuracy"]);
    let (mut lines, mut marks, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (color, curve) in step.curves.iter().enumerate() {
        let points = along(curve, |point| point.held_out_accuracy);
        if points.is_empty() {
            continue;
        }
        let judged = curve.points.iter().enumerate();
        let judged =
            judged.filter(|(_, point)| point.held_out_accuracy.is_some_and(f64::is_finite));
        for ((at, point), &(x, share)) in judged.zip(&points) {
            csv.row([
                (&curve.task).into(),
                (&point.phase).into(),
                (point.step as f64).into(),
                share.into(),
            ]);
            let shown = Shown::percent("", share);
            let tip =
                format!("{}, {}, step {}: {}", curve.task, point.phase, point.step, shown.text());
            let path = format!("history.{index}.curves.{color}.points.{at}.held_out_accuracy");
            marks.push(crate::chart::Mark {
                y_path: path,
                ..crate::chart::Mark::new(x, share, color, tip)
            });
        }
        names.push(Key { name: curve.task.clone(), color });
        lines.push(Line { points, color, stroke: Stroke::Solid, label: None });
    }
    // Judged once at its end, a training has no curve; the table has its accuracy.
    if lines.iter().all(|line| line.points.len() < 2) {
        return html! {};
    }
    let x = Axis::from_zero("steps of the optimizer", marks.iter().map(|mark| mark.x));
    let y = Axis::around(
        "held-out images that are classified correctly, in %",
        marks.iter().map(|m| m.y),
    );
    let rules = rules(step);
    let plot = Plot { lines, marks, rules, height: 230.0, ..Plot::new(x, y.in_percent()) };
    let title = format!("{}: accuracy on held-out images", step.step);
    let id = format!("accuracy-{}", id(&step.step));
    let figure = Figure { id: &id, title: &title, about: "", svg: plot.svg(&title), csv };
    html! { @if names.len() > 1 { (keys(&names)) } (figure.markup()) }
}

/// Where each training ended.
fn ends(index: usize, step: &PageStep) -> Markup {
    let mut rows = Vec::new();
    for (task, curve) in step.curves.iter().enumerate() {
        let mut first = 0;
        for phase in curve.points.chunk_by(|a, b| a.phase == b.phase) {
            let at = first + phase.len() - 1;
            first += phase.len();
            let point = &curve.points[at];
            let path = format!("history.{index}.curves.{task}.points.{at}");
            let or_dash = |value: Option<Shown>| {
                html! {
                    @match value { Some(value) => (value), None => "–" }
                }
            };
            let loss = point.loss.map(|loss| Shown::plain(format!("{path}.loss"), loss, 4));
            let share = point.held_out_accuracy;
            let share =
                share.map(|share| Shown::percent(format!("{path}.held_out_accuracy"), share));
            rows.push(vec![
                html! { (curve.task) },
                html! { (point.phase) },
                html! { (Shown::count(format!("{path}.step"), point.step as u64)) },
                or_dash(loss),
                or_dash(share),
            ]);
        }
    }
    let heading = ["training", "phase", "steps", "loss", "right, held-out"];
    html! {
        details {
            summary { "Where each training of " (step.step) " ended" }
            (table(&heading, rows))
        }
    }
}

/// A name as a part of an identifier: letters and digits.
pub fn id(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(&str, usize)]) -> PageCurve {
        let point = |&(phase, step): &(&str, usize)| CurvePoint {
            phase: phase.into(),
            step,
            loss: Some(step as f64),
            learning_rate: 0.1,
            held_out_accuracy: None,
        };
        PageCurve { task: "task".into(), points: points.iter().map(point).collect() }
    }

    #[test]
    fn phases_follow_each_other() {
        let curve = curve(&[("fp32", 10), ("fp32", 20), ("int8", 5), ("int8", 10)]);
        assert_eq!(phases(&curve), [("fp32", 0.0), ("int8", 20.0)]);
        let steps: Vec<f64> = along(&curve, |point| point.loss).iter().map(|p| p.0).collect();
        assert_eq!(steps, [10.0, 20.0, 25.0, 30.0]);
    }

    #[test]
    fn long_curves_keep_their_ends() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|x| (f64::from(x), 0.0)).collect();
        let thin = thinned(points);
        assert_eq!((thin.len(), thin[0].0, thin[MOST - 1].0), (MOST, 0.0, 9999.0));
    }
}
