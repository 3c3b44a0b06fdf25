//! The verdict: what each network achieves, and against whom.

use maud::{Markup, html};
use spacewright_spaceevo::{
    report::{BudgetNetwork, Interval, PlainNetwork, RivalNetwork},
    steps::{
        plain::{ImageShare, RivalKind},
        search::BudgetOutcome,
    },
};

use super::{Part, command, lacking, network_name, network_number};
use crate::{data::PageData, number::Shown};

pub fn part(data: &PageData) -> Part {
    Part { id: "verdict", title: "The verdict", lead: lead(data), body: body(data) }
}

/// The network that is right most often, in words.
fn lead(data: &PageData) -> Markup {
    let networks = data.report.budgets.iter().enumerate().rev();
    let best = networks
        .max_by(|(_, a), (_, b)| a.network.int8_accuracy.total_cmp(&b.network.int8_accuracy));
    let Some((index, best)) = best else {
        return html! { "No network of the space keeps to a budget of this study." };
    };
    let at = |field: &str| format!("report.budgets.{index}.{field}");
    let speed = best.speed_up.map(|factor| {
        html! {
            ", " (Shown::times(at("speed_up"), factor)) " as fast as in FP32"
        }
    });
    html! {
        "Network " (network_number(data, index)) " answers in " (Shown::ms(at("int8_ms"), best.latency.int8_ms)) " in INT8"
        @if let Some(speed) = speed { (speed) }
        ", and is right for " (Shown::percent(at("int8_accuracy"), best.network.int8_accuracy))
        " of the test images"
        @if data.plain.is_none() && data.report.rivals.is_empty() { "; no rival was compared" }
        "."
        (against_plain(data))
    }
}

/// The networks against those trained alone for an equal share of the study's images, in words.
fn against_plain(data: &PageData) -> Markup {
    let differences = data.plain.iter().flat_map(|plain| plain.differences.iter().enumerate());
    let equal = differences.filter(|(_, against)| against.share == ImageShare::Study);
    html! {
        @for (index, against) in equal {
            @let path = format!("plain.differences.{index}");
            " Its networks are right for "
            (Shown::plain("", 100.0 * against.deployed.abs(), 2).derived()) " percentage points "
            @if against.deployed < 0.0 { "less" } @else { "more" }
            @if let Some(error) = against.standard_error {
                " (± " (Shown::percent(format!("{path}.standard_error"), error)) ")"
            }
            @match against.kind {
                RivalKind::Chosen => " than themselves, trained alone.",
                RivalKind::Uniform => " than networks with one block type everywhere, trained alone.",
            }
        }
    }
}

fn body(data: &PageData) -> Markup {
    html! {
        div.cards {
            @for (index, network) in data.report.budgets.iter().enumerate() {
                (card(data, index, network))
            }
        }
        (remarks(data))
        (outside(data))
        @if data.plain.is_none() {
            (lacking(
                "Whether these networks beat others of the same latency, trained alone for as many images, \
                 is not known yet. This trains such networks:",
                &command(data, "bench plain"),
            ))
        }
    }
}

fn card(data: &PageData, index: usize, network: &BudgetNetwork) -> Markup {
    let at = |field: &str| format!("report.budgets.{index}.{field}");
    let images = network.network.test_images;
    let range = images.map(|images| Interval::of_share(network.network.int8_accuracy, images));
    html! {
        article.card {
            h3 { a href={ "#network-" (index) } { (network_name(data, index)) } }
            p.big { (Shown::ms(at("int8_ms"), network.latency.int8_ms)) }
            p.of {
                "INT8, for a budget of " (Shown::ms(at("budget_ms"), network.budget_ms))
                (over_budget(network))
            }
            p.big { (Shown::percent(at("int8_accuracy"), network.network.int8_accuracy)) }
            p.of {
                "of the test images"
                @if let Some(Interval { low, high }) = range {
                    "; with 95 % certainty " (Shown::percent("", low).derived()) " to "
                    (Shown::percent("", high).derived())
                }
            }
            @if let Some(factor) = network.speed_up {
                p.big { (Shown::times(at("speed_up"), factor)) }
                p.of { "as fast as in FP32" }
            }
            @if let Some(first) = first_alike(data, index) {
                p.rival {
                    "The same as " (network_name(data, first)) ": within this budget no better one was found."
                }
            }
            (rival(data, network))
        }
    }
}

/// By how much a network takes longer than its budget, which holds for the sum of its parts.
fn over_budget(network: &BudgetNetwork) -> Markup {
    const EXACT: f64 = 0.02;
    let over = network.latency.int8_ms / network.budget_ms - 1.0;
    html! {
        @if over > EXACT {
            ", " (Shown::plain("", 100.0 * over, 0).derived()) "\u{202f}% above it: budgets are kept by the "
            a href="#latency" { "sum of parts" }
        }
    }
}

