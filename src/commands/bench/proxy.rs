//! The report of `bench proxy` as text.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    render::Table,
    report::{items, number, text_of},
};

/// What the step publishes.
pub const FILES: [&str; 3] = ["proxy.json", "proxy.csv", "proxy.svg"];

pub fn text(report: &Value) -> String {
    let heading = ["subnets", "space", "n", "tau", "rho", "weighted tau", "weighted rho"];
    let mut table = Table::new(&heading);
    let figure = |value: &Value| value.as_f64().map_or_else(|| "-".into(), |v| format!("{v:.3}"));
    table.row([
        "all".into(),
        text_of(&report["space"]),
        report["n"].to_string(),
        figure(&report["kendall_tau"]),
        figure(&report["spearman"]),
        String::new(),
        String::new(),
    ]);
    for (name, field) in [
        ("fitted", "fitted"),
        ("held out", "held_out"),
        ("of a random space", "second"),
        ("held out, both spaces", "both"),
    ] {
        let compared = &report[field];
        table.row([
            name.into(),
            text_of(&compared["space"]),
            compared["n"].to_string(),
            figure(&compared["raw"]["kendall_tau"]),
            figure(&compared["raw"]["spearman"]),
            figure(&compared["weighted"]["kendall_tau"]),
            figure(&compared["weighted"]["spearman"]),
        ]);
    }
    let stages = items(&report["stages"]).zip(items(&report["weights"]));
    let weights: Vec<String> =
        stages.map(|(name, weight)| format!("{} {:.2}", text_of(name), number(weight))).collect();
    let mut text = format!(
        "Summed block-wise loss against INT8 accuracy: Kendall's tau and Spearman's rho, 1 where a \
         smaller loss always means a higher accuracy\n\n{}",
        table.render()
    );
    let _ = writeln!(text, "\nweights of the stages: {}", weights.join(", "));
    let _ =
        writeln!(text, "to search with them, below [evolve]:\n  {}", text_of(&report["setting"]));
    text
}
