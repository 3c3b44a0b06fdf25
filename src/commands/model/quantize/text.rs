//! The report for people.

use std::fmt::Write as _;

use spacewright_core::{
    data::{Normalize, Resize, Transform},
    foreign::Escaped,
    quantize::{BeforeTraining, QuantizeReport},
    target::Measurement,
};

use super::QuantizedReport;
use crate::{
    commands::model::float_cost,
    render::{Table, grouped},
    report::{or_dash, percent},
};

pub fn text(report: &QuantizedReport<'_>, files: &[String; 2]) -> String {
    let QuantizeReport { input, classes, macs, params, images, .. } = report.report;
    let mut text = format!(
        "{}: images of {input}, {classes} classes; {} parameters, {:.1} MMACs\n\
         images   {}\n\
         scales   {} of {} images\n\n",
        report.model,
        grouped(&params.to_string()),
        macs as f64 / 1e6,
        prepared(&report.preprocessing.transforms),
        report.quantizer,
        report.calibration_images
    );
    text += &files_table(report, files);
    let _ = writeln!(text);
    let [fp32, int8] = [&report.fp32_latency, &report.int8_latency];
    if let (Some(fp32), Some(int8)) = (fp32, int8) {
        let _ = writeln!(text, "speed-up {:.2}x", fp32.min_ms / int8.min_ms);
    }
    let figures = &report.report;
    let same = percent(figures.identical_predictions);
    let _ = writeln!(text, "classes  both give the same one to {same} of {images} test images");
    if let Some(BeforeTraining { int8_accuracy, identical_predictions }) = figures.before_training {
        let right = int8_accuracy.map(|share| format!(", {} are right", percent(share)));
        let (same, right) = (percent(identical_predictions), right.unwrap_or_default());
        let _ = writeln!(text, "before it was trained with quantizers: {same}{right}");
    }
    let QuantizeReport { checked_integers, rounding_ties, .. } = figures;
    let _ = writeln!(
        text,
        "checked  {} integers, {rounding_ties} of them one off at a rounding tie",
        grouped(&checked_integers.to_string())
    );
    let named = |operators: &[String]| {
        operators.iter().map(|name| Escaped(name).to_string()).collect::<Vec<_>>().join(", ")
    };
    if report.classes_by_position {
        let _ = writeln!(
            text,
            "the file names no classes: its outputs are taken for the images' in their order"
        );
    }
    if let wrong @ [_, ..] = &figures.wrong_operators[..] {
        let _ = writeln!(text, "wrong    {}", named(wrong));
    }
    match &figures.float_operators[..] {
        [] => {
            let _ = writeln!(text, "all of it computes with integers");
        }
        float => {
            let _ = writeln!(text, "with real numbers: {}", named(float));
            let whole_ms = int8.as_ref().map(|measured| measured.min_ms);
            text += &float_cost::text(&report.float_costs, whole_ms);
        }
    }
    for reason in &report.not_measured {
        let _ = writeln!(text, "not measured: {reason}");
    }
    let _ = write!(text, "wrote {}", report.folder);
    text
}

/// Both files side by side.
fn files_table(report: &QuantizedReport<'_>, files: &[String; 2]) -> String {
    let milliseconds = |measured: &Option<Measurement>| {
        or_dash(measured.as_ref(), |measured| format!("{:.3}", measured.min_ms))
    };
    let figures = &report.report;
    let rows = [
        ("FP32", &report.fp32_latency, figures.fp32_accuracy, figures.fp32_bytes),
        ("INT8", &report.int8_latency, figures.int8_accuracy, figures.int8_bytes),
    ];
    let mut table = Table::new(&["", "ms", "accuracy", "bytes", "file"]);
    for ((name, latency, accuracy, bytes), file) in rows.into_iter().zip(files) {
        let (accuracy, bytes) = (or_dash(accuracy, percent), grouped(&bytes.to_string()));
        table.row([name.into(), milliseconds(latency), accuracy, bytes, file.clone()]);
    }
    table.render()
}

/// Transforms in words.
fn prepared(transforms: &[Transform]) -> String {
    let numbers = |values: &[f64]| {
        values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(",")
    };
    let named = transforms.iter().map(|transform| match transform {
        Transform::Normalize(Normalize { mean, std }) => {
            format!("{}, mean {}, std {}", transform.name(), numbers(mean), numbers(std))
        }
        Transform::Resize(Resize { crop_share, .. }) => {
            format!("{}, crop share {crop_share}", transform.name())
        }
        other => other.name().to_owned(),
    });
    named.collect::<Vec<_>>().join("; ")
}
