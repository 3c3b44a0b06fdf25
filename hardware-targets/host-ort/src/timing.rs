//! Timing one call again and again until its minimum is stable.
//!
//! The minimum is the estimate: on a busy machine it repeats to about one per cent, while the
//! median moves by 15 %. The number of runs is bounded by count, not by time, so that slow and
//! fast networks are judged alike.

use std::time::Instant;

use spacewright_core::latency::Latency;

const WARM_UPS: usize = 5;
const FEWEST: usize = 50;
const MOST: usize = 400;
/// The minimum counts as stable when the later half of the runs lowered it by less than this.
const STABLE: f64 = 0.005;
/// Below what a clock can tell, in milliseconds.
pub(crate) const FLOOR_MS: f64 = 1e-4;

pub(crate) fn time<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<Latency, E> {
    for _ in 0..WARM_UPS {
        run()?;
    }
    let mut times = Vec::with_capacity(FEWEST);
    while times.len() < FEWEST || (times.len() < MOST && !is_stable(&times)) {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(summarize(times))
}

fn minimum(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn is_stable(times: &[f64]) -> bool {
    minimum(times) > minimum(&times[..times.len() / 2]) * (1.0 - STABLE)
}

fn summarize(mut times: Vec<f64>) -> Latency {
    times.sort_by(f64::total_cmp);
    let ms = times[0].max(FLOOR_MS);
    let spread_ms = (times[times.len() / 2] - ms).max(0.0);
    Latency { ms, spread_ms, runs: times.len() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_spread() {
        let latency = summarize(vec![3.0, 1.0, 2.0]);
        assert_eq!(latency, Latency { ms: 1.0, spread_ms: 1.0, runs: 3 });
        assert_eq!(summarize(vec![0.0]).ms, FLOOR_MS);
    }

    #[test]
    fn a_minimum_that_falls_is_not_stable() {
        assert!(is_stable(&[1.0, 1.1, 1.2, 0.999]));
        assert!(!is_stable(&[1.0, 1.1, 1.2, 0.9]));
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut calls = 0;
        let latency = time(|| {
            calls += 1;
            Ok::<_, ()>(())
        });
        let runs = latency.unwrap().runs as usize;
        assert!((FEWEST..=MOST).contains(&runs) && calls == runs + WARM_UPS);
    }

    #[test]
    fn an_error_ends_the_timing() {
        assert_eq!(time(|| Err("broken")), Err("broken"));
    }
}
