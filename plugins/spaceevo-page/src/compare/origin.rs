//! Where the comparison comes from, and how to have it again.

use maud::html;

use super::ComparePageData;
use crate::parts::{Part, program_call, shell};

pub fn part(data: &ComparePageData) -> Part {
    let report = &data.report;
    let files: Vec<&str> = data.files.iter().map(|file| file.file.as_str()).collect();
    Part {
        id: "origin",
        title: "Where it comes from",
        lead: html! { "What the comparison depends on." },
        body: html! {
            dl.origin {
                @for (target, source) in report.targets.iter().zip(&report.latency_sources) {
                    dt { "Latencies on " (target) } dd { (source) }
                }
                dt { "Program" } dd { "Spacewright " (data.origin.program) }
            }
            p { "To compare them again, in the folder in which that was done:" }
            (shell(&program_call(&data.origin, "study compare", &files)))
            p { "The page of one of them:" }
            @for file in &files { (shell(&program_call(&data.origin, "report --open", &[file]))) }
            @for file in &data.files {
                details {
                    summary { "The study file " code { (file.file) } }
                    pre { (file.text) }
                }
            }
        },
    }
}
