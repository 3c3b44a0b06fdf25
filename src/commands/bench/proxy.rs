//! The report of `bench proxy` as text.

use std::fmt::Write;

use spacewright_spaceevo::report::{Agreement, AgreementParts, Compared, ProxyReport};

use crate::{render::Table, report::or_dash};

pub fn text(report: &ProxyReport) -> String {
    let heading = ["subnets", "space", "n", "tau", "rho", "weighted tau", "weighted rho"];
    let mut table = Table::new(&heading);
    let figure = |value: Option<f64>| or_dash(value, |value| format!("{value:.3}"));
    table.row([
        "all".into(),
        report.space.clone(),
        report.n.to_string(),
        figure(report.kendall_tau),
        figure(report.spearman),
        String::new(),
        String::new(),
    ]);
    let of_manual = report.manual.iter().map(|manual| ("of a manual space", manual));
    let named = [
        ("fitted", &report.fitted),
        ("held out", &report.held_out),
        ("of a random space", &report.second),
    ];
    for (name, Compared { space, n, raw, weighted }) in named.into_iter().chain(of_manual) {
        let figures =
            |agreement: &Agreement| (figure(agreement.kendall_tau), figure(agreement.spearman));
        let ((tau, rho), (weighted_tau, weighted_rho)) = (figures(raw), figures(weighted));
        let (space, n) = (space.clone(), n.to_string());
        table.row([name.into(), space, n, tau, rho, weighted_tau, weighted_rho]);
    }
    let Compared { n, raw, weighted, .. } = &report.all;
    table.row([
        "all but the fitted".into(),
        format!("{} spaces", 2 + report.manual.len()),
        n.to_string(),
        figure(raw.kendall_tau),
        figure(raw.spearman),
        figure(weighted.kendall_tau),
        figure(weighted.spearman),
    ]);
    let stages = report.stages.iter().zip(&report.weights);
    let weights: Vec<String> = stages.map(|(name, weight)| format!("{name} {weight:.2}")).collect();
    let mut text = format!(
        "Summed block-wise loss against INT8 accuracy: Kendall's tau and Spearman's rho, 1 where a \
         smaller loss always means a higher accuracy\n\n{}",
        table.render()
    );
    let _ = write!(text, "\nPairs of all but the fitted subnets:\n\n{}", parts(report));
    let _ = writeln!(text, "\nweights of the stages: {}", weights.join(", "));
    let _ = writeln!(text, "to search with them, below [evolve]:\n  {}", report.setting);
    text
}

/// Where the agreement over all spaces comes from.
fn parts(report: &ProxyReport) -> String {
    let heading = ["pairs", "n", "tau", "adds to tau", "weighted tau", "adds to weighted tau"];
    let mut table = Table::new(&heading);
    let figure = |value: Option<f64>| or_dash(value, |value| format!("{value:.3}"));
    let AgreementParts { spaces, raw, weighted } = &report.parts;
    for (name, raw, weighted) in [
        ("within a space".to_owned(), raw.within, weighted.within),
        (format!("between two of {spaces} spaces"), raw.between, weighted.between),
    ] {
        table.row([
            name,
            raw.pairs.to_string(),
            figure(raw.kendall_tau),
            figure(raw.contribution),
            figure(weighted.kendall_tau),
            figure(weighted.contribution),
        ]);
    }
    table.render()
}
