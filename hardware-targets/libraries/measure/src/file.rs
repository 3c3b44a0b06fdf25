//! Measures a model file.

use std::{
    collections::BTreeMap,
    thread::{self, available_parallelism},
};

use spacewright_core::{
    foreign::{MeasureMonitor, MeasuredInput},
    quant::Scheme,
    target::{Measurement, TargetError},
};

use crate::{
    Bench, Timed, cpu,
    parts::{MOST_ROUNDS, PAUSE, PartLatency},
    sample,
    timing::{ROUNDS, Samples},
};

/// Share of runs that may take more than twice the median before that is worth a warning.
const MOST_OUTLIERS: f64 = 0.05;
/// The median of a machine that does nothing else is this close to the minimum.
const QUIET_MEDIAN: f64 = 1.2;

/// Runs a model once, which `monitor` may watch; its error names the inputs. Then times it in rounds,
/// between which a small model of the same runtime, with quantizers after `scheme`, tells whether
/// other work disturbs the machine, until there were enough undisturbed ones.
pub fn file(
    bench: impl Bench,
    model: &mut dyn Timed,
    scheme: Scheme,
    inputs: Vec<MeasuredInput>,
    monitor: &dyn MeasureMonitor,
) -> Result<Measurement, TargetError> {
    let (target, runtime, threads) = (bench.target().to_owned(), bench.runtime(), bench.threads());
    monitor.opened(&inputs);
    model.run().map_err(|error| {
        let shown: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let reason = format!("it does not run with {}: {}", shown.join(", "), error.reason);
        TargetError::new(&target, reason)
    })?;
    monitor.measuring();
    let sentinel = PartLatency::new(bench, scheme).sentinel();
    let mut sentinel = sentinel.map_err(|error| TargetError::new(target, error.to_string()))?;
    let (mut samples, mut undisturbed) = (Samples::default(), 0);
    for _ in 0..MOST_ROUNDS {
        let before = sentinel.is_quiet()?;
        sample(model, &mut samples, &|| monitor.ran())?;
        if before && sentinel.is_quiet()? {
            undisturbed += 1;
        } else {
            thread::sleep(PAUSE);
        }
        if undisturbed == ROUNDS {
            break;
        }
    }
    let machine = [
        ("cpu", cpu::describe()),
        ("governor", cpu::governor().unwrap_or_else(|| "unknown".into())),
        ("threads", threads.to_string()),
        ("runtime", runtime),
    ];
    Ok(Measurement {
        min_ms: samples.quantile(0.0),
        p10_ms: samples.quantile(0.1),
        median_ms: samples.quantile(0.5),
        runs: samples.runs() as u32,
        drift: sentinel.drift(),
        warnings: warnings(&samples, undisturbed, threads),
        machine: machine
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        inputs,
    })
}

fn warnings(samples: &Samples, undisturbed: usize, threads: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let cores = available_parallelism().map_or(threads, usize::from);
    if threads > cores {
        warnings.push(format!("{threads} threads share {cores} cores"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_figures_are_named() {
        let mut samples = Samples::default();
        samples.round(|| Ok::<_, ()>(()), &|| ()).unwrap();
        let disturbed = warnings(&samples, 1, 1);
        assert!(disturbed[0].ends_with("1 of 3 rounds were undisturbed"), "{disturbed:?}");
        let crowded = warnings(&samples, ROUNDS, 100_000);
        assert!(crowded[0].starts_with("100000 threads share"), "{crowded:?}");
    }
}
