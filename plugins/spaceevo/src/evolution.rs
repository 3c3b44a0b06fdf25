//! Aging evolution (arXiv 1802.01548) of spaces, as SpaceEvo uses it.
//!
//! The population starts with the uniform spaces and is filled up with random ones. Then, in
//! turns: the best of a random tournament is the parent of two children, one with another block
//! type in one stage, one with another window in one stage; children replace the oldest. What
//! the published code does otherwise by mistake is not repeated: block types of random spaces
//! are drawn (not constant), no space is scored twice, and everything is seeded.

use std::{cmp::Ordering, collections::VecDeque};

use rand::{SeedableRng, seq::index};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    score::{PreparedScorer, ScoreError},
    search::{ScoredSpace, SearchBudget, SearchProgress, Strategy},
    space::{Hyperspace, Space},
};

use crate::{options, random::Random, seen::Seen};

/// Spaces that are scored together.
const BATCH: usize = 64;
/// Tournaments without a new child before a random space is taken in.
const FRUITLESS: usize = 100;

/// Aging evolution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evolution;

/// Options of [`Evolution`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionOptions {
    /// Living spaces.
    pub population: usize,
    /// Spaces in a tournament, drawn without replacement.
    pub parents: usize,
}

impl Default for EvolutionOptions {
    /// Those of the published search.
    fn default() -> Self {
        Self { population: 500, parents: 125 }
    }
}

fn strategies() -> Vec<std::sync::Arc<dyn Strategy>> {
    vec![std::sync::Arc::new(Evolution), std::sync::Arc::new(Random)]
}

spacewright_sdk::register!("spaceevo", Strategies, strategies);

/// All scores of a search, in the order in which they were asked for.
pub(crate) struct History<'a, 'p> {
    scorer: &'a dyn PreparedScorer,
    seed: u64,
    progress: &'a mut SearchProgress<'p>,
    scored: Vec<ScoredSpace>,
    best: usize,
}

impl<'a, 'p> History<'a, 'p> {
    pub(crate) fn new(
        scorer: &'a dyn PreparedScorer,
        seed: u64,
        progress: &'a mut SearchProgress<'p>,
    ) -> Self {
        Self { scorer, seed, progress, scored: Vec::new(), best: 0 }
    }

