//! A space with its score, as reports show it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    score::ConstraintScore,
    search::ScoredSpace,
    space::{Hyperspace, Space},
};

/// A space and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceSummary {
    /// How it was found, in words, such as `exact` or `random search`.
    pub found_by: String,
    /// Its encoding.
    pub space: String,
    /// Block type of each stage.
    pub blocks: Vec<String>,
    /// Its score; higher is better.
    pub score: f64,
    /// What each latency limit contributes to the score.
    pub constraints: Vec<ConstraintScore>,
}

impl SpaceSummary {
    /// Of a scored space.
    pub fn new(found_by: &str, scored: &ScoredSpace, hyperspace: &Hyperspace) -> Self {
        Self {
            found_by: found_by.to_owned(),
            space: scored.space.to_string(),
            blocks: blocks_of(&scored.space, hyperspace),
            score: scored.score.score,
            constraints: scored.score.constraints.clone(),
        }
    }
}

/// Block type of each stage of a space.
pub fn blocks_of(space: &Space, hyperspace: &Hyperspace) -> Vec<String> {
    space.blocks.iter().map(|&block| hyperspace.candidates[block].block.clone()).collect()
}
