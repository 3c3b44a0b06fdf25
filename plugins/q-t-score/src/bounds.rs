//! Which spaces may beat a score: bounds from the two halves of spaces, of which there are far
//! fewer than spaces.
//!
//! The share of subnets with at most loss `x` within a latency limit `c` is bounded by moments of
//! the halves (Chernoff): for any `s, q ≥ 0`, `U(x) ≤ exp(s x + q c) · E[exp(−s L − q T)]`, and the
//! expectation is a sum of products over resolutions and widths between the halves. Losses of the
//! best are then at least those of a space whose share is the bound.

use std::{collections::HashMap, ops::Range};

use rayon::prelude::*;
use spacewright_core::{
    quality::{Cell, Composition},
    score::Candidates,
    space::{Hyperspace, Space},
};

use super::{
    LEAST, QtOptions,
    exact::TopShare,
    rows::{CellRows, StemAndHead, SubStageRow, Tables},
};

/// Steps of the feasible share, per decade: more make bounds tighter and cost time.
const SHARES: i32 = 16;
/// Parts of such a step, in integrals.
const PARTS: i32 = 8;
/// Entries of [`Contribution::table`]: more make bounds tighter.
const ENTRIES: usize = 4096;
/// Factors of the decay rates that suit the best known space, tried on every space.
const AROUND: [(f64, f64); 5] = [(1.0, 1.0), (1.3, 1.0), (0.77, 1.0), (1.0, 1.4), (1.0, 0.7)];

/// What all bounds of one scorer need.
pub(super) struct Bounds<'a> {
    pub(super) tables: &'a Tables,
    pub(super) composition: Composition,
    pub(super) limits_ms: &'a [f64],
    pub(super) options: &'a QtOptions,
}

/// A decay rate per unit of loss and one per millisecond, for one limit.
#[derive(Debug, Clone, Copy)]
struct Rates {
    loss: f64,
    latency: f64,
}

/// Moments of all halves for one pair of rates, by resolution and width between the halves.
struct Moments {
    dimensions: usize,
    first: Vec<f64>,
    last: Vec<f64>,
    contribution: Contribution,
}

impl Moments {
    fn bound(&self, first: usize, last: usize) -> f64 {
        let d = self.dimensions;
        let pairs = self.first[first * d..][..d].iter().zip(&self.last[last * d..][..d]);
        self.contribution.at(pairs.map(|(a, b)| a * b).sum())
    }
}

/// Upper bounds of what a limit contributes to the score, tabulated by the logarithm of the moment
/// `E[exp(−s L − q T)]`.
struct Contribution {
    /// Logarithm of the moment that the first entry belongs to.
    from: f64,
    /// Step of the logarithm from entry to entry.
    step: f64,
    table: Vec<f64>,
}

impl Contribution {
    fn at(&self, moment: f64) -> f64 {
        let last = self.table.len() - 1;
        if moment <= 0.0 {
            // Too small for the rates, or nothing.
            return self.table[last];
        }
        let place = ((moment.ln() - self.from) / self.step).ceil();
        self.table[(place.max(0.0) as usize).min(last)]
    }
}

