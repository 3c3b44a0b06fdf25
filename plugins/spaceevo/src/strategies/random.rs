//! Random search: the baseline that every other strategy has to beat.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    score::{PreparedScorer, ScoreError},
    search::{SearchBudget, SearchProgress, Searched, Strategy},
    space::Hyperspace,
};

use super::{NoOptions, descent, history::History, seen::Seen};
use spacewright_core::options;

/// Scores spaces drawn uniformly, none twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Strategy for Random {
    fn name(&self) -> &str {
        "random"
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
        let draws = (0..budget.evaluations).map_while(|_| seen.draw(hyperspace, rng));
        let spaces = draws.collect();
        let mut history = History::new(scorer, budget.seed, progress);
        if history.score(spaces)? {
            descent::finish(&mut history, hyperspace)?;
        }
        Ok(history.found())
    }
}
