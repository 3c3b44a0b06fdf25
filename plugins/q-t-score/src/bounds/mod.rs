//! Which spaces may beat a score: bounds from the two halves of spaces, of which there are far
//! fewer than spaces.
//!
//! Let `P` draw subnets as the score does, and `Q` be the distribution of those that count: density `w(u) / W(p)`
//! at the share `u` of all subnets, over the feasible ones by rising loss, `p` being the feasible share. For any
//! `s, q ≥ 0` (Donsker and Varadhan's variational formula)
//!
//! `E_Q[s L + q T] ≥ −ln E_P[exp(−s L − q T); feasible] − KL(Q ‖ P)`,
//!
//! where `KL(Q ‖ P) ≤ −ln W(p)`, as the density is at most `1 / W(p)`, and `E_Q[T]` is at most the limit `c`.
//! So the mean loss of the best is at least `(ln W(p) − q c − ln E_P[…]) / s`. The expectation is a sum of products
//! over resolutions and widths between the halves. Where feasibility is left out of it, `q` has to stand for it
//! (rough bounds); where latencies are counted in bins, `q = 0` (tight ones).

mod moments;

use rayon::prelude::*;
use spacewright_core::{
    quality::Composition,
    score::Bounds,
    space::{Halves, Space},
};

use super::{LEAST, QtOptions, exact::TopShare, rows::Tables};
use moments::{Moments, Source};

/// Steps of the feasible share, per decade: more make bounds tighter and cost time.
const SHARES: i32 = 16;
/// Factors of the rates that suit the known space: loss, latency. The first are tried on every space.
const AROUND: [(f64, f64); 5] = [(1.0, 1.0), (1.3, 1.0), (0.77, 1.0), (1.0, 1.4), (1.0, 0.7)];
/// The same for tight bounds.
const AROUND_TIGHT: [f64; 3] = [1.0, 1.2, 0.83];
/// Bins of latency of tight bounds, at most and at least: more make bounds tighter and take memory.
const BINS: (usize, usize) = (256, 16);
/// Bytes for the moments of tight bounds.
const MOST_BYTES: usize = 256 << 20;
/// Bound of the relative error of moments in single precision, which are sums of a few thousand positive numbers.
const ROUNDING: f32 = 1e-3;
/// Bound of what moments lose where products are too small for single precision.
const LOST: f32 = 1e-37;

/// A decay rate per unit of loss and one per millisecond, for one limit.
#[derive(Debug, Clone, Copy)]
struct Rates {
    loss: f64,
    latency: f64,
}

/// Bounds of a Q-T score.
pub(super) struct QtBounds<'a> {
    source: Source<'a>,
    limits_ms: &'a [f64],
    known: Halves,
    halves: Halves,
    /// What contributes, by limit.
    shares: Vec<Vec<Share>>,
    /// By limit, at the rates around those that suit the known space.
    rough: Vec<Vec<LimitBounds>>,
}

impl<'a> QtBounds<'a> {
    /// That suit spaces like `known`.
    pub(super) fn new(
        tables: &'a Tables,
        composition: Composition,
        limits_ms: &'a [f64],
        options: &'a QtOptions,
        known: &Space,
    ) -> Self {
        let top = TopShare::new(options.draws, options.top);
        let shares = (0..limits_ms.len()).map(|limit| shares(options, &top, limit)).collect();
        let mut bounds = Self {
            source: Source::new(tables, composition),
            limits_ms,
            known: Halves::of_space(known),
            halves: Halves::of(&tables.hyperspace),
            shares,
            rough: Vec::new(),
        };
        let rough = |limit: usize| {
            let suits = bounds.suitable_rates(limit);
            let around = AROUND.iter().map(|(loss, latency)| Rates {
                loss: suits.loss * loss,
                latency: suits.latency * latency,
            });
            around.map(|rates| bounds.of_limit(&bounds.halves, limit, rates, 1)).collect()
        };
        bounds.rough = (0..limits_ms.len()).map(rough).collect();
        bounds
    }

    /// The rates with the smallest bound of the known space, without bins.
    fn suitable_rates(&self, limit: usize) -> Rates {
        let latencies = steps(0.5 / self.limits_ms[limit], 24);
        let rates = self.loss_rates();
        let pairs =
            rates.flat_map(|loss| latencies.clone().map(move |latency| Rates { loss, latency }));
        self.least_of_known(limit, pairs, 1)
    }

    /// The rate of loss with the smallest bound of the known space, with bins.
    fn suitable_tight_rates(&self, limit: usize, bins: usize) -> Rates {
        let rates = self.loss_rates().map(|loss| Rates { loss, latency: 0.0 });
        self.least_of_known(limit, rates, bins)
    }

    fn loss_rates(&self) -> impl Iterator<Item = f64> + Clone + use<> {
        let deviation = self.source.tables.typical_deviation().max(f64::MIN_POSITIVE);
        steps(0.5 / deviation, 20)
    }

    fn least_of_known(
        &self,
        limit: usize,
        rates: impl Iterator<Item = Rates>,
        bins: usize,
    ) -> Rates {
        let limit_ms = self.limits_ms[limit];
        let bound = |rates: &Rates| {
            let moments = Moments::new(&self.source, &self.known, limit_ms, *rates, bins);
            self.contribution(limit, *rates, f64::from(moments.of_pair(0, 0) + LOST).ln())
        };
        let bounds = rates.map(|rates| (rates, bound(&rates)));
        let least = bounds.min_by(|a, b| a.1.total_cmp(&b.1));
        least.map_or(Rates { loss: 1.0, latency: 0.0 }, |(rates, _)| rates)
    }

