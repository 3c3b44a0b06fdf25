//! `spacewright study history …`: how steps went.

use serde_json::json;
use spacewright_core::{study::duration, train::CurvePoint};
use spacewright_engine::{StepHistory, TaskCurve};

use crate::{
    cli::{Global, HistoryArgs},
    commands::run::open,
    render::{Failure, Output, Table},
    report::{or_dash, percent},
};

pub fn run(args: &HistoryArgs, global: &Global) -> Result<Output, Failure> {
    let engine = open(&args.study, Vec::new(), global)?;
    let steps: Vec<&str> = match &args.step {
        Some(step) => vec![engine.step(step)?.name()],
        None => engine.steps().iter().map(|step| step.name()).collect(),
    };
    let mut histories = Vec::new();
    for step in steps {
        histories.extend(engine.history(step)?);
    }
    if histories.is_empty() {
        let runs = args.study.runs.display();
        let text = match &args.step {
            Some(step) => format!("step `{step}` of this study has not run yet in `{runs}`"),
            None => format!("nothing has run yet of this study in `{runs}`"),
        };
        return Output::new(text, &json!({ "steps": histories }));
    }
    let mut text = format!("{}\n{}", attempts(&histories), curves(&histories));
    let earlier: Vec<&str> =
        histories.iter().filter(|history| !history.current).map(|h| h.step.as_str()).collect();
    if !earlier.is_empty() {
        text += &format!(
            "\nwith other settings than the present ones: {}; `study show` says what has changed\n",
            earlier.join(", ")
        );
    }
    Output::new(text, &json!({ "steps": histories }))
}

fn attempts(histories: &[StepHistory]) -> String {
    let mut table = Table::new(&["step", "attempt", "outcome", "time", "core time", "memory"]);
    for StepHistory { step, attempts, .. } in histories {
        for (index, attempt) in attempts.iter().enumerate() {
            table.row([
                step.clone(),
                (index + 1).to_string(),
                attempt.outcome.name().to_owned(),
                duration(attempt.seconds),
                duration(attempt.core_seconds),
                or_dash(attempt.peak_bytes, |bytes| format!("{:.2} GB", bytes as f64 / 1e9)),
            ]);
        }
    }
    table.render()
}

/// The last point of each phase of each task.
fn curves(histories: &[StepHistory]) -> String {
    let heading = ["step", "task", "phase", "steps", "loss", "held-out accuracy"];
    let mut table = Table::new(&heading);
    for StepHistory { step, curves, .. } in histories {
        for TaskCurve { task, points } in curves {
            for phase in points.chunk_by(|a, b| a.phase == b.phase) {
                let Some(CurvePoint { phase, step: steps, loss, held_out_accuracy, .. }) =
                    phase.last()
                else {
                    continue;
                };
                table.row([
                    step.clone(),
                    task.clone(),
                    phase.clone(),
                    steps.to_string(),
                    or_dash(*loss, |loss| format!("{loss:.4}")),
                    or_dash(*held_out_accuracy, percent),
                ]);
            }
        }
    }
    table.render()
}
