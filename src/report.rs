//! A study's `report.json` as text.

use std::{fmt::Write, path::Path};

use serde_json::Value;

use crate::{progress::duration, render::Table};

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn percent(value: &Value) -> String {
    format!("{:.2} %", 100.0 * number(value))
}

pub fn ms(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".into(), |ms| format!("{ms:.3}"))
}

pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The report for people; model files lie in `folder`.
pub fn text(report: &Value, folder: &Path) -> String {
    let mut text = String::new();
    let space = &report["space"];
    let blocks: Vec<String> = items(&space["blocks"]).map(text_of).collect();
    let _ = writeln!(text, "space    {} ({})", text_of(&space["space"]), blocks.join(", "));
    let gap = report["gap"].as_f64().map_or_else(String::new, |gap| {
        format!("; none of the hyperspace is better by more than {:.2} %", 100.0 * gap)
    });
    let _ = writeln!(text, "search   {} spaces scored{gap}", report["evaluations"]);
    let _ = writeln!(text, "teacher  {} of test images", percent(&report["teacher_accuracy"]));
    let _ = writeln!(text, "\nnetworks, on {}:\n", text_of(&report["latency_source"]));
    text += &networks(report, folder);
    for budget in items(&report["infeasible_budgets"]).map(|searched| &searched["infeasible"]) {
        let _ = writeln!(
            text,
            "no subnet takes at most {} ms; the space's take {} to {} ms",
            ms(&budget["budget_ms"]),
            ms(&budget["fastest_ms"]),
            ms(&budget["slowest_ms"])
        );
    }
    text += &encodings(report);
    let _ = writeln!(text, "\nspaces and their scores:\n");
    text += &spaces(report);
    let _ = writeln!(text, "\nchoices of the space, and what the next best would change:\n");
    text += &choices(report);
    let latency = &report["latency"];
    let _ = writeln!(
        text,
        "\nsum of parts against {} whole networks: {:+.1} % on average, {:.1} % rms",
        latency["networks"],
        100.0 * number(&latency["bias"]),
        100.0 * number(&latency["rms_error"])
    );
    for block in items(&report["diverged_blocks"]) {
        let _ = writeln!(text, "warning: {} diverged in distillation", text_of(block));
    }
    let seconds = report["seconds"].as_object().into_iter().flatten();
    let steps: Vec<String> =
        seconds.map(|(step, seconds)| format!("{step} {}", duration(number(seconds)))).collect();
    let _ = writeln!(text, "time: {}", steps.join(", "));
    text
}

fn networks(report: &Value, folder: &Path) -> String {
    let heading = [
        "budget ms",
        "INT8 ms",
        "FP32 ms",
        "speed-up",
        "INT8 accuracy",
        "as trained",
        "identical",
        "FP32",
        "post-training",
        "file",
    ];
    let mut table = Table::new(&heading);
    for budget in items(&report["budgets"]) {
        table.row([
            ms(&budget["budget_ms"]),
            ms(&budget["int8_ms"]),
            ms(&budget["fp32_ms"]),
            budget["speed_up"].as_f64().map_or("-".into(), |times| format!("{times:.2}x")),
            percent(&budget["int8_accuracy"]),
            percent(&budget["fake_quant_accuracy"]),
            percent(&budget["identical_predictions"]),
            percent(&budget["fp32_accuracy"]),
            percent(&budget["ptq_accuracy"]),
            folder.join(text_of(&budget["file"])).display().to_string(),
        ]);
    }
    table.render()
}

fn encodings(report: &Value) -> String {
    let line = |(index, budget): (usize, &Value)| {
        let wrong: Vec<String> = items(&budget["wrong_operators"]).map(text_of).collect();
        let wrong = if wrong.is_empty() {
            String::new()
        } else {
            format!("warning: network {index} is wrong in {}\n", wrong.join(", "))
        };
        let encoding = text_of(&budget["encoding"]);
        let macs = number(&budget["macs"]) / 1e6;
        format!(
            "\nnetwork {index}: {encoding}\n  {macs:.2} M multiply-adds, {} parameters\n{wrong}",
            budget["params"]
        )
    };
    items(&report["budgets"]).enumerate().map(line).collect()
}

fn choices(report: &Value) -> String {
    let mut table = Table::new(&["stage", "choice", "score", "next best", "rows by budget"]);
    for choice in items(&report["choices"]) {
        let name = |choice: &Value| {
            let widths: Vec<String> = items(&choice["widths"]).map(Value::to_string).collect();
            format!("{} {}", text_of(&choice["block"]), widths.join("-"))
        };
        let other = &choice["best_alternative"];
        let (difference, other) = match other["difference"].as_f64() {
            Some(difference) => (format!("{difference:+.4}"), name(other)),
            None => ("-".into(), "-".into()),
        };
        let rows = items(&choice["support"])
            .map(|rows| rows.as_f64().map_or_else(|| "-".into(), |rows| format!("{rows:.1}")));
        let rows = rows.collect::<Vec<String>>().join(" ");
        table.row([text_of(&choice["stage"]), name(choice), difference, other, rows]);
    }
    table.render()
}

fn spaces(report: &Value) -> String {
    let heading = ["score", "space", "found by", "feasible", "loss"];
    let mut table = Table::new(&heading);
    for space in std::iter::once(&report["space"]).chain(items(&report["other_spaces"])) {
        let join = |field: &str, show: &dyn Fn(f64) -> String| {
            let values = items(&space["constraints"]).map(|c| show(number(&c[field])));
            values.collect::<Vec<_>>().join(" ")
        };
        table.row([
            format!("{:.4}", number(&space["score"])),
            text_of(&space["space"]),
            text_of(&space["found_by"]),
            join("feasible", &|share| format!("{:.1}%", 100.0 * share)),
            join("loss", &|loss| format!("{loss:.3}")),
        ]);
    }
    table.render()
}