    /// Scores spaces in batches. `false` if the search was told to stop.
    pub(crate) fn score(&mut self, spaces: Vec<Space>) -> Result<bool, ScoreError> {
        for batch in spaces.chunks(BATCH) {
            let scores = self.scorer.score(batch, self.seed)?;
            for (space, score) in batch.iter().cloned().zip(scores) {
                self.scored.push(ScoredSpace { space, score });
                if self.score_of(self.scored.len() - 1) > self.score_of(self.best) {
                    self.best = self.scored.len() - 1;
                }
            }
            if !(self.progress)(self.scored.len(), &self.scored[self.best]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn score_of(&self, index: usize) -> f64 {
        self.scored[index].score.score
    }

    pub(crate) fn best_first(mut self) -> Vec<ScoredSpace> {
        self.scored.sort_by(|a, b| b.score.score.total_cmp(&a.score.score));
        self.scored
    }
}

impl Strategy for Evolution {
    fn name(&self) -> &str {
        "evolution"
    }

    fn search(
        &self,
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        budget: &SearchBudget,
        options: &serde_json::Value,
        progress: &mut SearchProgress<'_>,
    ) -> Result<Vec<ScoredSpace>, ScoreError> {
        let options: EvolutionOptions = options::read(self.name(), options)?;
        for (option, value) in [("population", options.population), ("parents", options.parents)] {
            if value == 0 {
                return Err(options::wrong(self.name(), option, value, "a number from 1"));
            }
        }
        let rng = &mut Pcg64Mcg::seed_from_u64(budget.seed);
        let mut seen = Seen::default();
        let mut history = History::new(scorer, budget.seed, progress);

        let first = options.population.min(budget.evaluations);
        let mut spaces = hyperspace.uniform_spaces();
        spaces.truncate(first);
        spaces.retain(|space| seen.insert(space));
        while spaces.len() < first {
            let Some(space) = seen.draw(hyperspace, rng) else { break };
            spaces.push(space);
        }
        let mut goes_on = history.score(spaces)?;

        let mut living: VecDeque<usize> = (0..history.scored.len()).collect();
        let mut fruitless = 0;
        while goes_on && history.scored.len() < budget.evaluations {
            let parent = tournament(&history, &living, options.parents, rng);
            let mut children: Vec<Space> =
                [parent.mutate_block(hyperspace, rng), parent.mutate_window(hyperspace, rng)]
                    .into_iter()
                    .flatten()
                    .filter(|child| seen.insert(child))
                    .collect();
            fruitless = if children.is_empty() { fruitless + 1 } else { 0 };
            if fruitless >= FRUITLESS {
                let Some(space) = seen.draw(hyperspace, rng) else { break };
                children.push(space);
                fruitless = 0;
            }
            children.truncate(budget.evaluations - history.scored.len());
            let born = history.scored.len();
            goes_on = history.score(children)?;
            for child in born..history.scored.len() {
                living.push_back(child);
                if living.len() > options.population {
                    living.pop_front();
                }
            }
        }
        Ok(history.best_first())
    }
}

/// The best of a random part of the population.
fn tournament(
    history: &History<'_, '_>,
    living: &VecDeque<usize>,
    parents: usize,
    rng: &mut Pcg64Mcg,
) -> Space {
    let better = |a: &usize, b: &usize| -> Ordering {
        history.score_of(*a).total_cmp(&history.score_of(*b)).then(b.cmp(a))
    };
    let drawn = index::sample(rng, living.len(), parents.min(living.len()));
    let best = drawn.iter().map(|at| living[at]).max_by(better).unwrap_or_default();
    history.scored[best].space.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};
    use spacewright_core::score::SpaceScore;

    use super::*;
    use crate::hyperspaces::built_in;

    /// The more the blocks and windows sum to, the better.
    struct Sum;

    impl PreparedScorer for Sum {
        fn score(&self, spaces: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
            let sum =
                |space: &Space| space.blocks.iter().chain(&space.windows).sum::<usize>() as f64;
            let score = |space| SpaceScore { score: sum(space), constraints: Vec::new() };
            Ok(spaces.iter().map(score).collect())
        }
    }

    fn search(
        strategy: &dyn Strategy,
        hyperspace: &Hyperspace,
        evaluations: usize,
        options: Value,
    ) -> Result<Vec<ScoredSpace>, ScoreError> {
        let budget = SearchBudget { evaluations, seed: 7 };
        strategy.search(hyperspace, &Sum, &budget, &options, &mut |_, _| true)
    }

    #[test]
    fn evolution_finds_the_best_and_scores_nothing_twice() {
        let hyperspace = built_in("mini").unwrap();
        let options = json!({ "population": 50, "parents": 12 });
        let found = search(&Evolution, &hyperspace, 1500, options.clone()).unwrap();
        assert_eq!(found.len(), 1500);
        assert_eq!(found.iter().map(|s| &s.space).collect::<HashSet<_>>().len(), 1500);
        assert_eq!(found[0].space.to_string(), "mini-4444-1111");
        assert_eq!(found, search(&Evolution, &hyperspace, 1500, options).unwrap());
    }

    #[test]
    fn searches_end_when_the_hyperspace_is_exhausted() {
        let mut hyperspace = built_in("mini").unwrap();
        hyperspace.candidates.truncate(2);
        hyperspace.stages.truncate(2);
        for strategy in [&Evolution as &dyn Strategy, &Random] {
            let found = search(strategy, &hyperspace, 1000, Value::Null).unwrap();
            assert_eq!(found.len(), 2 * 2 * 2 * 2, "{}", strategy.name());
        }
        let options = json!({ "population": 3, "parents": 2 });
        assert_eq!(search(&Evolution, &hyperspace, 1000, options).unwrap().len(), 16);
    }

    #[test]
    fn evolution_ends_where_nothing_can_change() {
        let mut hyperspace = built_in("mini").unwrap();
        hyperspace.candidates.truncate(1);
        for stage in &mut hyperspace.stages {
            stage.window = 3;
        }
        assert_eq!(search(&Evolution, &hyperspace, 10, Value::Null).unwrap().len(), 1);
    }

    #[test]
    fn the_random_part_of_the_population_has_all_block_types() {
        let hyperspace = built_in("mini").unwrap();
        let found = search(&Random, &hyperspace, 200, Value::Null).unwrap();
        for stage in 0..4 {
            let blocks: HashSet<usize> = found.iter().map(|s| s.space.blocks[stage]).collect();
            assert_eq!(blocks.len(), hyperspace.candidates.len());
        }
    }

    #[test]
    fn a_search_stops_when_told() {
        let budget = SearchBudget { evaluations: 1000, seed: 7 };
        let hyperspace = built_in("mini").unwrap();
        let found = Evolution
            .search(&hyperspace, &Sum, &budget, &Value::Null, &mut |scored, _| scored < 100)
            .unwrap();
        assert_eq!(found.len(), 128);
    }

    #[test]
    fn wrong_options_are_refused() {
        let hyperspace = built_in("mini").unwrap();
        let error = search(&Evolution, &hyperspace, 10, json!({ "parents": 0 })).unwrap_err();
        assert_eq!(
            error.to_string(),
            "options of `evolution`: parents = 0; allowed is a number from 1"
        );
        let error = search(&Random, &hyperspace, 10, json!({ "parents": 3 })).unwrap_err();
        assert!(error.to_string().contains("unknown field `parents`"), "{error}");
    }
}
