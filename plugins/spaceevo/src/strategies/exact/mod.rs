//! The best space, proved: bounds rule out most spaces, and all others are scored. The proof is as
//! exact as scores are: another space may be better by less than their error bounds.

mod candidates;

use serde::{Deserialize, Serialize};
use spacewright_core::{
    options,
    score::{PreparedScorer, ScoreError},
    search::{ScoredSpace, SearchBudget, SearchProgress, Searched, Strategy},
    space::{Halves, Hyperspace, Space},
};

use super::{AgingEvolution, NO_BOUNDS};
use candidates::{Candidate, Candidates};

/// Candidates that are scored together, those with a common half side by side.
const BATCH: usize = 1 << 14;
/// Spaces that are kept beside the best.
const KEPT: usize = 1000;

/// Aging evolution, then every space that may be better.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exact;

/// Options of [`Exact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExactOptions {
    /// Spaces that are scored at most to prove the best; where more may be better, a gap remains.
    pub candidates: usize,
}

impl Default for ExactOptions {
    fn default() -> Self {
        Self { candidates: 2_000_000 }
    }
}

impl Strategy for Exact {
    fn name(&self) -> &str {
        "exact"
    }

    fn check_options(&self, options: &serde_json::Value) -> Result<(), ScoreError> {
        options::read::<ExactOptions>(self.name(), options).map(drop)
    }

    fn needs_bounds(&self) -> bool {
        true
    }

    fn search(
        &self,
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        budget: &SearchBudget,
        options: &serde_json::Value,
        progress: &mut SearchProgress<'_>,
    ) -> Result<Searched, ScoreError> {
        let options: ExactOptions = options::read(self.name(), options)?;
        let Some(bounded) = scorer.bounded() else {
            return Err(ScoreError::new(NO_BOUNDS));
        };
        let mut goes_on = true;
        let mut watch = |evaluations: usize, best: &ScoredSpace| {
            goes_on = progress(evaluations, best);
            goes_on
        };
        let walk = &serde_json::Value::Null;
        let mut found = AgingEvolution.search(hyperspace, scorer, budget, walk, &mut watch)?;
        let Some(mut best) = found.scored.first().cloned() else { return Ok(found) };
        if !goes_on {
            return Ok(found);
        }
        let bounds = bounded.bounds(&best.space)?;
        let halves = Halves::of(hyperspace);
        let score = best.score.score;
        let goes_on = || progress(found.evaluations, &best);
        let Some(mut candidates) =
            Candidates::find(&*bounds, &halves, score, options.candidates, goes_on)
        else {
            return Ok(found);
        };
        let mut bound = candidates.rest;
        for batch in candidates.spaces.chunks_mut(BATCH) {
            let highest = batch[0].bound;
            if highest <= best.score.score {
                break;
            }
            if !progress(found.evaluations, &best) {
                bound = bound.max(highest);
                break;
            }
            batch.sort_unstable_by_key(Candidate::pair);
            let space = |found: &Candidate| halves.space(found.first as usize, found.last as usize);
            let spaces: Vec<Space> = batch.iter().map(space).collect();
            found.evaluations += spaces.len();
            for scored in scored(scorer, &spaces, budget.seed)? {
                if scored.score.score > best.score.score {
                    best = scored.clone();
                }
                found.scored.push(scored);
            }
            keep_best(&mut found.scored);
        }
        progress(found.evaluations, &best);
        keep_best(&mut found.scored);
        found.bound = Some(bound.max(best.score.score));
        Ok(found)
    }
}

fn scored(
    scorer: &dyn PreparedScorer,
    spaces: &[Space],
    seed: u64,
) -> Result<Vec<ScoredSpace>, ScoreError> {
    let scores = scorer.score(spaces, seed)?;
    let pairs = spaces.iter().cloned().zip(scores);
    Ok(pairs.map(|(space, score)| ScoredSpace { space, score }).collect())
}

/// Sorts, best first, without what is there twice.
fn keep_best(scored: &mut Vec<ScoredSpace>) {
    scored.sort_by(|a, b| {
        b.score.score.total_cmp(&a.score.score).then_with(|| a.space.cmp(&b.space))
    });
    scored.dedup_by(|a, b| a.space == b.space);
    scored.truncate(KEPT);
}
