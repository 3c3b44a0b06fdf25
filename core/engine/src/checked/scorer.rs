use std::sync::Arc;

use serde_json::Value;
use spacewright_core::{
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
};

use super::Watch;
use crate::origin::Origin;

/// A scorer whose scores are numbers, one per space and limit.
pub(crate) struct CheckedScorer {
    scorer: Arc<dyn Scorer>,
    origin: Origin,
}

impl CheckedScorer {
    pub fn wrap(origin: &Origin, scorer: Arc<dyn Scorer>) -> Arc<dyn Scorer> {
        Arc::new(Self { scorer, origin: origin.clone() })
    }
}

impl Scorer for CheckedScorer {
    fn name(&self) -> &str {
        self.scorer.name()
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let limits = problem.constraints_ms.len();
        let scorer = self.scorer.prepare(problem, options)?;
        Ok(Box::new(Prepared { scorer, limits, watch: Watch::new(&self.origin) }))
    }
}

struct Prepared {
    scorer: Box<dyn PreparedScorer>,
    limits: usize,
    watch: Watch,
}

const CALL: &str = "score";

impl Prepared {
    fn check(&self, spaces: &[Space], seed: u64, scores: &[SpaceScore]) -> Result<(), String> {
        self.watch.count(CALL, scores.len(), spaces.len())?;
        for (space, score) in spaces.iter().zip(scores) {
            let wrong =
                |reason: String| Err(self.watch.wrong(CALL, format!("space {space}: {reason}")));
            if !score.score.is_finite() {
                return wrong(format!("a score of {}", score.score));
            }
            if score.constraints.len() != self.limits {
                let parts = score.constraints.len();
                return wrong(format!("{parts} parts for {} latency limits", self.limits));
            }
            let parts = score.constraints.iter();
            let finite = |values: [f64; 4]| values.iter().all(|value| value.is_finite());
            if !parts.clone().all(|c| finite([c.feasible, c.loss, c.penalty, c.score])) {
                return wrong("a part of the score is not a number".into());
            }
        }
        if !spaces.is_empty() && self.watch.asks_twice() {
            let again = self.scorer.score(&spaces[..1], seed).map_err(|e| e.to_string())?;
            self.watch.same(CALL, format!("space {}", spaces[0]), again == scores[..1])?;
        }
        Ok(())
    }
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let scores = self.scorer.score(spaces, seed)?;
        self.check(spaces, seed, &scores).map_err(|reason| ScoreError { reason })?;
        Ok(scores)
    }
}
