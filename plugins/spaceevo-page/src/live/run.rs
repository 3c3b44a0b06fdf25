//! One run.

use maud::{Markup, html};

use super::{Change, LiveRunData, front::front, now::now};
use crate::{
    document::{Document, document},
    parts::{Part, curves, time},
};

/// Elements that hold the parts.
const NOW: &str = "now-part";
const FRONT: &str = "front-part";
const CURVES: &str = "curves-parts";
const TIME: &str = "time-part";

/// The page of a run.
pub fn run_page(data: &LiveRunData, program: &str) -> String {
    let name = &data.row.name;
    let parts = [
        Part {
            id: "now",
            title: "Now",
            lead: html! { "How far the run has come." },
            body: html! { div #(NOW) { (now(data)) } },
        },
        Part {
            id: "front",
            title: "Accuracy against latency",
            lead: html! { "The front as it forms." },
            body: html! { div #(FRONT) { (front(&data.networks)) } },
        },
        Part {
            id: "curves",
            title: "Training curves",
            lead: html! { "How the loss of each training falls, the latest step first." },
            body: html! {
                div.latest-first #(CURVES) {
                    @for (id, markup) in of_curves(data) { div #(id) { (markup) } }
                }
            },
        },
        Part {
            id: "time",
            title: "Where the time went",
            lead: html! { "When each step ran." },
            body: html! { div #(TIME) { (time_of(data)) } },
        },
    ];
    document(&Document {
        title: html! { (name) },
        kind: "Spacewright run",
        heading: html! { bdi { (name) } },
        about: html! {
            (data.row.target) " · " a href="../../" { "all runs" }
            @if data.row.has_report { " · " a href="report.html" { "report" } }
        },
        parts: &parts,
        live: true,
        footer: html! { "Spacewright " (program) ". Looking changes nothing." },
    })
}

/// The parts of this page that may have changed.
pub fn run_changes(data: &LiveRunData) -> Vec<Change> {
    let curves = of_curves(data).map(|(id, markup)| Change::new(CURVES, id, markup));
    [
        Change::new("now", NOW, now(data)),
        Change::new("front", FRONT, front(&data.networks)),
        Change::new("time", TIME, time_of(data)),
    ]
    .into_iter()
    .chain(curves)
    .collect()
}

/// The curves of each step that has some, with the name of their element.
fn of_curves(data: &LiveRunData) -> impl Iterator<Item = (String, Markup)> {
    curves::trained(&data.history).map(|(index, step)| {
        (format!("curves-of-{}", curves::id(&step.step)), curves::step_markup(index, step))
    })
}

fn time_of(data: &LiveRunData) -> Markup {
    if data.history.iter().all(|step| step.attempts.is_empty()) {
        return html! { p.note { "No step was begun yet." } };
    }
    let Part { lead, body, .. } = time::part(&data.history);
    html! { p { (lead) } (body) }
}
