//! Where the run comes from, and how to have it again.

use maud::{Markup, html};

use super::{Part, command, shell};
use crate::{
    data::PageData,
    number::{Shown, grouped},
};

pub fn part(data: &PageData) -> Part {
    Part {
        id: "origin",
        title: "Where it comes from",
        lead: html! {
            "What this run depends on. The same study gives the same networks, bit for bit, on the same machine \
             with the same number of threads, device and precision, and with the latencies that are kept in the \
             home."
        },
        body: html! { (facts(data)) (commands(data)) (study(data)) },
    }
}

fn facts(data: &PageData) -> Markup {
    let report = &data.report;
    html! {
        dl.origin {
            dt { "Latencies" } dd { (report.latency_source) }
            dt { "Target" } dd { (report.target) }
            @if let Some(with) = &report.trained_with { dt { "Training" } dd { (with) } }
            dt { "Program" } dd { "Spacewright " (data.origin.program) }
            dt { "Hyperspace" } dd { (report.hyperspace) }
            dt { "Seed" } dd { (Shown::count("report.seed", report.seed)) }
            dt { "Teacher" }
            dd {
                (Shown::percent("report.teacher_accuracy", report.teacher_accuracy)) " of the test images"
                @if let Some(before) = report.teacher_before {
                    ", " (Shown::percent("report.teacher_before.test", before.test)) " before fine-tuning"
                }
            }
            @if !data.study.classes.is_empty() {
                dt { "Classes" }
                dd { (classes(&data.study.classes)) }
            }
        }
    }
}

/// Names of classes; those of many are folded.
fn classes(classes: &[String]) -> Markup {
    const SHOWN: usize = 20;
    let names = html! {
        @for (index, class) in classes.iter().enumerate() {
            @if index > 0 { ", " }
            bdi { (class) }
        }
    };
    html! {
        @if classes.len() > SHOWN {
            details { summary { (grouped(classes.len() as u64)) " classes" } (names) }
        } @else {
            (names)
        }
    }
}

fn commands(data: &PageData) -> Markup {
    html! {
        p { "To repeat the run, in the folder in which the study was run:" }
        (shell(&command(data, "run")))
        p { "How its steps stand, and what would make them run again:" }
        (shell(&command(data, "study show")))
    }
}

fn study(data: &PageData) -> Markup {
    html! {
        details {
            summary { "The study file, " code { (data.study.file) } }
            pre { (data.study.text) }
        }
    }
}
