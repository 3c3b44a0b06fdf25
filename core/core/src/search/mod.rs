//! Strategies: how to walk through the spaces of a hyperspace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    score::{PreparedScorer, ScoreError, SpaceScore},
    space::{Hyperspace, Space},
};

/// A space with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoredSpace {
    /// The space.
    pub space: Space,
    /// Its score.
    pub score: SpaceScore,
}

/// How far a search may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchBudget {
    /// Spaces to score, initial ones included, before the search is brought to its end: a descent
    /// to a space that no change of one stage improves, or a proof.
    pub evaluations: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Told after each batch of scores: spaces scored so far and the best of them. `false` stops the
/// search, whose result is then what was found so far.
pub type SearchProgress<'a> = dyn FnMut(usize, &ScoredSpace) -> bool + 'a;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Searched {
    /// Scored spaces, best first, each once. A strategy may keep only good ones.
    pub scored: Vec<ScoredSpace>,
    /// How many spaces were scored.
    pub evaluations: usize,
    /// What no space of the hyperspace scores above, where the strategy can tell.
    pub bound: Option<f64>,
}

impl Searched {
    /// How much better than the best that was found a space may be, as a share of its score: 0
    /// where none is better.
    pub fn gap(&self) -> Option<f64> {
        let best = self.scored.first()?.score.score;
        Some(((self.bound? - best) / best).max(0.0))
    }

    /// The best spaces, each different from all better ones in at least `distance` stages; at
    /// most `count`.
    pub fn diverse(&self, count: usize, distance: usize) -> Vec<&ScoredSpace> {
        let mut chosen: Vec<&ScoredSpace> = Vec::new();
        for scored in &self.scored {
            if chosen.len() == count {
                break;
            }
            if chosen.iter().all(|better| better.space.distance(&scored.space) >= distance) {
                chosen.push(scored);
            }
        }
        chosen
    }
}

/// A smaller [gap](Searched::gap) counts as none: it would be shown as 0.00 %.
pub const SMALLEST_GAP: f64 = 5e-5;

/// What a [gap](Searched::gap) says of the best space that was found.
pub fn proof(gap: f64) -> String {
    match gap < SMALLEST_GAP {
        true => "none of the hyperspace is better".to_owned(),
        false => format!("none of the hyperspace is better by more than {:.2} %", 100.0 * gap),
    }
}

/// Walks through spaces.
pub trait Strategy: Send + Sync {
    /// Name in study files.
    fn name(&self) -> &str;

    /// Whether these are options of the strategy: asked before a study begins, hours before anything is searched for.
    fn check_options(&self, options: &serde_json::Value) -> Result<(), ScoreError>;

    /// Whether it works only with a scorer that knows what no space scores above.
    fn needs_bounds(&self) -> bool {
        false
    }

    /// Looks for the space with the best score.
    fn search(
        &self,
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        budget: &SearchBudget,
        options: &serde_json::Value,
        progress: &mut SearchProgress<'_>,
    ) -> Result<Searched, ScoreError>;
}