    fn of_limit(&self, halves: &Halves, limit: usize, rates: Rates, bins: usize) -> LimitBounds {
        let limit_ms = self.limits_ms[limit];
        LimitBounds {
            moments: Moments::new(&self.source, halves, limit_ms, rates, bins),
            contribution: Contribution::new(|log_moment| {
                self.contribution(limit, rates, log_moment)
            }),
        }
    }

    fn bins(&self) -> usize {
        let halves = self.halves.first_count() + self.halves.last_count();
        let bytes = halves * self.source.dimensions(&self.halves) * size_of::<f32>();
        (MOST_BYTES / bytes.max(1)).clamp(BINS.1, BINS.0) / BINS.1 * BINS.1
    }

    /// What a limit contributes at most, for the feasible share that suits best, by the logarithm of the moment.
    fn contribution(&self, limit: usize, rates: Rates, log_moment: f64) -> f64 {
        let shares = &self.shares[limit];
        let least_loss = self.source.least_loss();
        let nothing = shares.first().map_or(0.0, |share| share.factor) / least_loss;
        let shift = rates.latency * self.source.counted(self.limits_ms[limit]);
        let at = |share: &Share| {
            let more = (share.log_top - shift - log_moment) / rates.loss;
            share.factor / (least_loss + more.max(0.0))
        };
        shares.iter().map(at).fold(nothing, f64::max)
    }
}

/// What a limit contributes for each step of the feasible share, but for the loss.
fn shares(options: &QtOptions, top: &TopShare, limit: usize) -> Vec<Share> {
    let weight = options.weights.get(limit).copied().unwrap_or(1.0);
    let share = |step: i32| 10f64.powf(f64::from(step) / f64::from(SHARES)).min(1.0);
    let at = |step: i32| {
        let end = share(step + 1);
        let factor = weight * options.nearness(end) / options.penalty(end);
        Share { factor, log_top: top.at(share(step)).ln() }
    };
    (LEAST.log10() as i32 * SHARES..0).map(at).collect()
}

impl Bounds for QtBounds<'_> {
    fn rough(&self, first: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.halves.last_count()];
        for limit in &self.rough {
            limit[0].add_first(first, &mut sums);
        }
        sums
    }

    fn closer(&self, first: usize, lasts: &[u32]) -> Vec<f64> {
        let least = |limit: &Vec<LimitBounds>, last: usize| {
            limit.iter().map(|b| b.of_pair(first, last)).fold(f64::INFINITY, f64::min)
        };
        let sum = |last: &u32| self.rough.iter().map(|limit| least(limit, *last as usize)).sum();
        lasts.iter().map(sum).collect()
    }

    fn tight(&self, pairs: &[(u32, u32)]) -> Vec<f64> {
        let mut sums = vec![0.0; pairs.len()];
        let bins = self.bins();
        for (limit, rough) in self.rough.iter().enumerate() {
            let mut least = vec![f64::INFINITY; pairs.len()];
            rough.iter().for_each(|bounds| bounds.lower(pairs, &mut least));
            let suits = self.suitable_tight_rates(limit, bins);
            for factor in AROUND_TIGHT {
                let rates = Rates { loss: suits.loss * factor, ..suits };
                self.of_limit(&self.halves, limit, rates, bins).lower(pairs, &mut least);
            }
            sums.iter_mut().zip(least).for_each(|(sum, least)| *sum += least);
        }
        sums
    }
}

/// `count` numbers from `low` on, each a quarter larger than the one before.
fn steps(low: f64, count: i32) -> impl Iterator<Item = f64> + Clone {
    (0..count).map(move |step| low * 1.25f64.powi(step))
}

/// What one limit contributes at most, at one pair of rates.
struct LimitBounds {
    moments: Moments,
    contribution: Contribution,
}

impl LimitBounds {
    fn of_pair(&self, first: usize, last: usize) -> f64 {
        self.contribution.at(self.moments.of_pair(first, last))
    }

    /// Adds the bounds of a first half with each last half.
    fn add_first(&self, first: usize, sums: &mut [f64]) {
        for (sum, moment) in sums.iter_mut().zip(self.moments.of_first(first)) {
            *sum += self.contribution.at(moment);
        }
    }

    /// Lowers the bounds of pairs of halves.
    fn lower(&self, pairs: &[(u32, u32)], bounds: &mut [f64]) {
        bounds.par_iter_mut().zip(pairs).for_each(|(bound, (first, last))| {
            *bound = bound.min(self.of_pair(*first as usize, *last as usize));
        });
    }
}

/// A step of the feasible share.
struct Share {
    /// The most that this share allows, times the loss of the best.
    factor: f64,
    /// At most the logarithm of `W` at this share.
    log_top: f64,
}

/// Upper bounds of what a limit contributes to the score, tabulated by the moment.
struct Contribution {
    /// An entry for each step of the moment, which are 256 an octave.
    table: Vec<f64>,
}

/// Bits of a moment within a step.
const STEP_BITS: u32 = f32::MANTISSA_DIGITS - 1 - 8;

impl Contribution {
    /// From the contribution by the moment's logarithm, which must rise with it.
    fn new(of_log_moment: impl Fn(f64) -> f64) -> Self {
        let steps = 0..=(f32::INFINITY.to_bits() >> STEP_BITS);
        let entry = |step: u32| of_log_moment(f64::from(f32::from_bits(step << STEP_BITS)).ln());
        Self { table: steps.map(entry).collect() }
    }

    /// `moment` must not be negative.
    fn at(&self, moment: f32) -> f64 {
        // Floating-point numbers from 0 on are in the order of their bits.
        let step = (moment * (1.0 + ROUNDING) + LOST).to_bits() >> STEP_BITS;
        let behind = step as usize + 1;
        self.table[behind.min(self.table.len() - 1)]
    }
}
