//! Scorers: how good a space is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    call::{ContractError, Reason},
    quality::{Cell, Composition, FixedLatency, ScoreColumns},
    space::{Hyperspace, Space},
};

/// What spaces are scored against; handed to a scorer once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreProblem {
    /// The hyperspace of the spaces.
    pub hyperspace: Hyperspace,
    /// Sub-stages with loss and latency, by cell.
    #[serde(with = "pairs")]
    pub cells: BTreeMap<Cell, ScoreColumns>,
    /// Latency of stem and head.
    pub fixed: FixedLatency,
    /// Latency limits in milliseconds.
    pub constraints_ms: Vec<f64>,
    /// How rows of neighbouring stages are combined.
    pub composition: Composition,
}

/// Maps as lists of pairs, as few formats have keys that are no text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let pairs = Vec::<(K, V)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

/// A space's score and its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceScore {
    /// The score; higher is better.
    pub score: f64,
    /// One entry per latency limit.
    pub constraints: Vec<ConstraintScore>,
}

/// What one latency limit contributes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConstraintScore {
    /// The latency limit in milliseconds.
    pub limit_ms: f64,
    /// Share of subnets within the limit.
    pub feasible: f64,
    /// Mean summed loss of the best feasible subnets; no measure of quality where none is feasible.
    pub loss: f64,
    /// Factor by which a small feasible share is punished; 1 where it is large enough.
    pub penalty: f64,
    /// What is added to the score.
    pub score: f64,
}

/// Why spaces cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ScoreError {
    /// What is missing or wrong, with the cell or field that it concerns.
    pub reason: Reason,
}

impl ScoreError {
    /// An error from a sentence.
    pub fn new(reason: impl Into<Reason>) -> Self {
        Self { reason: reason.into() }
    }
}

impl ContractError for ScoreError {
    fn reason_mut(&mut self) -> Option<&mut Reason> {
        Some(&mut self.reason)
    }
}

/// Judges spaces.
pub trait Scorer: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// Whether these are options of the scorer, for spaces of a hyperspace and a number of latency limits: asked before
    /// a study begins, hours before anything is scored. Scorers of plugins are asked when they are prepared.
    fn check_options(
        &self,
        options: &serde_json::Value,
        hyperspace: &Hyperspace,
        limits: usize,
    ) -> Result<(), ScoreError> {
        let _ = (options, hyperspace, limits);
        Ok(())
    }

    /// Whether it will know [`Bounded`] scores with these options, which are options of the scorer: asked before a study
    /// begins.
    fn has_bounds(&self, options: &serde_json::Value) -> bool {
        let _ = options;
        false
    }

    /// Prepares for one problem; `options` are the scorer's own fields of the study file.
    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &serde_json::Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError>;
}

/// A scorer with its tables at hand.
pub trait PreparedScorer: Send + Sync {
    /// One score per space, in order. The same seed gives the same scores, on any number of
    /// threads; a space's score does not depend on its neighbours in the batch.
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError>;

    /// What else the scorer can say, if it can.
    fn analysis(&self) -> Option<&dyn Analysis> {
        None
    }

    /// Where bounds of scores are to be had, if the scorer has any.
    fn bounded(&self) -> Option<&dyn Bounded> {
        None
    }
}

/// A scorer that knows what no space scores above.
pub trait Bounded: Send + Sync {
    /// Bounds of the scores of all spaces of the hyperspace. They may suit spaces like `known`, a good one,
    /// better than others.
    fn bounds(&self, known: &Space) -> Result<Box<dyn Bounds + '_>, ScoreError>;
}

/// Upper bounds of the scores of spaces, given as pairs of [`Halves`](crate::space::Halves) of the
/// hyperspace: no space scores above its bound.
pub trait Bounds: Send + Sync {
    /// Bounds of a first half with each last half. They take little time: all spaces are asked for.
    fn rough(&self, first: usize) -> Vec<f64>;

    /// Bounds of a first half with some last halves that may take a little more time: asked for where the rough ones
    /// do not rule spaces out.
    fn closer(&self, first: usize, lasts: &[u32]) -> Vec<f64>;

    /// Bounds of pairs of a first and a last half that may take more time still: asked for where the closer ones do
    /// not rule spaces out.
    fn tight(&self, pairs: &[(u32, u32)]) -> Vec<f64>;
}

/// What a scorer says about spaces beyond their scores.
pub trait Analysis: Send + Sync {
    /// How far a space's score may be from what the scorer defines; 0 where it is that exactly.
    fn error_bound(&self, space: &Space) -> Result<f64, ScoreError>;

    /// The feasible subnets under one latency limit (its position): summed losses, rising, each
    /// with its share of *all* subnets. Shares sum up to the feasible share.
    fn distribution(&self, space: &Space, limit: usize) -> Result<Vec<(f64, f64)>, ScoreError>;

    /// On how many rows of the quality tables the loss of the best subnets rests under one latency
    /// limit (its position): an entry per stage. `None` where no feasible subnet was seen.
    fn support(&self, space: &Space, limit: usize) -> Result<Option<Vec<Support>>, ScoreError>;
}

/// How many rows of one stage carry the best subnets. Few mean that the score rests on rows that
/// may only have been lucky.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Support {
    /// Effective number of rows among the best subnets: the inverse Simpson index `1 / Σ p²` over
    /// the shares `p` of the rows (Hill, "Diversity and evenness", Ecology 54, 1973).
    pub effective: f64,
    /// Rows of the stage's quality table.
    pub rows: usize,
}
