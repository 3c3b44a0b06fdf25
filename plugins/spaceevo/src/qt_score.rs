//! The Q-T score (SpaceEvo, arXiv 2303.08308): how good the best subnets of a space are within
//! latency limits.
//!
//! For each limit, subnets are drawn from the quality tables. With `L` the summed loss of a
//! subnet's stages, `A` the mean `L` of the `top` best subnets within the limit and `p` the share
//! of subnets within it, the limit contributes `1 / (P · A)` where `P = max(1, (t / p)^a)`; the
//! score is the sum over limits.
//!
//! Two compositions. `independent` is the published procedure: every stage's row is drawn on its
//! own, whatever its input width, and each batch of draws has one resolution. `consistent` draws
//! networks that exist: a stem, then for each stage a row whose input width is the width that was
//! reached, each draw at its own resolution.

mod draw;
mod rows;

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    quality::Composition,
    score::{ConstraintScore, PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
};

use crate::options;
use rows::Tables;

const NAME: &str = "q-t";

/// The Q-T score.
#[derive(Debug, Clone, Copy, Default)]
pub struct QtScore;

/// How the best subnets of a space are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By drawing subnets at random.
    #[default]
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
}

impl Default for QtOptions {
    /// Those of the published search.
    fn default() -> Self {
        Self {
            mode: Mode::MonteCarlo,
            draws: 100_000,
            top: 50,
            t: 0.08,
            a: 0.01,
            batch: 500,
            weights: Vec::new(),
        }
    }
}

impl QtOptions {
    fn read(options: &serde_json::Value, limits: usize) -> Result<Self, ScoreError> {
        let options: Self = options::read(NAME, options)?;
        options.check(limits)?;
        Ok(options)
    }

    fn check(&self, limits: usize) -> Result<(), ScoreError> {
        for (option, value) in [("draws", self.draws), ("top", self.top), ("batch", self.batch)] {
            if value == 0 {
                return Err(options::wrong(NAME, option, value, "a number from 1"));
            }
        }
        if !(self.t > 0.0 && self.t <= 1.0) {
            return Err(options::wrong(NAME, "t", self.t, "above 0, at most 1"));
        }
        if !(self.a >= 0.0 && self.a.is_finite()) {
            return Err(options::wrong(NAME, "a", self.a, "a number from 0"));
        }
        let sound = self.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        if !sound || !(self.weights.is_empty() || self.weights.len() == limits) {
            let allowed = format!("{limits} numbers from 0, one per latency limit");
            return Err(options::wrong(NAME, "weights", format!("{:?}", self.weights), &allowed));
        }
        Ok(())
    }

    /// What a limit contributes, from the losses of the feasible subnets.
    fn judge(&self, limit_ms: f64, weight: f64, mut losses: Vec<f64>) -> ConstraintScore {
        // The published code's guards against division by zero, and its loss of a space without
        // a feasible subnet.
        const GUARD: f64 = 1e-5;
        const NOTHING: f64 = 1e5;
        let feasible = losses.len() as f64 / self.draws as f64;
        let count = self.top.min(losses.len());
        if count < losses.len() {
            losses.select_nth_unstable_by(count, f64::total_cmp);
        }
        let sum: f64 = losses[..count].iter().sum();
        let loss = if count == 0 { NOTHING } else { sum / (count as f64 + GUARD) };
        let penalty = (self.t / (feasible + GUARD)).powf(self.a).max(1.0);
        ConstraintScore { limit_ms, feasible, loss, penalty, score: weight / (penalty * loss) }
    }
}

fn scorers() -> Vec<Arc<dyn Scorer>> {
    vec![Arc::new(QtScore)]
}

spacewright_sdk::register!("spaceevo", Scorers, scorers);

impl Scorer for QtScore {
    fn name(&self) -> &str {
        NAME
    }

    fn check_options(&self, options: &serde_json::Value, limits: usize) -> Result<(), ScoreError> {
        QtOptions::read(options, limits).map(drop)
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &serde_json::Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let options = QtOptions::read(options, problem.constraints_ms.len())?;
        let positive = |limit: &f64| limit.is_finite() && *limit > 0.0;
        if problem.constraints_ms.is_empty() || !problem.constraints_ms.iter().all(positive) {
            let found = &problem.constraints_ms;
            let reason = format!("latency limits {found:?}; needed is at least one, above 0 ms");
            return Err(ScoreError { reason });
        }
        Ok(Box::new(Prepared {
            tables: Tables::new(&problem)?,
            limits_ms: problem.constraints_ms,
            composition: problem.composition,
            options,
        }))
    }
}

struct Prepared {
    tables: Tables,
    limits_ms: Vec<f64>,
    composition: Composition,
    options: QtOptions,
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        spaces.iter().try_for_each(|space| self.tables.check(space, self.composition))?;
        let tasks: Vec<(&Space, usize)> = spaces
            .iter()
            .flat_map(|space| (0..self.limits_ms.len()).map(move |limit| (space, limit)))
            .collect();
        let parts: Vec<ConstraintScore> =
            tasks.par_iter().map(|(space, limit)| self.part(space, *limit, seed)).collect();
        let total = |constraints: &[ConstraintScore]| SpaceScore {
            score: constraints.iter().map(|constraint| constraint.score).sum(),
            constraints: constraints.to_vec(),
        };
        Ok(parts.chunks(self.limits_ms.len()).map(total).collect())
    }
}

impl Prepared {
    fn part(&self, space: &Space, limit: usize, seed: u64) -> ConstraintScore {
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
        let weight = self.options.weights.get(limit).copied().unwrap_or(1.0);
        self.options.judge(limit_ms, weight, losses)
    }
}

#[cfg(test)]
mod tests;
