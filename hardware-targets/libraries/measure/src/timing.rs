//! Timing one call again and again until its minimum is stable.
//!
//! The minimum is the estimate: on a busy machine it repeats to about one per cent, while the
//! median moves by 15 %. A round has 50 runs, or 10 and more that take 200 ms together, and goes on
//! until the minimum is stable, but not with another run once its runs have taken 20 s.

use std::time::{Duration, Instant};

use spacewright_core::latency::Latency;

/// Undisturbed rounds that a model is timed in.
pub(crate) const ROUNDS: usize = 3;

const WARM_UPS: usize = 3;
/// Runs of a round, unless they take longer than [`LONG_MS`] together.
const FEWEST: usize = 50;
/// Runs of a round at least.
const LEAST: usize = 10;
/// Runs of slow models are disturbed less, relatively: so much of them is enough.
const LONG_MS: f64 = 200.0;
const MOST: usize = 400;
/// Runs of a round that have taken so long together are enough.
const LONGEST_MS: f64 = 20_000.0;
/// So much warming up is enough.
const WARM: Duration = Duration::from_secs(1);
/// The minimum counts as stable when the later half of the runs lowered it by less than this.
const STABLE: f64 = 0.005;
/// Below what a clock can tell, in milliseconds.
pub(crate) const FLOOR_MS: f64 = 1e-4;

/// Times of one call, in milliseconds, from one or several rounds.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// One round: warms up, then times until the minimum of the round is stable. `ran` is called
    /// after each run and is not timed.
    pub(crate) fn round<E>(
        &mut self,
        mut run: impl FnMut() -> Result<(), E>,
        ran: &dyn Fn(),
    ) -> Result<(), E> {
        let start = Instant::now();
        for _ in 0..WARM_UPS {
            run()?;
            ran();
            if start.elapsed() > WARM {
                break;
            }
        }
        let mut times = Vec::with_capacity(FEWEST);
        while !is_enough(&times) {
            let start = Instant::now();
            run()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ran();
        }
        self.0.append(&mut times);
        Ok(())
    }

    /// How many runs were timed.
    pub(crate) fn runs(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all runs is not longer than; there must have been one.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        times[((times.len() - 1) as f64 * share).round() as usize].max(FLOOR_MS)
    }

    /// Minimum and spread over all rounds; there must have been one.
    pub(crate) fn latency(mut self) -> Latency {
        self.0.sort_by(f64::total_cmp);
        let ms = self.0[0].max(FLOOR_MS);
        let spread_ms = (self.0[self.0.len() / 2] - ms).max(0.0);
        Latency::measured(ms, spread_ms, self.0.len() as u32)
    }
}

fn minimum(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn is_enough(times: &[f64]) -> bool {
    let runs = times.len();
    let total: f64 = times.iter().sum();
    let seen = runs >= FEWEST || (runs >= LEAST && total >= LONG_MS);
    runs >= MOST || total >= LONGEST_MS || (seen && is_stable(times))
}

fn is_stable(times: &[f64]) -> bool {
    minimum(times) > minimum(&times[..times.len() / 2]) * (1.0 - STABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_spread() {
        let latency = Samples(vec![3.0, 1.0, 2.0]).latency();
        assert_eq!(latency, Latency::measured(1.0, 1.0, 3));
        assert_eq!(Samples(vec![0.0]).latency().ms, FLOOR_MS);
    }

    #[test]
    fn quantiles_are_of_the_runs_in_order() {
        let samples = Samples((0..=10).rev().map(f64::from).collect());
        assert_eq!([0.1, 0.5, 1.0].map(|share| samples.quantile(share)), [1.0, 5.0, 10.0]);
        assert_eq!(samples.runs(), 11);
    }

    #[test]
    fn a_minimum_that_falls_is_not_stable() {
        assert!(is_stable(&[1.0, 1.1, 1.2, 0.999]));
        assert!(!is_stable(&[1.0, 1.1, 1.2, 0.9]));
    }

    #[test]
    fn slow_models_need_fewer_runs() {
        let enough = |ms: f64, runs: usize| is_enough(&vec![ms; runs]);
        assert!(!enough(0.1, FEWEST - 1) && enough(0.1, FEWEST));
        assert!(!enough(10.0, 19) && enough(10.0, 20));
        assert!(!enough(100.0, LEAST - 1) && enough(100.0, LEAST));
        assert!(!enough(15e3, 1) && enough(15e3, 2));
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut calls = 0;
        let mut samples = Samples::default();
        let call = || {
            calls += 1;
            Ok::<_, ()>(())
        };
        samples.round(call, &|| ()).unwrap();
        let runs = samples.latency().runs as usize;
        assert!((FEWEST..=MOST).contains(&runs) && calls == runs + WARM_UPS);
    }

    #[test]
    fn an_error_ends_the_timing() {
        assert_eq!(Samples::default().round(|| Err("broken"), &|| ()), Err("broken"));
    }
}
