//! All scores of a search.

use std::collections::HashMap;

use spacewright_core::{
    score::{PreparedScorer, ScoreError},
    search::{ScoredSpace, SearchProgress, Searched},
    space::Space,
};

/// Spaces that are scored together.
const BATCH: usize = 64;

/// The scores of a search in the order in which they were asked for.
pub(super) struct History<'a, 'p> {
    scorer: &'a dyn PreparedScorer,
    seed: u64,
    progress: &'a mut SearchProgress<'p>,
    scored: Vec<ScoredSpace>,
    places: HashMap<Space, usize>,
    best: usize,
}

impl<'a, 'p> History<'a, 'p> {
    pub(super) fn new(
        scorer: &'a dyn PreparedScorer,
        seed: u64,
        progress: &'a mut SearchProgress<'p>,
    ) -> Self {
        let (scored, places) = (Vec::new(), HashMap::new());
        Self { scorer, seed, progress, scored, places, best: 0 }
    }

    /// Scores spaces in batches, those that were scored before excepted. `false` if the search was
    /// told to stop.
    pub(super) fn score(&mut self, mut spaces: Vec<Space>) -> Result<bool, ScoreError> {
        spaces.retain(|space| !self.places.contains_key(space));
        for batch in spaces.chunks(BATCH) {
            let scores = self.scorer.score(batch, self.seed)?;
            for (space, score) in batch.iter().cloned().zip(scores) {
                let place = self.scored.len();
                self.places.insert(space.clone(), place);
                self.scored.push(ScoredSpace { space, score });
                if self.score_at(place) > self.score_at(self.best) {
                    self.best = place;
                }
            }
            if !(self.progress)(self.scored.len(), &self.scored[self.best]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn len(&self) -> usize {
        self.scored.len()
    }

    pub(super) fn space_at(&self, place: usize) -> &Space {
        &self.scored[place].space
    }

    pub(super) fn score_at(&self, place: usize) -> f64 {
        self.scored[place].score.score
    }

    /// The place of a space that was scored.
    pub(super) fn place(&self, space: &Space) -> Option<usize> {
        self.places.get(space).copied()
    }

    /// What was found so far.
    pub(super) fn found(&self) -> Searched {
        let mut scored = self.scored.clone();
        scored.sort_by(|a, b| b.score.score.total_cmp(&a.score.score));
        Searched { evaluations: scored.len(), scored, bound: None }
    }
}
