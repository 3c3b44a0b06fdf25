//! The verdict: which study has the better networks on each target, and how surely.

use maud::{Markup, html};
use spacewright_spaceevo::report::compare::{MatchedNetwork, StudiesReport};

use crate::{
    number::Shown,
    parts::{Part, listed},
};

pub fn part(report: &StudiesReport) -> Part {
    let names: Vec<String> = report.studies.iter().map(|row| row.study.clone()).collect();
    Part {
        id: "verdict",
        title: "The verdict",
        lead: html! {
            (listed(&names)) ": every network of each, measured on " (listed(&report.targets))
            " and set against the networks that were designed for it."
        },
        body: html! {
            @for at in 0..report.targets.len() { (on_target(report, at)) }
        },
    }
}

fn on_target(report: &StudiesReport, at: usize) -> Markup {
    let Some(matched) = report.matched.get(at) else { return html! {} };
    let others = report.studies.iter().enumerate();
    let others = others.filter(|(_, row)| row.study != matched.reference);
    html! {
        h3 { "On " (report.targets[at]) ", against " bdi { (matched.reference) } }
        ul.remarks {
            @for (position, row) in others {
                li {
                    bdi { (row.study) } ": " (speed(report, position, at)) "."
                    (within_largest(report, position, at))
                }
            }
        }
    }
}

/// How much faster and more accurate the networks are between those of the reference.
fn speed(report: &StudiesReport, position: usize, at: usize) -> Markup {
    let against = &report.studies[position].deployed[at];
    let path = format!("report.studies.{position}.deployed.{at}");
    html! {
        @match against.speed_up {
            Some(factor) => {
                "at equal accuracy "
                @if against.at_least { "at least " }
                (Shown::times(format!("{path}.speed_up"), factor)) " as fast"
                @if against.reached < against.of {
                    " (for " (Shown::count(format!("{path}.reached"), against.reached as u64)) " of "
                    (Shown::count(format!("{path}.of"), against.of as u64)) ")"
                }
            }
            None => "as accurate as none of these networks",
        }
        @match against.gain {
            Some(gain) => { "; at equal latency " (points(gain)) }
            None => "; faster than all of them",
        }
    }
}

/// A difference of accuracies in words.
fn points(difference: f64) -> Markup {
    html! {
        (Shown::plain("", 100.0 * difference.abs(), 2).derived()) " points "
        @if difference < 0.0 { "less" } @else { "more" } " often right"
    }
}

/// The best networks of both within the largest limit at which both have one.
fn within_largest(report: &StudiesReport, position: usize, at: usize) -> Markup {
    let limits = report.matched[at].limits.iter().enumerate();
    let mut known = limits.filter_map(|(limit, found)| {
        let network = found.networks[position]?;
        Some((limit, found.limit_ms, network, network.difference?))
    });
    let Some((limit, limit_ms, network, difference)) = known.next_back() else { return html! {} };
    let path = format!("report.matched.{at}.limits.{limit}.limit_ms");
    html! {
        " Within " (Shown::ms(path, limit_ms)) " the best network is " (points(difference))
        (certainty(&network))
    }
}

/// From where to where a difference lies, in points, and what that means.
fn certainty(network: &MatchedNetwork) -> Markup {
    let Some(interval) = network.interval else { return html! { "." } };
    html! {
        ", with 95 % certainty " (Shown::signed("", 100.0 * interval.low, 2).derived()) " to "
        (Shown::signed("", 100.0 * interval.high, 2).derived())
        @if interval.has_zero() { ": no difference is shown." } @else { "." }
    }
}
