//! The built-in Q-T score under another name: the same source in another carrier, to compare
//! them. It gives the same scores, bit for bit.

use spacewright_sdk::prelude::*;
use spacewright_q_t_score::QtScore;

struct Guest;

impl Scorer for Guest {
    fn name(&self) -> &str {
        "q-t-guest"
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        QtScore.prepare(problem, options)
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).scorer(Guest)
}

export!(scorer, plugin);
