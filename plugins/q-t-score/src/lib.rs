//! The Q-T score (SpaceEvo, arXiv 2303.08308): how good the best subnets of a space are within
//! latency limits.
//!
//! With `A` the mean summed loss of the best subnets within a limit and `p` the share of subnets
//! within it, the limit contributes `1 / (P · A)` where `P = max(1, (t / p)^a)`; the score is the
//! sum over limits. Published is a Monte-Carlo procedure: of `draws` subnets that are drawn from
//! the quality tables, the `top` best feasible ones are averaged. [`Mode::Exact`] computes what
//! that gives on average, and bounds for all spaces from their halves.
//!
//! Two compositions. `independent` is the published procedure: every stage's row is drawn on its
//! own, whatever its input width, and each batch of draws has one resolution. `consistent` draws
//! networks that exist: a stem, then for each stage a row whose input width is the width that was
//! reached, each draw at its own resolution.

mod bounds;
mod draw;
mod exact;
mod rows;
mod support;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    options,
    quality::Composition,
    score::{
        Analysis, Bounded, Bounds, ConstraintScore, PreparedScorer, ScoreError, ScoreProblem,
        Scorer, SpaceScore, Support,
    },
    space::{Hyperspace, Space},
};

use bounds::QtBounds;
use exact::{BestSubnets, Exact, TopShare};
use rows::{Extremes, Tables};

const NAME: &str = "q-t";
/// Added to the feasible share, as published.
const GUARD: f64 = 1e-5;
/// Bound of the relative error of a score from sums in single precision.
const ROUNDING: f64 = 1e-6;
/// Smaller feasible shares cannot be told from rounding errors.
const LEAST: f64 = 1e-9;

/// The Q-T score.
#[derive(Debug, Clone, Copy, Default)]
pub struct QtScore;

/// How scores are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The expected result of drawing, computed without drawing.
    #[default]
    Exact,
    /// By drawing subnets at random, as published.
    MonteCarlo,
}

/// Options of [`QtScore`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QtOptions {
    /// How the best subnets are found.
    pub mode: Mode,
    /// Subnets drawn per space and limit.
    pub draws: usize,
    /// How many of the best subnets are averaged.
    pub top: usize,
    /// Share of subnets within the limit below which a space is punished.
    pub t: f64,
    /// Exponent of the punishment.
    pub a: f64,
    /// Draws of one resolution in independent composition.
    pub batch: usize,
    /// Factor of each limit's contribution; empty for 1 each.
    pub weights: Vec<f64>,
    /// Factor of each stage's loss; empty for 1 each.
    pub stage_weights: Vec<f64>,
}

impl Default for QtOptions {
    /// Those of the published search.
    fn default() -> Self {
        Self {
            mode: Mode::Exact,
            draws: 100_000,
            top: 50,
            t: 0.08,
            a: 0.01,
            batch: 500,
            weights: Vec::new(),
            stage_weights: Vec::new(),
        }
    }
}

impl QtOptions {
    fn read(
        options: &serde_json::Value,
        hyperspace: &Hyperspace,
        limits: usize,
    ) -> Result<Self, ScoreError> {
        let options: Self = options::read(NAME, options)?;
        options.check(hyperspace.stages.len(), limits)?;
        Ok(options)
    }

    fn check(&self, stages: usize, limits: usize) -> Result<(), ScoreError> {
        for (option, value) in [("draws", self.draws), ("top", self.top), ("batch", self.batch)] {
            if value == 0 {
                return Err(options::invalid_option(NAME, option, value, "a number from 1"));
            }
        }
        if !(self.t > 0.0 && self.t <= 1.0) {
            return Err(options::invalid_option(NAME, "t", self.t, "above 0, at most 1"));
        }
        if !(self.a >= 0.0 && self.a.is_finite()) {
            return Err(options::invalid_option(NAME, "a", self.a, "a number from 0"));
        }
        for (option, values, count, of_what) in [
            ("weights", &self.weights, limits, "latency limit"),
            ("stage_weights", &self.stage_weights, stages, "stage"),
        ] {
            let sound = values.iter().all(|value| value.is_finite() && *value >= 0.0);
            // Where none counts every score is zero, or no number.
            let counts = values.len() == count && values.iter().any(|value| *value > 0.0);
            if !sound || !(values.is_empty() || counts) {
                let allowed = format!("{count} numbers from 0, one per {of_what}, and not all 0");
                return Err(options::invalid_option(NAME, option, format!("{values:?}"), &allowed));
            }
        }
        Ok(())
    }

