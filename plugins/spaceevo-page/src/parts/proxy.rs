//! Whether losses of blocks rank subnets as their accuracies do.

use maud::{Markup, html};
use spacewright_spaceevo::report::{AgreementParts, ProxyReport, SubnetPart};

use super::{Part, command, lacking, table};
use crate::{
    chart::{Axis, Csv, Figure, Key, Mark, Plot, Shape, keys},
    data::PageData,
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    let (lead, body) = match &data.proxy {
        Some(proxy) => (lead(proxy), html! { (drawing(proxy)) (agreement(proxy)) }),
        None => (
            html! {
                "The search trusts that subnets whose blocks copy the teacher well are right more often; \
                 this study has not tested it."
            },
            lacking(
                "This judges random subnets both ways, and says how well the two orders agree:",
                &command(data, "bench proxy"),
            ),
        ),
    };
    Part { id: "proxy", title: "Do losses of blocks tell accuracies?", lead, body }
}

fn lead(proxy: &ProxyReport) -> Markup {
    html! {
        "The search trusts that subnets whose blocks copy the teacher well are right more often. Over "
        (Shown::count("proxy.n", proxy.n as u64)) " random subnets, "
        @match proxy.kendall_tau {
            Some(tau) => {
                "the two orders agree with Kendall's τ = "
                (Shown::plain("proxy.kendall_tau", tau, 3)) "; 1 is always, 0 is by chance."
            },
            None => "all were equal, so that no agreement can be told.",
        }
    }
}

fn drawing(proxy: &ProxyReport) -> Markup {
    let mut csv = Csv::new(&[
        "space",
        "subnet",
        "part",
        "loss",
        "corrected_loss",
        "weighted_loss",
        "accuracy",
    ]);
    let marks = proxy.subnets.iter().enumerate().map(|(index, subnet)| {
        let (part, color, shape) = match subnet.part {
            SubnetPart::Fitted => ("fitted", 0, Shape::Circle),
            SubnetPart::HeldOut => ("held out", 1, Shape::Square),
            SubnetPart::Second => ("of a random space", 2, Shape::Triangle),
            SubnetPart::Manual => ("of a manual space", 3, Shape::Triangle),
        };
        csv.row([
            (&subnet.space).into(),
            (&subnet.subnet).into(),
            part.into(),
            subnet.loss.into(),
            subnet.corrected_loss.into(),
            subnet.weighted_loss.into(),
            subnet.accuracy.into(),
        ]);
        let accuracy = Shown::percent("", subnet.accuracy);
        let tip = format!("{}: loss {:.3}, {}", subnet.subnet, subnet.loss, accuracy.text());
        let path = format!("proxy.subnets.{index}");
        Mark {
            shape,
            hollow: true,
            x_path: format!("{path}.loss"),
            y_path: format!("{path}.accuracy"),
            ..Mark::new(subnet.loss, subnet.accuracy, color, tip)
        }
    });
    let marks: Vec<Mark> = marks.collect();
    let x = Axis::around("sum of the losses of its blocks", marks.iter().map(|mark| mark.x));
    let y = Axis::around(
        "held-out images that it classifies correctly, in %",
        marks.iter().map(|m| m.y),
    );
    let plot = Plot { marks, ..Plot::new(x, y.in_percent()) };
    let key = |name: &str, color: usize| Key { name: name.into(), color };
    let figure = Figure {
        id: "loss-accuracy",
        title: "Loss against accuracy",
        about: "A point is a random subnet. Where losses tell accuracies, points fall to the right.",
        svg: plot.svg("Summed block-wise loss of random subnets against their INT8 accuracy"),
        csv,
    };
    html! {
        (keys(&[
            key("weights were fitted on it ○", 0),
            key("held out □", 1),
            key("of a random space △", 2),
            key("of manual spaces △", 3),
        ]))
        (figure.markup())
    }
}

fn agreement(proxy: &ProxyReport) -> Markup {
    let manual = proxy.manual.iter().enumerate().map(|(at, compared)| {
        (format!("of a manual space, {}", compared.space), format!("manual.{at}"), compared)
    });
    let named = [
        ("weights were fitted on them", "fitted", &proxy.fitted),
        ("held out", "held_out", &proxy.held_out),
        ("of a random space", "second", &proxy.second),
    ];
    let named = named.map(|(name, field, compared)| (name.to_owned(), field.to_owned(), compared));
    let all = ("all but the fitted".to_owned(), "all".to_owned(), &proxy.all);
    let rows = named.into_iter().chain(manual).chain([all]).map(|(name, field, compared)| {
        let path = format!("proxy.{field}");
        vec![
            html! { (name) },
            html! { (Shown::count(format!("{path}.n"), compared.n as u64)) },
            number(format!("{path}.raw.kendall_tau"), compared.raw.kendall_tau),
            number(format!("{path}.raw.spearman"), compared.raw.spearman),
            number(format!("{path}.corrected.kendall_tau"), compared.corrected.kendall_tau),
            number(format!("{path}.corrected.spearman"), compared.corrected.spearman),
            number(format!("{path}.weighted.kendall_tau"), compared.weighted.kendall_tau),
            number(format!("{path}.weighted.spearman"), compared.weighted.spearman),
        ]
    });
    let heading = [
        "subnets",
        "how many",
        "τ",
        "ρ",
        "τ, corrected",
        "ρ, corrected",
        "τ, weighted",
        "ρ, weighted",
    ];
    html! {
        (table(&heading, rows.collect()))
        (parts(proxy))
        p {
            "Corrected: with the factors of the step " code { "correct" } ", where networks of mixed block types were \
             trained for a short time. Weighted: with weights of the stages on top of that."
        }
        p { "To search with weights for the stages, below " code { "[evolve]" } " of the study:" }
        pre { (proxy.setting) }
    }
}

fn number(path: String, value: Option<f64>) -> Markup {
    html! {
        @match value { Some(value) => (Shown::plain(path, value, 3)), None => "–" }
    }
}

/// Where the agreement over all spaces comes from.
fn parts(proxy: &ProxyReport) -> Markup {
    let AgreementParts { spaces, raw, corrected, weighted } = &proxy.parts;
    let rows = [
        ("of one space", "within", [raw.within, corrected.within, weighted.within]),
        ("of two spaces", "between", [raw.between, corrected.between, weighted.between]),
    ];
    let rows = rows.map(|(name, field, [raw, corrected, weighted])| {
        let path = |by: &str, figure: &str| format!("proxy.parts.{by}.{field}.{figure}");
        vec![
            html! { (name) },
            html! { (Shown::count(path("raw", "pairs"), raw.pairs as u64)) },
            number(path("raw", "kendall_tau"), raw.kendall_tau),
            number(path("raw", "contribution"), raw.contribution),
            number(path("corrected", "kendall_tau"), corrected.kendall_tau),
            number(path("corrected", "contribution"), corrected.contribution),
            number(path("weighted", "kendall_tau"), weighted.kendall_tau),
            number(path("weighted", "contribution"), weighted.contribution),
        ]
    });
    let heading = [
        "pairs of subnets",
        "how many",
        "τ",
        "adds to τ",
        "τ, corrected",
        "adds to τ, corrected",
        "τ, weighted",
        "adds to τ, weighted",
    ];
    html! {
        p {
            "A score compares spaces, a search the subnets of one. Which pairs the agreement over all "
            (Shown::count("proxy.parts.spaces", *spaces as u64))
            " spaces comes from; those between two are many, but no more independent than these spaces:"
        }
        (table(&heading, rows.into()))
    }
}
