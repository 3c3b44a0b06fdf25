//! Quantizers: scales that are numbers, the same for the same statistics.

use spacewright_core::quant::{ActivationRange, Quantizer, TensorStats, WeightRange};

use super::{
    ConformanceReport,
    call::Call,
    item::{ItemVerdicts, require},
};
use crate::{Kind, text::name_of};

/// Smallest and largest elements: nothing but zeros, one sign only, tiny, usual and wide.
const BOUNDS: [(f32, f32); 8] = [
    (0.0, 0.0),
    (5.0, 5.0),
    (-3.0, -1.0),
    (0.0, 6.0),
    (-1.0, 4.1),
    (-1e-9, 1e-9),
    (-300.0, 2.0),
    (-1e9, 1e9),
];

const RANGES: [ActivationRange; 4] = [
    ActivationRange { non_negative: false, max: None },
    ActivationRange { non_negative: true, max: None },
    ActivationRange { non_negative: true, max: Some(6.0) },
    ActivationRange { non_negative: true, max: Some(1.0) },
];

const WEIGHTS: [WeightRange; 3] = [WeightRange::Bits7, WeightRange::Bits8, WeightRange::PairAware8];

type Activation = (TensorStats, ActivationRange);

/// Asks for the scales of activations and of weights.
pub(super) fn check(report: &mut ConformanceReport, quantizer: &dyn Quantizer) {
    let mut item = ItemVerdicts::named(report, Kind::Quantizer, || quantizer.name().into());
    check_activations(&mut item, quantizer);
    for range in WEIGHTS {
        check_weights(&mut item, quantizer, range);
    }
}

fn stats(min: f32, max: f32) -> TensorStats {
    TensorStats { min, max, mean_abs: (min.abs() + max.abs()) / 4.0 }
}

/// Every range, with statistics that lie in it.
fn activations() -> Vec<Activation> {
    let within = |range: ActivationRange| {
        let low = if range.non_negative { 0.0 } else { f32::NEG_INFINITY };
        let high = range.max.unwrap_or(f32::INFINITY);
        BOUNDS.map(|(min, max)| (stats(min.clamp(low, high), max.clamp(low, high)), range))
    };
    RANGES.map(within).concat()
}

fn show(stats: &TensorStats) -> String {
    format!("elements from {} to {}", stats.min, stats.max)
}

fn check_activations(item: &mut ItemVerdicts<'_>, quantizer: &dyn Quantizer) {
    let call = Call {
        name: "activations".into(),
        ask: &|items: &[Activation]| quantizer.activations(items).map_err(|e| e.to_string()),
        show: &|(stats, range)| {
            let known = if range.non_negative { ", known not to be negative" } else { "" };
            let max = range.max.map(|max| format!(", at most {max}")).unwrap_or_default();
            format!("{}{known}{max}", show(stats))
        },
    };
    let questions = activations();
    call.takes_no_question(item);
    let Some(answers) = call.answers(item, &questions) else { return };
    let numbers = call.each(item, NUMBERS, &questions, &answers, |_, (scale, offset)| {
        require(is_scale(*scale) && offset.is_finite(), || {
            format!("scale {scale}, offset {offset}")
        })
    });
    if !numbers {
        return;
    }
    call.depends_on_question_only(item, &questions, &answers);
    item.advise("activations: known bounds are kept", || {
        questions.iter().zip(&answers).try_for_each(|((_, range), (scale, _))| {
            let most = range.max_scale().unwrap_or(f32::INFINITY);
            require(*scale <= most * 1.001, || {
                format!("scale {scale} reaches above {:?}; {most} will be taken", range.max)
            })
        })
    });
    item.advise("activations: a wider range gets no smaller scale", || widening(&call));
}

const NUMBERS: &str = "scales are finite and not negative";

fn is_scale(scale: f32) -> bool {
    scale.is_finite() && scale >= 0.0
}

fn widening(call: &Call<'_, Activation, (f32, f32)>) -> Result<(), String> {
    let reaches = [0.0, 1e-3, 0.5, 1.0, 6.0, 100.0, 1e6];
    let scales = (call.ask)(&reaches.map(|reach| (stats(-reach, reach), RANGES[0])))?;
    let steps = scales.windows(2).zip(reaches.windows(2));
    steps.into_iter().try_for_each(|(scales, reaches)| {
        let [narrow, wide] = [scales[0].0, scales[1].0];
        require(narrow <= wide, || {
            format!("±{} gets scale {narrow}, ±{} gets {wide}", reaches[0], reaches[1])
        })
    })
}

fn check_weights(item: &mut ItemVerdicts<'_>, quantizer: &dyn Quantizer, range: WeightRange) {
    let call = Call {
        name: format!("weights, {}", name_of(&range)),
        ask: &|channels: &[TensorStats]| {
            quantizer.weights(channels, range).map_err(|e| e.to_string())
        },
        show: &show,
    };
    let channels = BOUNDS.map(|(min, max)| stats(min, max));
    call.takes_no_question(item);
    let Some(scales) = call.answers(item, &channels) else { return };
    let numbers = call.each(item, NUMBERS, &channels, &scales, |_, scale| {
        require(is_scale(*scale), || format!("scale {scale}"))
    });
    if numbers {
        call.depends_on_question_only(item, &channels, &scales);
    }
}

#[cfg(test)]
mod tests;
