//! Strategies: how to walk through the spaces of a hyperspace.

use serde::{Deserialize, Serialize};

use crate::{
    score::{PreparedScorer, ScoreError, SpaceScore},
    space::{Hyperspace, Space},
};

/// A space with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredSpace {
    /// The space.
    pub space: Space,
    /// Its score.
    pub score: SpaceScore,
}

/// How far a search may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchBudget {
    /// Spaces to score, initial ones included.
    pub evaluations: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Told after each batch of scores: spaces scored so far and the best of them. `false` stops the
/// search, whose result is then what was found so far.
pub type SearchProgress<'a> = dyn FnMut(usize, &ScoredSpace) -> bool + 'a;

/// Walks through spaces.
pub trait Strategy: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// All scored spaces, best first, each once.
    fn search(
        &self,
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        budget: &SearchBudget,
        options: &serde_json::Value,
        progress: &mut SearchProgress<'_>,
    ) -> Result<Vec<ScoredSpace>, ScoreError>;
}
