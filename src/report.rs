//! A study's report as text.

use std::{fmt::Write, path::Path, sync::Arc};

use spacewright_core::{
    foreign::Escaped,
    latency::milliseconds,
    search::proof,
    study::{AnyStep, duration},
};
use spacewright_spaceevo::{
    report::{
        BudgetNetwork, Interval, LossCorrection, RivalNetwork, SpaceSummary, StageChoice,
        StudyReport,
    },
    steps::search::BudgetOutcome,
};

use crate::render::Table;

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Milliseconds, as they stand in tables.
pub fn ms(ms: f64) -> String {
    milliseconds(ms)
}

/// What is known, or a dash.
pub fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".into(), show)
}

/// The report for people; model files lie in `folder`, `steps` are the method's in their order.
pub fn text(report: &StudyReport, folder: &Path, steps: &[Arc<dyn AnyStep>]) -> String {
    let mut text = String::new();
    let space = &report.space;
    let _ = writeln!(text, "space    {} ({})", space.space, space.blocks.join(", "));
    let proof = report.gap.map_or_else(String::new, |gap| format!("; {}", proof(gap)));
    let _ = writeln!(text, "search   {} spaces scored{proof}", report.evaluations);
    let before = report.teacher_before.map(|before| percent(before.test));
    let before = before.map(|share| format!(", {share} before fine-tuning")).unwrap_or_default();
    let accuracy = percent(report.teacher_accuracy);
    let _ = writeln!(text, "teacher  {accuracy} of test images{before}");
    if let Some(trained_with) = &report.trained_with {
        let _ = writeln!(text, "trained  on {trained_with}");
    }
    if let Some(correction) = &report.correction {
        let _ = writeln!(text, "losses   {}", losses(correction));
    }
    let _ = writeln!(text, "\nnetworks, on {}:\n", report.latency_source);
    text += &networks(&report.budgets, folder);
    for outcome in &report.infeasible_budgets {
        if let BudgetOutcome::Infeasible { budget_ms, range } = outcome {
            let _ = writeln!(
                text,
                "no subnet takes at most {} ms; the space's take {range}",
                ms(*budget_ms)
            );
        }
    }
    if !report.rivals.is_empty() {
        let _ = writeln!(text, "\nrivals, and this study against them:\n");
        text += &rivals(&report.rivals);
    }
    for rival in &report.rivals {
        if let wrong @ [_, ..] = &rival.network.wrong_operators[..] {
            let _ = writeln!(
                text,
                "warning: {} is wrong in {}",
                Escaped(&rival.model),
                wrong.join(", ")
            );
        }
    }
    for left_out in &report.rivals_left_out {
        let (name, reason) = (Escaped(&left_out.name), &left_out.reason);
        let _ = writeln!(text, "warning: the rival {name} is left out: {reason}");
    }
    text.extend(report.budgets.iter().map(encoding));
    let _ = writeln!(text, "\nspaces and their scores:\n");
    text += &spaces(std::iter::once(space).chain(&report.other_spaces));
    let _ = writeln!(text, "\nchoices of the space, and what the next best would change:\n");
    text += &choices(&report.choices);
    text.extend(report.teacher_block.as_deref().and_then(|own| flattered(own, &report.choices)));
    let latency = &report.latency;
    if latency.networks > 0 {
        let _ = writeln!(
            text,
            "\nsum of parts against {} whole networks: {:+.1} % on average, {:.1} % rms",
            latency.networks,
            100.0 * latency.bias,
            100.0 * latency.rms_error
        );
    }
    for block in &report.diverged_blocks {
        let _ = writeln!(text, "warning: {block} diverged in distillation");
    }
    let time = |step: &Arc<dyn AnyStep>| {
        let seconds = report.seconds.get(step.name())?;
        Some(format!("{} {}", step.name(), duration(*seconds)))
    };
    let times: Vec<String> = steps.iter().filter_map(time).collect();
    let _ = writeln!(text, "time: {}", times.join(", "));
    text
}

/// A correlation with its interval.
pub fn correlation(found: Option<f64>, interval: Option<Interval>) -> String {
    let interval = interval.map(|Interval { low, high }| format!(" ({low:.2} to {high:.2})"));
    or_dash(found, |found| format!("{found:.2}{}", interval.unwrap_or_default()))
}

fn losses(correction: &LossCorrection) -> String {
    let LossCorrection { networks, distilled_tau, corrected_tau, .. } = correction;
    format!(
        "rank {networks} networks of mixed block types with Kendall's tau {}; corrected, those left out with {}",
        correlation(*distilled_tau, correction.distilled_interval),
        correlation(*corrected_tau, correction.corrected_interval)
    )
}

