//! The report of `bench proxy` as text.

use std::fmt::Write;

use spacewright_spaceevo::report::{Agreement, AgreementParts, ProxyReport, SpaceAgreement};

use crate::{render::Table, report::correlation};

pub fn text(report: &ProxyReport) -> String {
    let heading = [
        "subnets",
        "space",
        "n",
        "multiply-adds' tau",
        "tau",
        "rho",
        "corrected tau",
        "corrected rho",
        "weighted tau",
        "weighted rho",
    ];
    let mut table = Table::new(&heading);
    let figure = |value: Option<f64>| correlation(value, None);
    table.row([
        "all".into(),
        report.space.clone(),
        report.n.to_string(),
        String::new(),
        figure(report.kendall_tau),
        figure(report.spearman),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    let of_manual = report.manual.iter().map(|manual| ("of a manual space", manual));
    let named = [
        ("fitted", &report.fitted),
        ("held out", &report.held_out),
        ("of a random space", &report.second),
    ];
    let mut row = |name: &str, space: String, compared: &SpaceAgreement| {
        let SpaceAgreement { n, multiply_adds, raw, corrected, weighted, .. } = compared;
        let figures =
            [raw, corrected, weighted].map(|Agreement { kendall_tau, interval, spearman }| {
                [correlation(*kendall_tau, *interval), figure(*spearman)]
            });
        let [[tau, rho], corrected, [weighted_tau, weighted_rho]] = figures;
        let [corrected_tau, corrected_rho] = corrected;
        table.row([
            name.into(),
            space,
            n.to_string(),
            correlation(multiply_adds.kendall_tau, multiply_adds.interval),
            tau,
            rho,
            corrected_tau,
            corrected_rho,
            weighted_tau,
            weighted_rho,
        ]);
    };
    for (name, compared) in named.into_iter().chain(of_manual) {
        row(name, compared.space.clone(), compared);
    }
    row("all but the fitted", format!("{} spaces", 2 + report.manual.len()), &report.all);
    let stages = report.stages.iter().zip(&report.weights);
    let weights: Vec<String> = stages.map(|(name, weight)| format!("{name} {weight:.2}")).collect();
    let mut text = format!(
        "Summed block-wise loss against INT8 accuracy: Kendall's tau and Spearman's rho, 1 where a \
         smaller loss always means a higher accuracy; corrected as the step `correct` says, and weighted by \
         stage on top of that; multiply-adds' is 1 where more of them always do; in brackets, where tau lies with 95 % certainty for other subnets of the same \
         supernets\n\n{}",
        table.render()
    );
    let _ = write!(
        text,
        "\nPairs of all but the fitted subnets; in brackets, where tau lies with 95 % certainty for other \
         spaces:\n\n{}",
        parts(report)
    );
    let _ = writeln!(text, "\nweights of the stages: {}", weights.join(", "));
    let _ = writeln!(text, "to search with them, below [evolve]:\n  {}", report.setting);
    text
}

/// Where the agreement over all spaces comes from.
fn parts(report: &ProxyReport) -> String {
    let heading = [
        "pairs",
        "n",
        "multiply-adds' tau",
        "tau",
        "adds to tau",
        "corrected tau",
        "adds to corrected tau",
        "weighted tau",
        "adds to weighted tau",
    ];
    let mut table = Table::new(&heading);
    let AgreementParts { spaces, multiply_adds, raw, corrected, weighted } = &report.parts;
    let all = [multiply_adds, raw, corrected, weighted];
    for (name, [multiply_adds, raw, corrected, weighted]) in [
        ("within a space".to_owned(), all.map(|parts| parts.within)),
        (format!("between two of {spaces} spaces"), all.map(|parts| parts.between)),
    ] {
        table.row([
            name,
            raw.pairs.to_string(),
            correlation(multiply_adds.kendall_tau, multiply_adds.interval),
            correlation(raw.kendall_tau, raw.interval),
            correlation(raw.contribution, None),
            correlation(corrected.kendall_tau, corrected.interval),
            correlation(corrected.contribution, None),
            correlation(weighted.kendall_tau, weighted.interval),
            correlation(weighted.contribution, None),
        ]);
    }
    table.render()
}