    /// What a limit contributes, from the losses of the feasible subnets that were drawn.
    fn judge_drawn(&self, limit_ms: f64, weight: f64, mut losses: Vec<f64>) -> ConstraintScore {
        // The published code's guard against division by zero, and its loss of a space without a
        // feasible subnet.
        const NOTHING: f64 = 1e5;
        let feasible = losses.len() as f64 / self.draws as f64;
        let count = self.top.min(losses.len());
        if count < losses.len() {
            losses.select_nth_unstable_by(count, f64::total_cmp);
        }
        let sum: f64 = losses[..count].iter().sum();
        let loss = if count == 0 { NOTHING } else { sum / (count as f64 + GUARD) };
        let penalty = self.penalty(feasible);
        ConstraintScore { limit_ms, feasible, loss, penalty, score: weight / (penalty * loss) }
    }

    /// What a limit contributes, from the exact share of feasible subnets and the loss of the
    /// best. Where less than one of the `draws` subnets is feasible on average, the contribution
    /// falls with the share's logarithm, and below [`LEAST`] with the latency of the fastest
    /// subnet.
    fn judge(
        &self,
        limit_ms: f64,
        weight: f64,
        best: BestSubnets,
        extremes: impl FnOnce() -> Extremes,
    ) -> ConstraintScore {
        let feasible = if best.feasible < LEAST { 0.0 } else { best.feasible };
        let penalty = self.penalty(feasible);
        let (loss, nearness) = match best.loss {
            Some(loss) if feasible > 0.0 => (loss, self.nearness(feasible)),
            _ => {
                let extremes = extremes();
                let near = (limit_ms / extremes.fastest_ms).min(1.0);
                (extremes.largest_loss, self.nearness(LEAST) * near)
            }
        };
        let score = weight * nearness / (penalty * loss);
        ConstraintScore { limit_ms, feasible, loss, penalty, score }
    }

    /// 1 where at least one of the draws is feasible on average.
    fn nearness(&self, feasible: f64) -> f64 {
        1.0 / (1.0 + (-(feasible * self.draws as f64).ln()).max(0.0) / 4.0)
    }

    fn penalty(&self, feasible: f64) -> f64 {
        (self.t / (feasible + GUARD)).powf(self.a).max(1.0)
    }
}

/// The scorer of this crate.
pub fn scorers() -> Vec<Arc<dyn Scorer>> {
    vec![Arc::new(QtScore)]
}

spacewright_sdk::register!("q-t-score", Scorers, scorers);

impl Scorer for QtScore {
    fn name(&self) -> &str {
        NAME
    }

    fn check_options(
        &self,
        options: &serde_json::Value,
        hyperspace: &Hyperspace,
        limits: usize,
    ) -> Result<(), ScoreError> {
        QtOptions::read(options, hyperspace, limits).map(drop)
    }

    fn has_bounds(&self, options: &serde_json::Value) -> bool {
        options::read::<QtOptions>(NAME, options).is_ok_and(|read| read.mode == Mode::Exact)
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &serde_json::Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let options = QtOptions::read(options, &problem.hyperspace, problem.constraints_ms.len())?;
        let positive = |limit: &f64| limit.is_finite() && *limit > 0.0;
        if problem.constraints_ms.is_empty() || !problem.constraints_ms.iter().all(positive) {
            let found = &problem.constraints_ms;
            let reason = format!("latency limits {found:?}; needed is at least one, above 0 ms");
            return Err(ScoreError::new(reason));
        }
        let tables = Tables::new(&problem, &options.stage_weights)?;
        let exact = (options.mode == Mode::Exact).then(|| {
            let top = TopShare::new(options.draws, options.top);
            Exact::new(&tables, problem.composition, &problem.constraints_ms, top)
        });
        Ok(Box::new(PreparedQtScore {
            tables,
            exact,
            limits_ms: problem.constraints_ms,
            composition: problem.composition,
            options,
        }))
    }
}

struct PreparedQtScore {
    tables: Tables,
    /// `None` for [`Mode::MonteCarlo`].
    exact: Option<Exact>,
    limits_ms: Vec<f64>,
    composition: Composition,
    options: QtOptions,
}

impl PreparedScorer for PreparedQtScore {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        spaces.iter().try_for_each(|space| self.tables.check(space, self.composition))?;
        match &self.exact {
            Some(exact) => {
                let score = |space| self.judge(space, exact.best(&self.tables, space));
                Ok(spaces.par_iter().map(score).collect())
            }
            None => Ok(self.drawn(spaces, seed)),
        }
    }

    fn analysis(&self) -> Option<&dyn Analysis> {
        self.exact.is_some().then_some(self)
    }

    fn bounded(&self) -> Option<&dyn Bounded> {
        self.exact.is_some().then_some(self)
    }
}

