//! Why a space is good: what each stage's choice gains, and what that rests on.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    score::{PreparedScorer, ScoreError, Support},
    search::ScoredSpace,
    space::{Hyperspace, Space},
};

/// What a scorer says about a space and its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The space with its score.
    pub scored: ScoredSpace,
    /// How far the score may be from what the scorer defines; `None` where the scorer cannot say.
    pub error_bound: Option<f64>,
    /// By latency limit, then by stage; `None` where the scorer cannot say, or where nothing
    /// feasible was seen.
    pub support: Vec<Option<Vec<Support>>>,
    /// By stage: all other choices while the other stages stay as they are, best first.
    pub alternatives: Vec<Vec<Alternative>>,
}

/// Another choice for one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Index of the candidate.
    pub block: usize,
    /// Index of the width window.
    pub window: usize,
    /// The space's score with it.
    pub score: f64,
    /// That score minus the space's own: negative where the space's own choice is better.
    pub difference: f64,
}

impl Explanation {
    /// Scores a space and all that differ from it in one stage.
    pub fn new(
        hyperspace: &Hyperspace,
        scorer: &dyn PreparedScorer,
        space: &Space,
        seed: u64,
    ) -> Result<Self, ScoreError> {
        let neighbours = space.neighbours(hyperspace);
        let score = scorer.score(std::slice::from_ref(space), seed)?.remove(0);
        let scores = scorer.score(&neighbours, seed)?;
        let mut alternatives = vec![Vec::new(); space.blocks.len()];
        for (neighbour, other) in neighbours.iter().zip(scores) {
            let choice = |space: &Space, stage: usize| (space.blocks[stage], space.windows[stage]);
            for (stage, alternatives) in alternatives.iter_mut().enumerate() {
                let (block, window) = choice(neighbour, stage);
                if (block, window) != choice(space, stage) {
                    let difference = other.score - score.score;
                    alternatives.push(Alternative {
                        block,
                        window,
                        score: other.score,
                        difference,
                    });
                }
            }
        }
        for alternatives in &mut alternatives {
            alternatives.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        let limits = score.constraints.len();
        let (error_bound, support) = match scorer.analysis() {
            None => (None, vec![None; limits]),
            Some(analysis) => {
                let support = (0..limits).map(|limit| analysis.support(space, limit));
                (Some(analysis.error_bound(space)?), support.collect::<Result<_, _>>()?)
            }
        };
        let scored = ScoredSpace { space: space.clone(), score };
        Ok(Self { scored, error_bound, support, alternatives })
    }

    /// With the best alternative of each stage only.
    pub fn brief(mut self) -> Self {
        for alternatives in &mut self.alternatives {
            alternatives.truncate(1);
        }
        self
    }

    /// The stage whose best subnets rest on the fewest rows under a limit, with its effective
    /// number of rows.
    pub fn least_support(&self, limit: usize) -> Option<(usize, f64)> {
        let stages = self.support.get(limit)?.as_ref()?.iter().map(|support| support.effective);
        stages.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The best space of each combination of block types: of spaces with one type everywhere, the best
/// of each type. In the order in which the combinations come.
pub fn best_of_each(scored: impl IntoIterator<Item = ScoredSpace>) -> Vec<ScoredSpace> {
    let mut best: Vec<ScoredSpace> = Vec::new();
    for scored in scored {
        match best.iter_mut().find(|known| known.space.blocks == scored.space.blocks) {
            None => best.push(scored),
            Some(known) if scored.score.score > known.score.score => *known = scored,
            Some(_) => {}
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use spacewright_core::score::SpaceScore;

    use super::*;
    use crate::hyperspaces::built_in;

    /// Squares of the numbers of blocks, and windows.
    struct Squares;

    impl PreparedScorer for Squares {
        fn score(&self, spaces: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
            let score = |space: &Space| {
                let blocks = space.blocks.iter().map(|block| block * block).sum::<usize>();
                let score = (blocks + space.windows.iter().sum::<usize>()) as f64;
                SpaceScore { score, constraints: Vec::new() }
            };
            Ok(spaces.iter().map(score).collect())
        }
    }

    #[test]
    fn differences_are_those_of_one_stage() {
        let hyperspace = built_in("mini").unwrap();
        let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
        let explained = Explanation::new(&hyperspace, &Squares, &space, 0).unwrap();
        assert_eq!(explained.error_bound, None);
        assert_eq!(explained.scored.score.score, 16.0);
        for (stage, alternatives) in explained.alternatives.iter().enumerate() {
            assert_eq!(alternatives.len(), 5 * hyperspace.stages[stage].windows() - 1);
            assert!(alternatives.windows(2).all(|pair| pair[0].score >= pair[1].score));
            for other in alternatives {
                let square = |block: usize| (block * block) as f64;
                let window = other.window as f64 - space.windows[stage] as f64;
                let difference = square(other.block) - square(space.blocks[stage]) + window;
                assert_eq!(other.difference, difference);
                assert_eq!(other.score, 16.0 + difference);
            }
        }
        let brief = explained.clone().brief();
        assert_eq!(brief.alternatives[3], explained.alternatives[3][..1]);
    }

    #[test]
    fn each_block_type_has_one_best_space() {
        let hyperspace = built_in("mini").unwrap();
        let spaces = hyperspace.uniform_spaces();
        let scores = Squares.score(&spaces, 0).unwrap();
        let scored = spaces.into_iter().zip(scores);
        let best = best_of_each(scored.map(|(space, score)| ScoredSpace { space, score }));
        let texts: Vec<String> = best.iter().map(|scored| scored.space.to_string()).collect();
        assert_eq!(texts[0], "mini-0000-1111");
        assert_eq!((texts.len(), &*texts[4]), (5, "mini-4444-1111"));
    }

    #[test]
    fn the_weakest_stage_is_named() {
        let hyperspace = built_in("mini").unwrap();
        let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
        let mut explained = Explanation::new(&hyperspace, &Squares, &space, 0).unwrap();
        let support = |effective| Support { effective, rows: 100 };
        explained.support = vec![None, Some([9.0, 1.5, 30.0, 2.0].map(support).to_vec())];
        assert_eq!(explained.least_support(0), None);
        assert_eq!(explained.least_support(1), Some((1, 1.5)));
    }
}