impl Bounds<'_> {
    /// Spaces whose bound is above `threshold`, the highest bounds first; at most `most`.
    pub(super) fn candidates(&self, known: &Space, threshold: f64, most: usize) -> Candidates {
        let hyperspace = &self.tables.hyperspace;
        let half = hyperspace.stages.len().div_ceil(2);
        let halves = Halves {
            first: choices(hyperspace, 0..half),
            last: choices(hyperspace, half..hyperspace.stages.len()),
        };
        let moments: Vec<Vec<Moments>> = (0..self.limits_ms.len())
            .map(|limit| {
                let suits = self.suitable_rates(known, limit);
                let around = AROUND.iter().map(|(loss, latency)| Rates {
                    loss: suits.loss * loss,
                    latency: suits.latency * latency,
                });
                let shares = self.shares(limit);
                around.map(|rates| self.moments(&shares, limit, rates, &halves)).collect()
            })
            .collect();
        // Bounds from the first pair of rates; of those above the threshold, the best of all.
        let bound = |a: usize, b: usize| {
            let rough: f64 = moments.iter().map(|limit| limit[0].bound(a, b)).sum();
            if rough <= threshold {
                return rough;
            }
            let least = |limit: &Vec<Moments>| {
                limit.iter().map(|m| m.bound(a, b)).fold(f64::INFINITY, f64::min)
            };
            moments.iter().map(least).sum()
        };
        let of_first = |a: usize| {
            let bounds = (0..halves.last.len()).map(|b| (bound(a, b), a, b));
            let mut kept = HighestBounds::new(most);
            bounds.filter(|(bound, ..)| *bound > threshold).for_each(|found| kept.push(found));
            kept
        };
        let kept = (0..halves.first.len())
            .into_par_iter()
            .map(of_first)
            .reduce(|| HighestBounds::new(most), HighestBounds::merged);
        kept.candidates(|a, b| Space {
            hyperspace: hyperspace.name.clone(),
            blocks: halves.space(a, b).map(|choice| choice.0).collect(),
            windows: halves.space(a, b).map(|choice| choice.1).collect(),
        })
    }

    /// The rates with the smallest bound for a space.
    fn suitable_rates(&self, space: &Space, limit: usize) -> Rates {
        let deviation = self.tables.typical_deviation().max(f64::MIN_POSITIVE);
        let steps = |low: f64, count: i32| (0..count).map(move |i| low * 1.25f64.powi(i));
        let choices: Choices =
            space.blocks.iter().copied().zip(space.windows.iter().copied()).collect();
        let (first, last) = choices.split_at(choices.len().div_ceil(2));
        let halves = Halves { first: vec![first.to_vec()], last: vec![last.to_vec()] };
        let rates = steps(0.5 / deviation, 20).flat_map(|loss| {
            let latency = steps(0.5 / self.limits_ms[limit], 24);
            latency.map(move |latency| Rates { loss, latency })
        });
        let shares = self.shares(limit);
        let bound = |rates: &Rates| self.moments(&shares, limit, *rates, &halves).bound(0, 0);
        let bounds = rates.map(|rates| (rates, bound(&rates)));
        let least = bounds.min_by(|a, b| a.1.total_cmp(&b.1));
        least.map_or(Rates { loss: 1.0 / deviation, latency: 0.0 }, |(rates, _)| rates)
    }

    fn moments(&self, shares: &[Share], limit: usize, rates: Rates, halves: &Halves) -> Moments {
        let factors = Factors::new(self, rates, halves);
        let half = halves.first.first().map_or(0, Vec::len);
        Moments {
            dimensions: self.tables.fixed.len() * self.states(half),
            first: halves.first.par_iter().flat_map_iter(|half| factors.forward(half)).collect(),
            last: halves
                .last
                .par_iter()
                .flat_map_iter(|last| factors.backward(half, last))
                .collect(),
            contribution: self.contribution(shares, limit, rates),
        }
    }

    /// How many widths are told apart at the input of a stage, or of the head.
    fn states(&self, stage: usize) -> usize {
        match self.composition {
            Composition::Consistent => self.tables.input_widths(stage),
            Composition::Independent => 1,
        }
    }

    /// By resolution, input state and output state: `E[exp(−s loss − q latency)]` of a row, its loss
    /// above the least of the stage.
    fn cell_moments(&self, cell: Cell, rows: &CellRows, rates: Rates) -> Vec<Matrix> {
        let tables = self.tables;
        let last = cell.stage + 1 == tables.stages();
        let least = tables.least_loss_of(cell.stage);
        let outputs = self.states(cell.stage + 1);
        let resolution = |fixed: &StemAndHead| {
            let sum = |rows: &[SubStageRow]| {
                let mut moments = vec![0.0; outputs];
                for row in rows {
                    let head = if last { fixed.head[row.width as usize] } else { 0.0 };
                    // A head of unknown latency belongs to a space that cannot be scored.
                    let head = if head.is_finite() { head } else { 0.0 };
                    let state = if outputs == 1 { 0 } else { row.width as usize };
                    let exponent =
                        rates.loss * (row.loss - least) + rates.latency * (row.latency_ms + head);
                    moments[state] += (-exponent).exp() / rows.len() as f64;
                }
                moments
            };
            match self.composition {
                Composition::Independent => vec![sum(rows.at_resolution(fixed.index))],
                Composition::Consistent => (0..tables.input_widths(cell.stage) as u32)
                    .map(|input| sum(rows.at_input(fixed.index, input)))
                    .collect(),
            }
        };
        tables.fixed.iter().map(resolution).collect()
    }

    /// What a limit contributes for each step of the feasible share, but for the loss.
    fn shares(&self, limit: usize) -> Vec<Share> {
        let options = self.options;
        let top = TopShare::new(options.draws, options.top);
        let weight = options.weights.get(limit).copied().unwrap_or(1.0);
        let share = |i: i32| 10f64.powf(f64::from(i) / f64::from(SHARES * PARTS));
        let first = LEAST.log10() as i32 * SHARES * PARTS;
        // The mean of ln u over the best of the share so far, from below.
        let mut below = top.at(share(first));
        let mut integral = below * (share(first).ln() - 1.0);
        let mut shares = Vec::new();
        for step in (first..0).step_by(PARTS as usize) {
            let end = share(step + PARTS).min(1.0);
            let factor = weight * options.nearness(end) / options.penalty(end);
            shares.push(Share { factor, mean_log: integral / below });
            for part in step..step + PARTS {
                let mass = top.at(share(part + 1).min(1.0)) - top.at(share(part));
                integral += mass * share(part).ln();
                below += mass;
            }
        }
        shares
    }

    /// With `U(x) ≤ B exp(s x)`, `x` being the loss above the least, the subnet at share `u` has at
    /// least `x = (ln u − ln B) / s`; averaged over the best, and for the feasible share that suits best.
    fn contribution(&self, shares: &[Share], limit: usize, rates: Rates) -> Contribution {
        let least_loss = self.tables.least_loss().max(f64::MIN_POSITIVE);
        let nothing = shares.first().map_or(0.0, |share| share.factor) / least_loss;
        let most = |log_bound: f64| {
            let at = |share: &Share| {
                let more = (share.mean_log - log_bound) / rates.loss;
                share.factor / (least_loss + more.max(0.0))
            };
            shares.iter().map(at).fold(nothing, f64::max)
        };
        let shift = rates.latency * self.limits_ms[limit];
        // From no subnet within twice the limit to all of them without loss and latency.
        let range = self.tables.largest_loss() - least_loss;
        let (low, high) = (-rates.loss * range - shift, shift + 1.0);
        let step = (high - low) / ENTRIES as f64;
        Contribution {
            from: low - shift,
            step,
            table: (0..=ENTRIES).map(|i| most(low + step * i as f64)).collect(),
        }
    }
}