impl Bounded for PreparedQtScore {
    fn bounds(&self, known: &Space) -> Result<Box<dyn Bounds + '_>, ScoreError> {
        self.tables.check(known, self.composition)?;
        let bounds =
            QtBounds::new(&self.tables, self.composition, &self.limits_ms, &self.options, known);
        Ok(Box::new(bounds))
    }
}

impl Analysis for PreparedQtScore {
    fn error_bound(&self, space: &Space) -> Result<f64, ScoreError> {
        let (exact, _) = self.analysed(space, 0)?;
        let score = &self.score(std::slice::from_ref(space), 0)?[0];
        // Errors of the grid fall at least with the square of the width of its bins, so that at
        // least three quarters of them show; sums in single precision add their own.
        let finer = exact.finer(&self.tables, space).map(|best| self.judge(space, best));
        let error = |finer: SpaceScore| {
            (score.score - finer.score).abs() * 4.0 / 3.0 + ROUNDING * score.score
        };
        Ok(finer.map_or(0.0, error))
    }

    fn distribution(&self, space: &Space, limit: usize) -> Result<Vec<(f64, f64)>, ScoreError> {
        let (exact, _) = self.analysed(space, limit)?;
        let points = exact.distribution(&self.tables, space, limit);
        let feasible: f64 = points.iter().map(|point| point.1).sum();
        Ok(if feasible < LEAST { Vec::new() } else { points })
    }

    fn support(&self, space: &Space, limit: usize) -> Result<Option<Vec<Support>>, ScoreError> {
        let (exact, limit_ms) = self.analysed(space, limit)?;
        Ok(support::support(&self.tables, exact, space, self.composition, limit_ms))
    }
}

fn total(constraints: Vec<ConstraintScore>) -> SpaceScore {
    SpaceScore { score: constraints.iter().map(|part| part.score).sum(), constraints }
}

impl PreparedQtScore {
    /// Checks the space; gives what it is analysed with, and the limit in milliseconds.
    fn analysed(&self, space: &Space, limit: usize) -> Result<(&Exact, f64), ScoreError> {
        self.tables.check(space, self.composition)?;
        let Some(exact) = &self.exact else {
            let reason = "drawn scores have no analysis; the mode `exact` of `q-t` has one";
            return Err(ScoreError::new(reason));
        };
        let Some(&limit_ms) = self.limits_ms.get(limit) else {
            let limits = self.limits_ms.len();
            let reason = format!("latency limit {limit} of {limits}; they count from 0");
            return Err(ScoreError::new(reason));
        };
        Ok((exact, limit_ms))
    }

    fn weight(&self, limit: usize) -> f64 {
        self.options.weights.get(limit).copied().unwrap_or(1.0)
    }

    fn judge(&self, space: &Space, best: Vec<BestSubnets>) -> SpaceScore {
        let extremes = || self.tables.extremes(space, self.composition);
        let part = |(limit, best): (usize, BestSubnets)| {
            self.options.judge(self.limits_ms[limit], self.weight(limit), best, extremes)
        };
        total(best.into_iter().enumerate().map(part).collect())
    }

    fn drawn(&self, spaces: &[Space], seed: u64) -> Vec<SpaceScore> {
        let limits = self.limits_ms.len();
        let tasks: Vec<(&Space, usize)> =
            spaces.iter().flat_map(|space| (0..limits).map(move |limit| (space, limit))).collect();
        let parts: Vec<ConstraintScore> =
            tasks.par_iter().map(|(space, limit)| self.drawn_part(space, *limit, seed)).collect();
        parts.chunks(limits).map(|parts| total(parts.to_vec())).collect()
    }

    fn drawn_part(&self, space: &Space, limit: usize, seed: u64) -> ConstraintScore {
        let limit_ms = self.limits_ms[limit];
        let rng = &mut draw::rng(seed, space, limit_ms);
        let losses = match self.composition {
            Composition::Independent => {
                draw::independent(&self.tables, space, limit_ms, &self.options, rng)
            }
            Composition::Consistent => {
                draw::consistent(&self.tables, space, limit_ms, self.options.draws, rng)
            }
        };
        self.options.judge_drawn(limit_ms, self.weight(limit), losses)
    }
}

#[cfg(test)]
mod tests;
