//! The explanation for people.

use std::fmt::Write;

use super::{AlternativeRow, Choice, ExplainReport, StageRow};
use crate::{render::Table, report::or_dash};

pub fn text(report: &ExplainReport) -> String {
    let mut text = format!("{}: score {:.5}", report.space, report.score);
    if let Some(error) = report.error_bound {
        let _ = write!(text, ", known to within {error:.1e}");
    }
    let _ = writeln!(text, "\n\n{}", constraints(report));
    let _ = writeln!(
        text,
        "what the score changes by where one stage has another window, another block type, or the \
         next best\nblock type; rows that the best subnets rest on:\n\n{}",
        stages(report)
    );
    for limit in 0..report.constraints.len() {
        let limit_ms = report.constraints[limit].row.limit_ms;
        let _ = writeln!(
            text,
            "summed loss that a share of the subnets within {limit_ms} ms stays below:\n\n{}",
            losses(report, limit)
        );
    }
    for file in &report.files {
        let _ = writeln!(text, "{file}");
    }
    text
}

fn constraints(report: &ExplainReport) -> String {
    let mut table = Table::new(&["limit ms", "feasible", "quality", "score", "fewest rows"]);
    for constraint in &report.constraints {
        let least = match (constraint.least_support, &constraint.least_support_stage) {
            (Some(rows), Some(stage)) => format!("{rows:.1} in {stage}"),
            _ => "-".into(),
        };
        table.row([
            constraint.row.limit_ms.to_string(),
            format!("{:.3} %", 100.0 * constraint.row.feasible),
            constraint.row.quality(),
            format!("{:.5}", constraint.row.score),
            least,
        ]);
    }
    table.render()
}

fn stages(report: &ExplainReport) -> String {
    let mut table = Table::new(&[
        "stage",
        "choice",
        "other window",
        "other block",
        "next block",
        "rows by limit",
    ]);
    for stage in &report.stages {
        let alternative = |other: Option<&AlternativeRow>, name: fn(&Choice) -> String| {
            or_dash(other, |other| format!("{:+.5} {}", other.difference, name(&other.choice)))
        };
        let [window, block, next] = best(stage);
        let rows = stage.support.iter().map(|support| {
            or_dash(support.as_ref(), |support| format!("{:.1}", support.effective))
        });
        table.row([
            stage.stage.clone(),
            name(&stage.choice),
            alternative(window, widths),
            alternative(block, name),
            alternative(next, name),
            rows.collect::<Vec<_>>().join(" "),
        ]);
    }
    table.render()
}

/// The best other window of the same block type, and the two best other block types.
fn best(stage: &StageRow) -> [Option<&AlternativeRow>; 3] {
    let own = stage.choice.candidate;
    let others = || stage.alternatives.iter();
    let block = others().find(|other| other.choice.candidate != own);
    let known = block.map(|block| block.choice.candidate);
    let next = others()
        .find(|other| other.choice.candidate != own && Some(other.choice.candidate) != known);
    [others().find(|other| other.choice.candidate == own), block, next]
}

fn name(choice: &Choice) -> String {
    format!("{} {}", choice.block, widths(choice))
}

fn widths(choice: &Choice) -> String {
    match choice.widths[..] {
        [first, .., last] => format!("{first}-{last}"),
        _ => choice.widths.iter().map(usize::to_string).collect(),
    }
}

fn losses(report: &ExplainReport, limit: usize) -> String {
    let shares = report.quantiles.map(|share| format!("{} %", 100.0 * share));
    let mut heading = vec!["space", "score", "feasible"];
    heading.extend(shares.iter().map(String::as_str));
    let mut table = Table::new(&heading);
    for space in report.spaces.iter().filter(|space| space.shown) {
        let of_limit = &space.constraints[limit];
        let loss = |loss: &Option<f64>| or_dash(*loss, |loss| format!("{loss:.4}"));
        let mut cells = vec![
            space.name(),
            format!("{:.5}", space.score),
            format!("{:.3} %", 100.0 * of_limit.feasible),
        ];
        cells.extend(of_limit.losses.iter().map(loss));
        table.cells(cells);
    }
    table.render()
}
