//! How far the model is from published figures. README.md must state what is computed here.

mod fit;
mod networks;
mod published;

use std::fmt::Write;

use fit::{chosen, fitted};
use pixel_npu::{EDGE_TPU, PixelNpu};
use published::{Published, figures, fp32_ms, held_out, int8_ms};
use spacewright_core::rank::kendall_tau;
use spacewright_sdk::prelude::*;

const README: &str = include_str!("../../README.md");

#[track_caller]
fn stated(text: &str) {
    assert!(README.contains(text), "README.md needs to state:\n{text}");
}

#[test]
fn networks_are_those_of_the_papers() {
    for Published { name, network, counts: (macs, params), .. } in
        figures().into_iter().chain(held_out())
    {
        for (counted, known) in [(network.macs(), macs), (network.params(), params)] {
            let ratio = counted / 1e6 / known;
            assert!((ratio - 1.0).abs() < 0.03, "{name}: {counted}, known are {known} millions");
        }
    }
    // The figure that the paper states is for 224 pixels.
    let macs = networks::resnet50(224).macs();
    assert!((macs / 3.8e9 - 1.0).abs() < 0.03, "{macs}");
}

#[test]
fn parameters_are_what_was_chosen() {
    let figures = figures();
    let mut best = fitted(&figures.iter().collect::<Vec<_>>());
    let mut stated = EDGE_TPU;
    for (best, stated) in chosen(&mut best).into_iter().zip(chosen(&mut stated)) {
        assert!((*stated / *best - 1.0).abs() < 0.01, "{stated} is chosen, {best} fits best");
    }
    let logs = figures.iter().map(|of| (fp32_ms(EDGE_TPU, &of.network) / of.host_ms).ln());
    let mean = logs.sum::<f64>() / figures.len() as f64;
    assert!(mean.abs() < 0.03, "the host is too slow by {mean}");
}

#[test]
fn the_readme_states_every_parameter() {
    let text = format!("{EDGE_TPU:?}");
    let fields = text.trim_start_matches("Parameters { ").trim_end_matches(" }").split(", ");
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        stated(&format!("| `{name}` | {value} |"));
    }
}

#[test]
fn the_readme_states_the_errors() {
    let figures = figures();
    let mut table = String::from(
        "| network | published | modelled | ratio | left out: ratio |\n|---|---|---|---|---|\n",
    );
    let (mut modelled, mut left_out) = (Vec::new(), Vec::new());
    for (at, figure) in figures.iter().enumerate() {
        let others = figures.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<&Published> = others.map(|(_, figure)| figure).collect();
        let published = figure.int8_ms;
        let ms = int8_ms(EDGE_TPU, &figure.network);
        let unseen = int8_ms(fitted(&others), &figure.network);
        let (ratio, unseen_ratio) = (ms / published, unseen / published);
        writeln!(
            table,
            "| {} | {published:.1} | {ms:.2} | {ratio:.2} | {unseen_ratio:.2} |",
            figure.name
        )
        .unwrap();
        modelled.push(ms);
        left_out.push(unseen);
    }
    stated(&table);
    let published: Vec<f64> = figures.iter().map(|figure| figure.int8_ms).collect();
    let found_errors = Accuracy::of(left_out.iter().copied().zip(published.iter().copied()));
    let stated_errors = PixelNpu::default().description().held_out[0].accuracy;
    assert_eq!(stated_errors.rows, found_errors.rows);
    let figures = |of: Accuracy| [of.within_5, of.within_10, of.median_error, of.mape];
    for (stated, found) in figures(stated_errors).into_iter().zip(figures(found_errors)) {
        assert!((stated - found).abs() < 0.002, "{stated_errors:?}, found {found_errors:?}");
    }
    for (what, modelled) in [("as fitted", &modelled), ("left out", &left_out)] {
        stated(&format!(
            "| {what} | {:.0} % | {:.0} % | {:.2} |",
            100.0 * mean_error(modelled, &published),
            100.0 * worst_error(modelled, &published),
            kendall_tau(modelled, &published).unwrap()
        ));
    }
}

#[test]
fn the_readme_states_the_errors_on_networks_that_are_not_fitted() {
    let mut table = String::from("| network | published | modelled | ratio |\n|---|---|---|---|\n");
    for Published { name, network, int8_ms: published, .. } in held_out() {
        let ms = int8_ms(EDGE_TPU, &network);
        writeln!(table, "| {name} | {published:.0} | {ms:.0} | {:.2} |", ms / published).unwrap();
    }
    stated(&table);
}

#[test]
fn the_readme_states_the_errors_of_floating_point() {
    let mut table = String::from("| network | published | modelled | ratio |\n|---|---|---|---|\n");
    for Published { name, network, host_ms, .. } in figures().into_iter().chain(held_out()) {
        let ms = fp32_ms(EDGE_TPU, &network);
        writeln!(table, "| {name} | {host_ms:.0} | {ms:.0} | {:.2} |", ms / host_ms).unwrap();
    }
    stated(&table);
}

/// Errors relative to the published figures.
fn errors<'a>(modelled: &'a [f64], published: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    modelled.iter().zip(published).map(|(ms, published)| (ms / published - 1.0).abs())
}

fn mean_error(modelled: &[f64], published: &[f64]) -> f64 {
    errors(modelled, published).sum::<f64>() / modelled.len() as f64
}

fn worst_error(modelled: &[f64], published: &[f64]) -> f64 {
    errors(modelled, published).fold(0.0, f64::max)
}
