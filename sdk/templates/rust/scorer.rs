//! How good a space is: a study names it as `scorer` in [evolve].

use spacewright_sdk::prelude::*;

struct Score;

/// What is kept between questions.
struct Prepared(ScoreProblem);

impl Prepared {
    /// Fill in: what a space is worth within a latency limit, and why.
    fn part(&self, space: &Space, limit_ms: f64) -> Result<ConstraintScore, ScoreError> {
        let mut loss = 0.0;
        for cell in Cell::of_space(space) {
            let rows = self.0.cells.get(&cell).ok_or_else(|| ScoreError {
                reason: format!("space {space}: no table of stage {}", cell.stage),
            })?;
            // No stage alone may use up the limit.
            let fitting = rows.loss.iter().zip(&rows.latency_ms).filter(|row| *row.1 <= limit_ms);
            let best = fitting.map(|(loss, _)| *loss).fold(f64::INFINITY, f64::min);
            loss += if best.is_finite() { best } else { 1e5 };
        }
        Ok(ConstraintScore { limit_ms, feasible: 1.0, loss, penalty: 1.0, score: 1.0 / loss })
    }
}

impl Scorer for Score {
    fn name(&self) -> &str {
        "{{name}}"
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        _options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        Ok(Box::new(Prepared(problem)))
    }
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], _seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let score = |space: &Space| {
            let limits = self.0.constraints_ms.iter();
            let constraints =
                limits.map(|limit| self.part(space, *limit)).collect::<Result<Vec<_>, _>>()?;
            let score = constraints.iter().map(|part| part.score).sum();
            Ok(SpaceScore { score, constraints })
        };
        spaces.iter().map(score).collect()
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).scorer(Score)
}

export!(scorer, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
