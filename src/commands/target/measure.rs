//! Measuring model files.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;
use spacewright_core::target::Measurement;

use crate::{
    cli::{Global, ModelFileArgs},
    commands::model::{request, saturation},
    foreign::{self, Found, OpenTask},
    render::{Failure, Output},
};

#[derive(Serialize)]
struct MeasureReport<'a> {
    model: &'a Path,
    target: String,
    #[serde(flatten)]
    measurement: Measurement,
}

pub fn measure(args: &ModelFileArgs, global: &Global) -> Result<Output, Failure> {
    let found = foreign::ask(&request(args, OpenTask::Measure, global), global.verbose)?;
    let Found { target, summary, measured, not_measured, .. } = found;
    let mut measurement = measured.ok_or_else(|| {
        let reason = not_measured.unwrap_or_else(|| "there is no measurement".into());
        Failure::failed(format!("{}: {reason}", args.model.display()))
    })?;
    measurement.warnings.extend(summary.as_ref().and_then(saturation));
    let Measurement { min_ms, p10_ms, median_ms, runs, drift, warnings, machine, inputs } =
        &measurement;
    let mut text = format!(
        "{}: {min_ms:.4} ms (minimum of {runs} runs; p10 {p10_ms:.4}, median {median_ms:.4})\n\
         drift    {drift:.2} between the fastest and the slowest round of an unchanging model\n",
        args.model.display()
    );
    for input in inputs {
        let _ = writeln!(text, "input    {input}");
    }
    for (key, value) in machine {
        let _ = writeln!(text, "{key:<9}{value}");
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    Output::new(text, &MeasureReport { model: &args.model, target, measurement })
}
