use std::sync::Arc;

use serde_json::Value;
use spacewright_core::{
    call::CallError,
    score::{Analysis, Bounded, PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::{Hyperspace, Space},
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

    fn check_options(
        &self,
        options: &Value,
        hyperspace: &Hyperspace,
        limits: usize,
    ) -> Result<(), ScoreError> {
        self.scorer.check_options(options, hyperspace, limits)
    }

    fn has_bounds(&self, options: &Value) -> bool {
        self.scorer.has_bounds(options)
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let limits_ms = problem.constraints_ms.clone();
        let watch = Watch::new(&self.origin);
        let scorer = self.scorer.prepare(problem, options);
        let scorer = scorer.map_err(|error| watch.with_origin("prepare", error))?;
        Ok(Box::new(CheckedPreparedScorer { scorer, limits_ms, watch }))
    }
}

/// A scorer with a problem, whose scores are checked.
struct CheckedPreparedScorer {
    scorer: Box<dyn PreparedScorer>,
    limits_ms: Vec<f64>,
    watch: Watch,
}

const CALL: &str = "score";

impl CheckedPreparedScorer {
    fn check(&self, spaces: &[Space], scores: &[SpaceScore]) -> Result<(), CallError> {
        self.watch.count(CALL, scores.len(), spaces.len())?;
        for (space, score) in spaces.iter().zip(scores) {
            let wrong =
                |reason: String| Err(self.watch.bad(CALL, format_args!("space {space}"), reason));
            if !score.score.is_finite() {
                return wrong(format!("a score of {}", score.score));
            }
            let limits_ms: Vec<f64> = score.constraints.iter().map(|part| part.limit_ms).collect();
            if limits_ms != self.limits_ms {
                let asked = &self.limits_ms;
                return wrong(format!("parts for limits of {limits_ms:?} ms, asked for {asked:?}"));
            }
            for part in &score.constraints {
                let share = (0.0..=1.0).contains(&part.feasible);
                if !share || ![part.loss, part.penalty, part.score].iter().all(|x| x.is_finite()) {
                    return wrong(format!("a part that is no number, or no share: {part:?}"));
                }
            }
        }
        Ok(())
    }

    fn ask(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        self.scorer.score(spaces, seed).map_err(|error| self.watch.with_origin(CALL, error))
    }
}

impl PreparedScorer for CheckedPreparedScorer {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let scores = self.ask(spaces, seed)?;
        self.check(spaces, &scores).map_err(ScoreError::new)?;
        if !spaces.is_empty() && self.watch.asks_twice() {
            let again = self.ask(&spaces[..1], seed)?;
            let item = format_args!("space {}", spaces[0]);
            self.watch.same(CALL, item, again == scores[..1]).map_err(ScoreError::new)?;
        }
        Ok(scores)
    }

    fn analysis(&self) -> Option<&dyn Analysis> {
        self.scorer.analysis()
    }

    fn bounded(&self) -> Option<&dyn Bounded> {
        self.scorer.bounded()
    }
}