fn networks(budgets: &[BudgetNetwork], folder: &Path) -> String {
    let heading = [
        "budget ms",
        "INT8 ms",
        "FP32 ms",
        "speed-up",
        "INT8 accuracy",
        "as searched",
        "as trained",
        "identical",
        "FP32",
        "post-training",
        "file",
    ];
    let mut table = Table::new(&heading);
    for BudgetNetwork { budget_ms, file, network, latency, speed_up, .. } in budgets {
        table.row([
            ms(*budget_ms),
            ms(latency.int8_ms),
            or_dash(latency.fp32_ms, ms),
            or_dash(*speed_up, |times| format!("{times:.2}x")),
            percent(network.int8_accuracy),
            or_dash(network.as_searched_accuracy, percent),
            percent(network.fake_quant_accuracy),
            percent(network.identical_predictions),
            percent(network.fp32_accuracy),
            percent(network.ptq_accuracy),
            folder.join(file).display().to_string(),
        ]);
    }
    table.render()
}

fn rivals(rivals: &[RivalNetwork]) -> String {
    let heading = [
        "rival",
        "INT8 ms",
        "FP32 ms",
        "speed-up",
        "INT8 accuracy",
        "FP32",
        "at equal accuracy",
        "at equal latency",
    ];
    let mut table = Table::new(&heading);
    for RivalNetwork { model, network, latency, speed_up, against } in rivals {
        let at_least = if against.at_least { "at least " } else { "" };
        let faster = |times| format!("{at_least}{times:.2}x as fast");
        let gain = |gain: f64| format!("{:+.2} points", 100.0 * gain);
        table.row([
            Escaped(model).to_string(),
            ms(latency.int8_ms),
            or_dash(latency.fp32_ms, ms),
            or_dash(*speed_up, |times| format!("{times:.2}x")),
            or_dash(network.int8_accuracy, percent),
            or_dash(network.fp32_accuracy, percent),
            or_dash(against.speed_up, faster),
            or_dash(against.gain, gain),
        ]);
    }
    table.render()
}

fn encoding(budget: &BudgetNetwork) -> String {
    let (number, network) = (budget.number(), &budget.network);
    let wrong = match &network.wrong_operators[..] {
        [] => String::new(),
        wrong => format!("warning: network {number} is wrong in {}\n", wrong.join(", ")),
    };
    format!(
        "\nnetwork {number}: {}\n  {:.2} M multiply-adds, {} parameters\n{wrong}",
        network.encoding,
        network.macs as f64 / 1e6,
        network.params
    )
}

fn choices(choices: &[StageChoice]) -> String {
    let mut table = Table::new(&["stage", "choice", "score", "next best", "rows by budget"]);
    let name = |block: &str, widths: &[usize]| {
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        format!("{block} {}", widths.join("-"))
    };
    for StageChoice { stage, block, widths, best_alternative, support } in choices {
        let other = best_alternative.as_ref();
        let rows = support.iter().map(|rows| or_dash(*rows, |rows| format!("{rows:.1}")));
        table.row([
            stage.clone(),
            name(block, widths),
            or_dash(other, |other| format!("{:+.4}", other.difference)),
            or_dash(other, |other| name(&other.block, &other.widths)),
            rows.collect::<Vec<String>>().join(" "),
        ]);
    }
    table.render()
}

/// What to think of stages that have the teacher's own block type.
fn flattered(own: &str, choices: &[StageChoice]) -> Option<String> {
    let stages: Vec<&str> = choices
        .iter()
        .filter(|choice| choice.block == own)
        .map(|choice| choice.stage.as_str())
        .collect();
    (!stages.is_empty()).then(|| {
        format!(
            "note: {own} in {} is the teacher's own block type, which copies it more easily than others do; \
             `spacewright study blocks` tells what other teachers say\n",
            stages.join(", ")
        )
    })
}

fn spaces<'r>(spaces: impl Iterator<Item = &'r SpaceSummary>) -> String {
    let mut table = Table::new(&["score", "space", "found by", "feasible", "loss"]);
    for SpaceSummary { found_by, space, score, constraints, .. } in spaces {
        let feasible = constraints.iter().map(|limit| format!("{:.1}%", 100.0 * limit.feasible));
        let loss = constraints.iter().map(|limit| match limit.feasible > 0.0 {
            true => format!("{:.3}", limit.loss),
            false => "-".to_owned(),
        });
        table.row([
            format!("{score:.4}"),
            space.clone(),
            found_by.clone(),
            feasible.collect::<Vec<String>>().join(" "),
            loss.collect::<Vec<String>>().join(" "),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_the_teachers_own_blocks_are_named() {
        let choice = |stage: &str, block: &str| StageChoice {
            stage: stage.into(),
            block: block.into(),
            widths: vec![16],
            best_alternative: None,
            support: Vec::new(),
        };
        let choices =
            [choice("stage1", "resnet"), choice("stage2", "fused"), choice("stage3", "resnet")];
        let note = flattered("resnet", &choices).unwrap();
        assert!(note.starts_with("note: resnet in stage1, stage3 is the teacher's own"), "{note}");
        assert_eq!(flattered("basic", &choices), None);
    }
}
