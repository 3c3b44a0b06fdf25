//! The report of `bench proxy` as text.

use std::fmt::Write;

use spacewright_spaceevo::report::{Agreement, Compared, ProxyReport};

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
    for (name, Compared { space, n, raw, weighted }) in [
        ("fitted", &report.fitted),
        ("held out", &report.held_out),
        ("of a random space", &report.second),
        ("held out, both spaces", &report.both),
    ] {
        let figures =
            |agreement: &Agreement| (figure(agreement.kendall_tau), figure(agreement.spearman));
        let ((tau, rho), (weighted_tau, weighted_rho)) = (figures(raw), figures(weighted));
        let (space, n) = (space.clone(), n.to_string());
        table.row([name.into(), space, n, tau, rho, weighted_tau, weighted_rho]);
    }
    let stages = report.stages.iter().zip(&report.weights);
    let weights: Vec<String> = stages.map(|(name, weight)| format!("{name} {weight:.2}")).collect();
    let mut text = format!(
        "Summed block-wise loss against INT8 accuracy: Kendall's tau and Spearman's rho, 1 where a \
         smaller loss always means a higher accuracy\n\n{}",
        table.render()
    );
    let _ = writeln!(text, "\nweights of the stages: {}", weights.join(", "));
    let _ = writeln!(text, "to search with them, below [evolve]:\n  {}", report.setting);
    text
}
