//! The page of several studies, side by side: its parts, a file each, in their order.

mod costs;
mod data;
mod fronts;
mod matched;
mod networks;
mod origin;
mod spaces;
mod verdict;

use maud::html;
use spacewright_spaceevo::report::compare::StudiesReport;

pub use self::data::ComparePageData;
use crate::{
    document::{Document, document},
    parts::listed,
};

/// The page of several studies.
pub fn compare_page(data: &ComparePageData) -> String {
    let report = &data.report;
    let parts = [
        verdict::part(report),
        fronts::part(report),
        matched::part(report),
        spaces::part(report),
        networks::part(report),
        costs::part(data),
        origin::part(data),
    ];
    let names: Vec<String> = report.studies.iter().map(|row| row.study.clone()).collect();
    let program = &data.origin.program;
    document(&Document {
        title: html! { (listed(&names)) },
        kind: "Spacewright studies, compared",
        heading: html! {
            @for (index, name) in names.iter().enumerate() {
                @if index > 0 { " · " }
                bdi { (name) }
            }
        },
        about: html! { "INT8, on " (listed(&report.targets)) },
        parts: &parts,
        live: false,
        footer: html! { "Written by Spacewright " (program) ". This file loads nothing." },
    })
}

/// A study by its position: its name, and its colour in all drawings.
fn study(report: &StudiesReport, position: usize) -> (&str, usize) {
    (&report.studies[position].study, position)
}
