//! The report of `bench spaces` as text.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    render::Table,
    report::{items, ms, number, percent, text_of},
};

/// What the step publishes.
pub const FILES: [&str; 5] =
    ["spaces.json", "spaces.csv", "spaces-subnets.csv", "spaces.svg", "spaces-errors.svg"];

pub fn text(report: &Value) -> String {
    let mut text = format!(
        "networks on {}, accuracy on test images as trained:\n\n{}",
        text_of(&report["latency_source"]),
        networks(report)
    );
    let _ = writeln!(text, "\nthe found space against:\n\n{}", comparisons(report));
    let _ = write!(text, "errors of random subnets on held-out images:\n\n{}", errors(report));
    for left_out in items(&report["left_out"]) {
        let (name, reason) = (text_of(&left_out["name"]), text_of(&left_out["reason"]));
        let _ = write!(text, "\n`{name}` is left out: {reason}\n");
    }
    text
}

fn networks(report: &Value) -> String {
    let heading = ["space", "encoding", "budget ms", "INT8 ms", "INT8 accuracy", "MMACs"];
    let mut table = Table::new(&heading);
    for space in items(&report["spaces"]) {
        let (name, encoding) = (text_of(&space["name"]), text_of(&space["space"]));
        for network in items(&space["networks"]) {
            table.row([
                name.clone(),
                encoding.clone(),
                ms(&network["budget_ms"]),
                ms(&network["int8_ms"]),
                percent(&network["test_accuracy"]),
                format!("{:.2}", number(&network["macs"]) / 1e6),
            ]);
        }
        for budget in items(&space["infeasible_budgets_ms"]) {
            let none = || "-".to_owned();
            table.row([name.clone(), encoding.clone(), ms(budget), none(), none(), none()]);
        }
    }
    table.render()
}

/// Means, with how many points they are over.
fn comparisons(report: &Value) -> String {
    let mut table = Table::new(&[
        "space",
        "speed-up at equal accuracy",
        "reached",
        "accuracy at equal latency",
        "compared",
    ]);
    for compared in items(&report["comparisons"]) {
        let known = |list: &str, field: &str| {
            let known = items(&compared[list]).filter(|point| !point[field].is_null()).count();
            format!("{known} of {}", items(&compared[list]).count())
        };
        let bounded = items(&compared["speed_ups"]).any(|point| point["at_least"] == true);
        let speed_up = compared["mean_speed_up"].as_f64().map_or_else(
            || "-".into(),
            |times| format!("{}{times:.2}x", if bounded { "at least " } else { "" }),
        );
        let gain = compared["mean_gain"]
            .as_f64()
            .map_or_else(|| "-".into(), |gain| format!("{:+.2} points", 100.0 * gain));
        table.row([
            text_of(&compared["name"]),
            speed_up,
            known("speed_ups", "speed_up"),
            gain,
            known("gains", "gain"),
        ]);
    }
    table.render()
}

fn errors(report: &Value) -> String {
    let levels: Vec<String> = items(&report["levels"])
        .map(|level| format!("below {:.2} %", 100.0 * number(level)))
        .collect();
    let mut heading = vec!["space", "subnets", "n", "smallest", "median"];
    heading.extend(levels.iter().map(String::as_str));
    let mut table = Table::new(&heading);
    for space in items(&report["spaces"]) {
        for (which, field) in
            [("all", "errors"), ("within the largest budget", "errors_within_budget")]
        {
            let errors = &space[field];
            let share = |value: &Value| match value.as_f64() {
                Some(_) => percent(value),
                None => "-".into(),
            };
            let mut cells = vec![
                text_of(&space["name"]),
                which.to_owned(),
                errors["n"].to_string(),
                share(&errors["smallest"]),
                share(&errors["median"]),
            ];
            let none = errors["n"] == 0;
            let known = |value| if none { "-".into() } else { percent(value) };
            cells.extend(items(&errors["shares"]).map(known));
            table.cells(cells);
        }
    }
    table.render()
}
