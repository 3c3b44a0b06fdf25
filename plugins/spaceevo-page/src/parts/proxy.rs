//! Whether losses of blocks rank subnets as their accuracies do.

use maud::{Markup, html};
use spacewright_spaceevo::report::{
    AgreementParts, Interval, LossCorrection, ProxyReport, SubnetPart,
};

use super::{Part, command, lacking, table};
use crate::{
    chart::{Axis, Csv, Figure, Key, Mark, Plot, Shape, keys},
    data::PageData,
    number::Shown,
};

pub fn part(data: &PageData) -> Part {
    let worth = data.report.correction.as_ref().map(|correction| worth(data, correction));
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
    let body = html! { (body) @if let Some(worth) = worth { (worth) } };
    Part { id: "proxy", title: "Do losses of blocks tell accuracies?", lead, body }
}

fn lead(proxy: &ProxyReport) -> Markup {
    html! {
        "The search trusts that subnets whose blocks copy the teacher well are right more often. Over "
        (Shown::count("proxy.n", proxy.n as u64)) " random subnets, "
        @match proxy.kendall_tau {
            Some(tau) => {
                "the two orders agree with Kendall's τ = "
                (Shown::plain("proxy.kendall_tau", tau, 2)) "; 1 is always, 0 is by chance."
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
        "multiply_adds",
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
            (subnet.multiply_adds as f64).into(),
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
            tau(
                format!("{path}.multiply_adds"),
                compared.multiply_adds.kendall_tau,
                compared.multiply_adds.interval,
            ),
            tau(format!("{path}.raw"), compared.raw.kendall_tau, compared.raw.interval),
            number(format!("{path}.raw.spearman"), compared.raw.spearman),
            tau(
                format!("{path}.corrected"),
                compared.corrected.kendall_tau,
                compared.corrected.interval,
            ),
            number(format!("{path}.corrected.spearman"), compared.corrected.spearman),
            tau(
                format!("{path}.weighted"),
                compared.weighted.kendall_tau,
                compared.weighted.interval,
            ),
            number(format!("{path}.weighted.spearman"), compared.weighted.spearman),
        ]
    });
    let heading = [
        "subnets",
        "how many",
        "τ of multiply-adds",
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
            "What losses have to beat is the number of multiply-adds, whose τ is 1 where more of them always mean a \
             higher accuracy. Corrected: with the factors of the step " code { "correct" } ", where networks of mixed block types were \
             trained for a short time. Weighted: with weights of the stages on top of that. In brackets, where τ lies \
             with 95 % certainty for other subnets of the same supernets; of pairs, for other spaces."
        }
        p { "To search with weights for the stages, below " code { "[evolve]" } " of the study:" }
        pre { (proxy.setting) }
    }
}

fn number(path: String, value: Option<f64>) -> Markup {
    html! {
        @match value { Some(value) => (Shown::plain(path, value, 2)), None => "–" }
    }
}

/// Kendall's τ, with its interval where that is known.
fn tau(path: String, found: Option<f64>, interval: Option<Interval>) -> Markup {
    let shown = number(format!("{path}.kendall_tau"), found);
    with_interval(shown, format!("{path}.interval"), interval)
}

fn with_interval(shown: Markup, path: String, interval: Option<Interval>) -> Markup {
    html! {
        (shown)
        @if let Some(Interval { low, high }) = interval {
            " (" (Shown::plain(format!("{path}.low"), low, 2)) " to "
            (Shown::plain(format!("{path}.high"), high, 2)) ")"
        }
    }
}

/// Where the agreement over all spaces comes from.
fn parts(proxy: &ProxyReport) -> Markup {
    let AgreementParts { spaces, multiply_adds, raw, corrected, weighted } = &proxy.parts;
    let all = [multiply_adds, raw, corrected, weighted];
    let rows = [
        ("of one space", "within", all.map(|parts| parts.within)),
        ("of two spaces", "between", all.map(|parts| parts.between)),
    ];
    let rows = rows.map(|(name, field, [multiply_adds, raw, corrected, weighted])| {
        let path = |by: &str| format!("proxy.parts.{by}.{field}");
        vec![
            html! { (name) },
            html! { (Shown::count(format!("{}.pairs", path("raw")), raw.pairs as u64)) },
            tau(path("multiply_adds"), multiply_adds.kendall_tau, multiply_adds.interval),
            tau(path("raw"), raw.kendall_tau, raw.interval),
            number(format!("{}.contribution", path("raw")), raw.contribution),
            tau(path("corrected"), corrected.kendall_tau, corrected.interval),
            number(format!("{}.contribution", path("corrected")), corrected.contribution),
            tau(path("weighted"), weighted.kendall_tau, weighted.interval),
            number(format!("{}.contribution", path("weighted")), weighted.contribution),
        ]
    });
    let heading = [
        "pairs of subnets",
        "how many",
        "τ of multiply-adds",
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

/// What the losses of block types are worth.
fn worth(data: &PageData, correction: &LossCorrection) -> Markup {
    let LossCorrection { networks, blocks, factors, .. } = correction;
    let of = |name: &str, found: Option<f64>, interval: Option<Interval>| {
        let path = format!("report.correction.{name}");
        with_interval(number(format!("{path}_tau"), found), format!("{path}_interval"), interval)
    };
    let distilled = of("distilled", correction.distilled_tau, correction.distilled_interval);
    let corrected = of("corrected", correction.corrected_tau, correction.corrected_interval);
    let rows =
        data.report.choices.iter().zip(factors).enumerate().map(|(at, (choice, factors))| {
            let factor = |(block, factor): (usize, &f64)| {
                let path = format!("report.correction.factors.{at}.{block}");
                html! { (Shown::plain(path, *factor, 2)) }
            };
            let factors = factors.iter().enumerate().map(factor);
            std::iter::once(html! { (choice.stage) }).chain(factors).collect()
        });
    let heading: Vec<&str> =
        std::iter::once("stage").chain(blocks.iter().map(String::as_str)).collect();
    html! {
        p {
            "What a loss of each block type is worth was asked of "
            (Shown::count("report.correction.networks", *networks as u64))
            " networks of mixed block types, trained alone for a short time. Losses as they were distilled rank them \
             with Kendall's τ = " (distilled) "; with the factors below, those left out of the fit with " (corrected)
            ". Below 1, a loss means a better network than the same loss elsewhere:"
        }
        (table(&heading, rows.collect()))
    }
}
