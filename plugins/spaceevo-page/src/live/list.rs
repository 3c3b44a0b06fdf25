//! All runs of a folder.

use maud::{Markup, html};

use super::{
    Change, LiveRunRow, Standing,
    now::{badge, bar, left, place, time},
};
use crate::{
    document::{Document, document},
    parts::Part,
};

/// The element that holds the list.
const LIST: &str = "list";

/// The page of all runs of a folder, whose path is shown; the latest are to come first.
pub fn list_page(folder: &str, runs: &[LiveRunRow], program: &str) -> String {
    let part = Part {
        id: "runs",
        title: "The latest first",
        lead: html! { "What ran in this folder, and what runs." },
        body: html! { div #(LIST) { (list(runs)) } },
    };
    document(&Document {
        title: html! { "Runs" },
        kind: "Spacewright",
        heading: html! { "Runs" },
        about: html! { bdi { (folder) } },
        parts: &[part],
        live: true,
        footer: html! { "Spacewright " (program) ". Looking changes nothing." },
    })
}

/// The parts of this page that may have changed.
pub fn list_changes(runs: &[LiveRunRow]) -> Vec<Change> {
    vec![Change::new("runs", LIST, list(runs))]
}

fn list(runs: &[LiveRunRow]) -> Markup {
    if runs.is_empty() {
        return html! { p { "No run yet. " code { "spacewright run STUDY" } " begins one." } };
    }
    let running = runs.iter().filter(|run| run.standing == Standing::Running).count();
    html! {
        p.note { (runs.len()) @if runs.len() == 1 { " run" } @else { " runs" } ", " (running) " of them running" }
        div.scroll tabindex="0" role="region" aria-label="Runs" {
            table {
                thead {
                    tr { @for name in ["run", "target", "state", "step", "progress", "last heard of", "report"] {
                        th scope="col" { (name) }
                    } }
                }
                tbody { @for run in runs { (row(run)) } }
            }
        }
    }
}

fn row(run: &LiveRunRow) -> Markup {
    html! {
        tr {
            td { a href={ "runs/" (segment(&run.name)) "/" } { bdi { (run.name) } } }
            td { (run.target) }
            td { (badge(run.standing)) }
            td { (place(run)) }
            td {
                @if run.standing == Standing::Running {
                    @if let Some(share) = run.share { (bar(&run.name, share)) " " }
                    span.note { (left(run.seconds_left)) }
                }
            }
            td { @if run.heard > 0.0 { (time(run.heard)) } @else { "–" } }
            td {
                @if run.has_report {
                    a href={ "runs/" (segment(&run.name)) "/report.html" } { "report" }
                } @else { "–" }
            }
        }
    }
}

/// A name as one segment of an address (RFC 3986, section 2).
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let shown = name.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_is_one_segment_of_an_address() {
        assert_eq!(segment("my-run_1.2"), "my-run_1.2");
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
    }
}
