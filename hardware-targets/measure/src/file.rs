//! Measures any ONNX file: images, tokens, several inputs.

use std::{collections::BTreeMap, sync::PoisonError, thread};

use ort::{
    session::Session,
    value::{DynTensor, Tensor, TensorElementType, ValueType},
};
use spacewright_core::{quant::Scheme, target::Measurement};

use crate::{
    cpu,
    latency::{MOST_ROUNDS, OrtLatency, PAUSE},
    runtime::{CLOCK, OrtRuntime, session},
    timing::{ROUNDS, Samples},
};

/// Share of runs that may take more than twice the median before that is worth a warning.
const MOST_OUTLIERS: f64 = 0.05;
/// The median of a machine that does nothing else is this close to the minimum.
const QUIET_MEDIAN: f64 = 1.2;

/// Times a model in rounds, between which a small model, with quantizers after `scheme`, tells
/// whether other work disturbs the machine, until there were [`ROUNDS`] undisturbed ones.
pub(crate) fn file(
    runtime: &OrtRuntime,
    model: &[u8],
    scheme: Scheme,
) -> Result<Measurement, String> {
    let mut session = session(runtime, model)?;
    let (inputs, free) = inputs(&session)?;
    let runtime = OrtRuntime::new(runtime.target()).map_err(|error| error.reason)?;
    let version = runtime.version().to_owned();
    let mut sentinel = OrtLatency::new(runtime, scheme).sentinel()?;
    let (mut samples, mut undisturbed) = (Samples::default(), 0);
    for _ in 0..MOST_ROUNDS {
        let before = sentinel.is_quiet().map_err(|error| error.to_string())?;
        let alone = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let inputs = inputs.iter().map(|(name, value)| (name.as_str(), value));
            session.run(inputs.collect::<Vec<_>>()).map(drop)
        };
        samples.round(run).map_err(|error| error.to_string())?;
        drop(alone);
        if before && sentinel.is_quiet().map_err(|error| error.to_string())? {
            undisturbed += 1;
        } else {
            thread::sleep(PAUSE);
        }
        if undisturbed == ROUNDS {
            break;
        }
    }
    let mut warnings = warnings(&samples, undisturbed);
    warnings.extend(free);
    let machine = [
        ("cpu", cpu::describe()),
        ("governor", cpu::governor().unwrap_or_else(|| "unknown".into())),
        ("threads", "1".into()),
        ("runtime", format!("ONNX Runtime {version}")),
    ];
    Ok(Measurement {
        min_ms: samples.quantile(0.0),
        p10_ms: samples.quantile(0.1),
        median_ms: samples.quantile(0.5),
        runs: samples.runs() as u32,
        drift: sentinel.drift(),
        warnings,
        machine: machine
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
    })
}

fn warnings(samples: &Samples, undisturbed: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if undisturbed < ROUNDS {
        warnings.push(format!(
            "other work disturbed the machine: {undisturbed} of {ROUNDS} rounds were undisturbed"
        ));
    }
    let (min, median) = (samples.quantile(0.0), samples.quantile(0.5));
    if median > QUIET_MEDIAN * min {
        warnings.push(format!("the median is {:.2} times the minimum", median / min));
    }
    if samples.quantile(1.0 - MOST_OUTLIERS) > 2.0 * median {
        let percent = 100.0 * MOST_OUTLIERS;
        warnings.push(format!("more than {percent} % of the runs took over twice the median"));
    }
    warnings
}

type Inputs = Vec<(String, DynTensor)>;

/// A value for each input, the same every time, and a sentence for sizes that the model leaves
/// open: they are taken as 1.
fn inputs(session: &Session) -> Result<(Inputs, Option<String>), String> {
    let mut values = Vec::new();
    let mut open = Vec::new();
    for input in session.inputs() {
        let name = input.name();
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            return Err(format!("input `{name}` is {:?}; tensors are measured", input.dtype()));
        };
        if shape.iter().any(|size| *size < 0) {
            open.push(format!("`{name}`"));
        }
        let shape: Vec<i64> = shape.iter().map(|size| (*size).max(1)).collect();
        let value = value(*ty, &shape).map_err(|reason| format!("input `{name}`: {reason}"))?;
        values.push((name.to_owned(), value));
    }
    let names = open.join(", ");
    let free = (!open.is_empty()).then(|| format!("open sizes of {names} were taken as 1"));
    Ok((values, free))
}

/// Small numbers that every model can take: pixels in 0…1, and tokens and masks of 0 and 1.
fn value(ty: TensorElementType, shape: &[i64]) -> Result<DynTensor, String> {
    let count = shape.iter().product::<i64>() as usize;
    let pixel = |at: usize| ((at * 37 + 11) % 256) as f32 / 255.0;
    macro_rules! tensor {
        ($number:ty, $of:expr) => {
            Tensor::from_array((shape.to_vec(), (0..count).map($of).collect::<Vec<$number>>()))
                .map(|tensor| tensor.upcast())
        };
    }
    let made = match ty {
        TensorElementType::Float32 => tensor!(f32, pixel),
        TensorElementType::Float64 => tensor!(f64, |at| f64::from(pixel(at))),
        TensorElementType::Uint8 => tensor!(u8, |at| (at % 256) as u8),
        TensorElementType::Int8 => tensor!(i8, |at| (at % 128) as i8),
        TensorElementType::Int32 => tensor!(i32, |at| (at % 2) as i32),
        TensorElementType::Int64 => tensor!(i64, |at| (at % 2) as i64),
        TensorElementType::Bool => tensor!(bool, |at| at % 2 == 0),
        other => return Err(format!("no values of type {other} are made up")),
    };
    made.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_figures_are_named() {
        let mut samples = Samples::default();
        samples.round(|| Ok::<_, ()>(())).unwrap();
        let disturbed = warnings(&samples, 1);
        assert!(disturbed[0].ends_with("1 of 3 rounds were undisturbed"), "{disturbed:?}");
    }
}
