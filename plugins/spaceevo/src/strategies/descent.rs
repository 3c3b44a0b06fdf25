//! Steepest descent: of all spaces that differ in one stage, to the best, while it is better.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    score::{PreparedScorer, ScoreError},
    search::{SearchBudget, SearchProgress, Searched, Strategy},
    space::{Hyperspace, Space},
};

use super::{NoOptions, history::History, seen::Seen};
use spacewright_core::options;

/// How many of the best spaces of a walk a descent starts from.
const STARTS: usize = 12;
/// In how many stages these differ.
const APART: usize = 2;

/// Descents from random spaces, until the budget is used up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Descent;

impl Strategy for Descent {
    fn name(&self) -> &str {
        "descent"
    }

    fn search(
        &self,
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        budget: &SearchBudget,
        options: &serde_json::Value,
        progress: &mut SearchProgress<'_>,
    ) -> Result<Searched, ScoreError> {
        let _: NoOptions = options::read(self.name(), options)?;
        let rng = &mut Pcg64Mcg::seed_from_u64(budget.seed);
        let mut seen = Seen::default();
        let mut history = History::new(scorer, budget.seed, progress);
        while history.len() < budget.evaluations {
            let Some(start) = seen.draw(hyperspace, rng) else { break };
            let goes_on =
                history.score(vec![start.clone()])? && descend(&mut history, hyperspace, &start)?;
            if !goes_on {
                break;
            }
        }
        Ok(history.found())
    }
}

/// Ends a walk: descents from the best of the spaces that it scored. `false` if the search was
/// told to stop.
pub(super) fn finish(
    history: &mut History<'_, '_>,
    hyperspace: &Hyperspace,
) -> Result<bool, ScoreError> {
    let found = history.found();
    let starts = found.diverse(STARTS, APART.min(hyperspace.stages.len()));
    for start in starts {
        if !descend(history, hyperspace, &start.space)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// From a space that was scored to one that no change of one stage improves.
fn descend(
    history: &mut History<'_, '_>,
    hyperspace: &Hyperspace,
    start: &Space,
) -> Result<bool, ScoreError> {
    let Some(mut at) = history.place(start) else { return Ok(true) };
    loop {
        let neighbours = history.space_at(at).neighbours(hyperspace);
        if !history.score(neighbours.clone())? {
            return Ok(false);
        }
        let places = neighbours.iter().filter_map(|space| history.place(space));
        // Of equal ones, the first.
        let best =
            places.reduce(|a, b| if history.score_at(b) > history.score_at(a) { b } else { a });
        match best {
            Some(best) if history.score_at(best) > history.score_at(at) => at = best,
            _ => return Ok(true),
        }
    }
}