/// Block and window of each stage of a half.
type Choices = Vec<(usize, usize)>;

/// All first and all last halves of some spaces.
struct Halves {
    first: Vec<Choices>,
    last: Vec<Choices>,
}

impl Halves {
    fn space(&self, first: usize, last: usize) -> impl Iterator<Item = &(usize, usize)> {
        self.first[first].iter().chain(&self.last[last])
    }
}

/// By input state and output state.
type Matrix = Vec<Vec<f64>>;

/// The moments of single stages, from which those of halves are multiplied.
struct Factors<'a> {
    bounds: &'a Bounds<'a>,
    rates: Rates,
    /// By resolution.
    cells: HashMap<Cell, Vec<Matrix>>,
}

impl<'a> Factors<'a> {
    fn new(bounds: &'a Bounds<'a>, rates: Rates, halves: &Halves) -> Self {
        let half = halves.first.first().map_or(0, Vec::len);
        let first = halves.first.iter().flat_map(|choices| cells(0, choices));
        let last = halves.last.iter().flat_map(|choices| cells(half, choices));
        let mut needed: Vec<Cell> = first.chain(last).collect();
        needed.sort_unstable();
        needed.dedup();
        let known = needed.into_par_iter().filter_map(|cell| {
            let rows = bounds.tables.cells.get(&cell)?;
            Some((cell, bounds.cell_moments(cell, rows, rates)))
        });
        let cells = known.collect();
        Self { bounds, rates, cells }
    }

