//! The search by the strategy, one at random beside it, and how both came to their best.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spacewright_core::{
    score::PreparedScorer,
    search::{ScoredSpace, SearchBudget, Searched, Strategy},
    study::{Referred, StepError, StudyContext},
    train::Monitor,
};

use super::options;
use crate::{error::SpaceEvoError, settings::EvolveSettings, strategies::Random};

/// What the search at random is called in reports.
pub(crate) const RANDOM_SEARCH: &str = "random search";

/// How a search came to its best space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchTrace {
    /// Name of the search.
    pub search: String,
    /// Each time that a better space was found, and in the end.
    pub points: Vec<BestSoFar>,
}

/// The best space of a search that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Spaces that were scored.
    pub evaluations: usize,
    /// The best score among them.
    pub score: f64,
}

impl SearchTrace {
    fn new(search: &str) -> Self {
        Self { search: search.to_owned(), points: Vec::new() }
    }

    /// Takes note of how the search stands.
    fn stands(&mut self, evaluations: usize, score: f64) {
        let is_level = |point: &BestSoFar| point.score == score;
        // Of a level stretch, its two ends.
        if let [.., before, last] = &mut self.points[..]
            && is_level(before)
            && is_level(last)
        {
            last.evaluations = evaluations;
        } else {
            self.points.push(BestSoFar { evaluations, score });
        }
    }
}

/// Searches of one study.
pub(super) struct Searches<'a> {
    pub study: &'a StudyContext,
    pub settings: &'a EvolveSettings,
    /// Name of the strategy.
    pub strategy: &'a str,
    pub monitor: &'a dyn Monitor,
}

/// What is known beside the spaces that were found.
pub(super) struct Beside {
    /// Name of the search that found the best.
    pub found_by: String,
    /// The best of the random search.
    pub random: ScoredSpace,
    /// Of the strategy and of the random search.
    pub traces: Vec<SearchTrace>,
}

impl Searches<'_> {
    /// By the strategy, and at random with as many evaluations. What is found is the strategy's, unless luck found a
    /// better space: a strategy without a proof can miss it.
    pub fn both(&self, scorer: &dyn PreparedScorer) -> Result<(Searched, Beside), StepError> {
        let options = options(&self.settings.strategy_options);
        let (found, trace) = self.search(scorer, self.strategy, &options, self.strategy)?;
        let (random, random_trace) =
            self.search(scorer, Random.name(), &json!({}), RANDOM_SEARCH)?;
        let drawn = best(&random)?.clone();
        let (found, is_luckier) = better(found, random)?;
        let found_by = if is_luckier { RANDOM_SEARCH } else { self.strategy };
        let traces = vec![trace, random_trace];
        Ok((found, Beside { found_by: found_by.to_owned(), random: drawn, traces }))
    }

    fn search(
        &self,
        scorer: &dyn PreparedScorer,
        strategy: &str,
        options: &Value,
        name: &str,
    ) -> Result<(Searched, SearchTrace), StepError> {
        let Self { study, settings, monitor, .. } = self;
        let not_there = || SpaceEvoError::NotThere(Referred::Strategy(strategy.to_owned()));
        let strategy = study.strategies.get(strategy).ok_or_else(not_there)?;
        let budget = SearchBudget { evaluations: settings.evaluations, seed: study.seed };
        let mut trace = SearchTrace::new(name);
        let mut progress = |done: usize, best: &ScoredSpace| {
            trace.stands(done, best.score.score);
            let note = format!("{name}: best {:.4}", best.score.score);
            // A descent or a proof follows the evaluations that were asked for.
            monitor.progress(done, settings.evaluations.max(done), &note);
            !monitor.cancelled()
        };
        let found = strategy.search(&study.hyperspace, scorer, &budget, options, &mut progress);
        if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok((found?, trace)) }
    }
}

/// The spaces of the search at random, where its best is better than what a strategy found, and whether it is. What the
/// strategy proved holds for all.
fn better(found: Searched, random: Searched) -> Result<(Searched, bool), SpaceEvoError> {
    let is_luckier = best(&random)?.score.score > best(&found)?.score.score;
    let found = if is_luckier { Searched { scored: random.scored, ..found } } else { found };
    Ok((found, is_luckier))
}

fn best(found: &Searched) -> Result<&ScoredSpace, SpaceEvoError> {
    found.scored.first().ok_or(SpaceEvoError::NoSpace)
}

#[cfg(test)]
mod tests {
    use spacewright_core::{score::SpaceScore, space::Space};

    use super::*;

    #[test]
    fn luck_counts_where_it_is_better_and_proofs_hold_for_it() {
        let searched = |score: f64, bound: Option<f64>| {
            let space = Space { hyperspace: "mini".to_owned(), blocks: vec![0], windows: vec![0] };
            let score = SpaceScore { score, constraints: Vec::new() };
            Searched { scored: vec![ScoredSpace { space, score }], evaluations: 10, bound }
        };
        let (found, is_luckier) = better(searched(4.0, Some(6.0)), searched(5.0, None)).unwrap();
        assert_eq!((is_luckier, best(&found).unwrap().score.score), (true, 5.0));
        assert_eq!((found.gap(), found.evaluations), (Some(0.2), 10));
        // Of equal ones, the strategy's.
        let (found, is_luckier) = better(searched(4.0, Some(6.0)), searched(4.0, None)).unwrap();
        assert_eq!((is_luckier, found.bound), (false, Some(6.0)));
    }

    #[test]
    fn a_trace_has_the_ends_of_its_level_stretches() {
        let mut trace = SearchTrace::new("search");
        for (evaluations, score) in [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.75), (5, 0.75)] {
            trace.stands(evaluations, score);
        }
        let points: Vec<(usize, f64)> =
            trace.points.iter().map(|point| (point.evaluations, point.score)).collect();
        assert_eq!(points, [(1, 0.5), (3, 0.5), (4, 0.75), (5, 0.75)]);
    }
}