/// The first network that is the same, where that is another one.
fn first_alike(data: &PageData, index: usize) -> Option<usize> {
    let own = &data.report.budgets[index].network.encoding;
    let first = data.report.budgets.iter().position(|other| other.network.encoding == *own)?;
    (first != index).then_some(first)
}

/// The network of the same latency with one block type everywhere, or else the same network, trained
/// alone for an equal share of the study's images.
fn rival(data: &PageData, network: &BudgetNetwork) -> Markup {
    let Some(plain) = &data.plain else { return html! {} };
    let own = plain.networks.iter().position(|own| own.encoding == network.network.encoding);
    let Some(own) = own else { return html! {} };
    let rivals = &plain.networks[own].rivals;
    let find = |kind: RivalKind| {
        rivals.iter().position(|rival| rival.kind == kind && rival.share == ImageShare::Study)
    };
    let Some(at) = find(RivalKind::Uniform).or_else(|| find(RivalKind::Chosen)) else {
        return html! {};
    };
    let rival = &rivals[at];
    let path = format!("plain.networks.{own}.rivals.{at}");
    let difference = 100.0 * (network.network.int8_accuracy - rival.int8.mean);
    html! {
        p.rival {
            "Rival: " (kind(rival)) " " (Shown::ms(format!("{path}.int8_ms"), rival.int8_ms)) ", "
            (Shown::percent(format!("{path}.int8.mean"), rival.int8.mean))
            @if let Some(error) = rival.int8.standard_error {
                " ± " (Shown::percent(format!("{path}.int8.standard_error"), error))
            }
            ". This network is " (Shown::plain("", difference.abs(), 2).derived()) " percentage points "
            @if difference < 0.0 { "behind." } @else { "ahead." }
        }
    }
}

fn kind(rival: &PlainNetwork) -> &'static str {
    match rival.kind {
        RivalKind::Chosen => "the same network, trained alone,",
        RivalKind::Uniform => "one block type everywhere, trained alone,",
    }
}

/// The study against networks from outside.
fn outside(data: &PageData) -> Markup {
    html! {
        ul.remarks {
            @for (index, rival) in data.report.rivals.iter().enumerate() {
                li.rival { (against(index, rival)) }
                @if !rival.network.wrong_operators.is_empty() {
                    li.warning {
                        "In " (rival.model) " these operators compute something else than exact integers: "
                        (rival.network.wrong_operators.join(", ")) "."
                    }
                }
            }
            @for left_out in &data.report.rivals_left_out {
                li.warning { "The rival " (left_out.name) " is left out: " (left_out.reason) "." }
            }
        }
    }
}

/// How much faster and better the study's networks are than one from outside.
fn against(index: usize, rival: &RivalNetwork) -> Markup {
    let at = |field: &str| format!("report.rivals.{index}.{field}");
    let accuracy = rival.network.int8_accuracy;
    html! {
        "Rival " b { (rival.model) } ": " (Shown::ms(at("int8_ms"), rival.latency.int8_ms)) " in INT8"
        @if let Some(accuracy) = accuracy {
            ", right for " (Shown::percent(at("int8_accuracy"), accuracy))
        }
        ". "
        @if let Some(factor) = rival.against.speed_up {
            "At its accuracy, this study is "
            @if rival.against.at_least { "at least " }
            (Shown::times(at("against.speed_up"), factor)) " as fast"
        } @else {
            "This study does not reach its accuracy"
        }
        @if let Some(gain) = rival.against.gain {
            "; at its latency, "
            (Shown::plain("", 100.0 * gain.abs(), 2).derived()) " percentage points "
            @if gain < 0.0 { "behind" } @else { "ahead" }
        } @else {
            "; no network of this study is as fast"
        }
        "."
    }
}

/// What went wrong, or could not be had.
fn remarks(data: &PageData) -> Markup {
    let wrong = data.report.budgets.iter().enumerate();
    let wrong = wrong.filter(|(_, network)| !network.network.wrong_operators.is_empty());
    html! {
        ul.remarks {
            @for (at, outcome) in data.report.infeasible_budgets.iter().enumerate() {
                @if let BudgetOutcome::Infeasible { budget_ms, range } = outcome {
                    @let path = format!("report.infeasible_budgets.{at}.infeasible");
                    li {
                        "No network of the space takes at most "
                        (Shown::ms(format!("{path}.budget_ms"), *budget_ms)) "; they take "
                        (Shown::ms(format!("{path}.fastest_ms"), range.fastest_ms)) " to "
                        (Shown::ms(format!("{path}.slowest_ms"), range.slowest_ms)) "."
                    }
                }
            }
            @for (index, network) in wrong {
                li.warning {
                    "In " (network_name(data, index)) " these operators compute something else on the runtime than \
                     in training: " (network.network.wrong_operators.join(", ")) "."
                }
            }
            @for block in &data.report.diverged_blocks {
                li.warning { (block) " diverged in distillation, and was left out." }
            }
        }
    }
}