    /// Of the stem, by width, as a share of all resolutions.
    fn stem(&self, resolution: usize) -> Vec<f64> {
        let tables = self.bounds.tables;
        let fixed = &tables.fixed[resolution];
        let share = 1.0 / (fixed.stem.len() * tables.fixed.len()) as f64;
        let mut moments = vec![0.0; self.bounds.states(0)];
        for stem in &fixed.stem {
            let state = if moments.len() == 1 { 0 } else { stem.width as usize };
            moments[state] += share * (-self.rates.latency * stem.latency_ms).exp();
        }
        moments
    }

    /// Of stem and first half, by resolution and output state; 0 where a table is missing.
    fn forward(&self, choices: &Choices) -> Vec<f64> {
        let at = |resolution: usize| {
            cells(0, choices).fold(self.stem(resolution), |before, cell| {
                let mut after = vec![0.0; self.bounds.states(cell.stage + 1)];
                let Some(matrices) = self.cells.get(&cell) else { return after };
                for (before, row) in before.iter().zip(&matrices[resolution]) {
                    for (after, factor) in after.iter_mut().zip(row) {
                        *after += before * factor;
                    }
                }
                after
            })
        };
        (0..self.bounds.tables.fixed.len()).flat_map(at).collect()
    }

    /// Of the half from stage `first` on, by resolution and input state; 0 where a table is
    /// missing.
    fn backward(&self, first: usize, choices: &Choices) -> Vec<f64> {
        let end = vec![1.0; self.bounds.states(first + choices.len())];
        let at = |resolution: usize| {
            let last_first = cells(first, choices).collect::<Vec<_>>().into_iter().rev();
            last_first.fold(end.clone(), |behind, cell| {
                let Some(matrices) = self.cells.get(&cell) else {
                    return vec![0.0; self.bounds.states(cell.stage)];
                };
                let sum = |row: &Vec<f64>| row.iter().zip(&behind).map(|(a, b)| a * b).sum();
                matrices[resolution].iter().map(sum).collect()
            })
        };
        (0..self.bounds.tables.fixed.len()).flat_map(at).collect()
    }
}

/// The cells that a half from stage `first` on is made of.
fn cells(first: usize, choices: &Choices) -> impl Iterator<Item = Cell> {
    let stages = choices.iter().zip(first..);
    stages.map(|(&(block, window), stage)| Cell { stage, block, window })
}

/// A step of the feasible share.
struct Share {
    /// The most that this share allows, times the loss of the best.
    factor: f64,
    /// At most the mean of the logarithm of the share below a subnet that counts.
    mean_log: f64,
}

/// Every choice of (block, window) for these stages.
fn choices(hyperspace: &Hyperspace, stages: Range<usize>) -> Vec<Choices> {
    let mut all = vec![Vec::new()];
    for stage in stages {
        let windows = hyperspace.stages[stage].windows();
        let choice = |block: usize| (0..windows).map(move |window| (block, window));
        let longer = |before: Choices| {
            let after = (0..hyperspace.candidates.len()).flat_map(choice);
            after.map(move |choice| before.iter().copied().chain([choice]).collect::<Choices>())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// The `most` highest bounds of spaces, and the highest of those that were dropped.
struct HighestBounds {
    most: usize,
    /// Bound, first half, last half.
    found: Vec<(f64, usize, usize)>,
    rest: f64,
}

impl HighestBounds {
    fn new(most: usize) -> Self {
        Self { most, found: Vec::new(), rest: f64::NEG_INFINITY }
    }

    fn push(&mut self, found: (f64, usize, usize)) {
        self.found.push(found);
        if self.found.len() >= 2 * self.most.max(1) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        if let Some((highest, ..)) = self.found.get(self.most) {
            self.rest = self.rest.max(*highest);
            self.found.truncate(self.most);
        }
    }

    fn merged(mut self, other: Self) -> Self {
        self.rest = self.rest.max(other.rest);
        other.found.into_iter().for_each(|found| self.push(found));
        self
    }

    fn candidates(mut self, space: impl Fn(usize, usize) -> Space) -> Candidates {
        self.cut();
        Candidates {
            bounds: self.found.iter().map(|found| found.0).collect(),
            spaces: self.found.iter().map(|(_, a, b)| space(*a, *b)).collect(),
            rest: (self.rest > f64::NEG_INFINITY).then_some(self.rest),
        }
    }
}
