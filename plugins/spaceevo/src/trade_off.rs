//! Fronts: spaces between objectives that pull apart, none of which another one beats.
//!
//! Searches for weighted sums of the objectives visit the regions between them; the front is
//! taken among all spaces that were scored on the way.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use spacewright_core::{
    score::{PreparedScorer, ScoreError, SpaceScore},
    search::{ScoredSpace, Searched},
    space::{Hyperspace, Space},
};

use crate::pareto::pareto;

/// What is traded against each other. Higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objectives {
    /// What each latency limit contributes to the score.
    Constraints,
    /// The score, and minus the decimal logarithm of the number of subnets: a small space is
    /// easier to train, as fewer subnets share its weights.
    Size,
}

impl Objectives {
    fn of(self, hyperspace: &Hyperspace, space: &Space, score: &SpaceScore) -> Vec<f64> {
        match self {
            Self::Constraints => score.constraints.iter().map(|part| part.score).collect(),
            Self::Size => vec![score.score, -space.log10_subnets(hyperspace)],
        }
    }
}

/// A space that none of the others beats.
#[derive(Debug, Clone, PartialEq)]
pub struct OnFront {
    /// The space with its score.
    pub scored: ScoredSpace,
    /// See [`Objectives`].
    pub objectives: Vec<f64>,
}

/// The front among `known` spaces and all that searches for weighted sums of the objectives score;
/// the highest first objective first. `walk` is any search with a scorer, of which it needs no
/// analysis.
pub fn front(
    hyperspace: &Hyperspace,
    scorer: &dyn PreparedScorer,
    objectives: Objectives,
    known: &[ScoredSpace],
    mut walk: impl FnMut(&dyn PreparedScorer) -> Result<Searched, ScoreError>,
) -> Result<Vec<OnFront>, ScoreError> {
    let values = |space: &Space, score: &SpaceScore| objectives.of(hyperspace, space, score);
    let points = known.iter().map(|scored| values(&scored.space, &scored.score));
    let scales = scales(&points.collect::<Vec<_>>());
    if scales.len() < 2 {
        let reason = "a front needs at least two objectives, and spaces that were scored: give at \
                      least two latency limits";
        return Err(ScoreError::new(reason));
    }
    let pairs = known.iter().map(|scored| (scored.space.clone(), scored.score.clone()));
    let mut known: BTreeMap<Space, SpaceScore> = pairs.collect();
    for weights in weights(scales.len()) {
        let factors = weights.iter().zip(&scales).map(|(weight, scale)| weight / scale).collect();
        let weighted = Weighted { scorer, values: &values, factors, known: Mutex::new(known) };
        walk(&weighted)?;
        known = weighted.known.into_inner().unwrap_or_else(PoisonError::into_inner);
    }
    let all: Vec<OnFront> = known
        .into_iter()
        .map(|(space, score)| OnFront {
            objectives: values(&space, &score),
            scored: ScoredSpace { space, score },
        })
        .collect();
    let best = pareto(&all.iter().map(|on| on.objectives.clone()).collect::<Vec<_>>());
    let mut front: Vec<OnFront> = best.into_iter().map(|at| all[at].clone()).collect();
    front.sort_by(|a, b| b.objectives[0].total_cmp(&a.objectives[0]));
    Ok(front)
}

/// How far the best of each objective stands above the median: what weights are in units of.
fn scales(points: &[Vec<f64>]) -> Vec<f64> {
    let objectives = points.first().map_or(0, Vec::len);
    let scale = |objective: usize| {
        let mut values: Vec<f64> = points.iter().map(|point| point[objective]).collect();
        values.sort_unstable_by(f64::total_cmp);
        let scale = values[values.len() - 1] - values[values.len() / 2];
        if scale > 0.0 && scale.is_finite() { scale } else { 1.0 }
    };
    (0..objectives).map(scale).collect()
}

/// Weights of the objectives, in quarters where there are few of them, that sum up to 1 (the
/// simplex lattice of Das and Dennis, SIAM Journal on Optimization 8, 1998).
fn weights(objectives: usize) -> Vec<Vec<f64>> {
    const QUARTERS: usize = 4;
    let parts = if objectives <= 3 { QUARTERS } else { 1 };
    let mut open = vec![Vec::new()];
    for objective in 0..objectives {
        let extend = |taken: Vec<usize>| {
            let left = parts - taken.iter().sum::<usize>();
            let from = if objective + 1 == objectives { left } else { 0 };
            (from..=left).map(move |next| [taken.clone(), vec![next]].concat())
        };
        open = open.into_iter().flat_map(extend).collect();
    }
    let share = |count: usize| count as f64 / parts as f64;
    open.into_iter().map(|counts| counts.into_iter().map(share).collect()).collect()
}

/// Judges spaces by a weighted sum of objectives, and remembers what they scored.
struct Weighted<'a, V> {
    scorer: &'a dyn PreparedScorer,
    values: &'a V,
    factors: Vec<f64>,
    known: Mutex<BTreeMap<Space, SpaceScore>>,
}

impl<V> PreparedScorer for Weighted<'_, V>
where
    V: Fn(&Space, &SpaceScore) -> Vec<f64> + Send + Sync,
{
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = spaces.iter().filter(|space| !known.contains_key(*space));
        let unknown: Vec<Space> = unknown.cloned().collect();
        let scores = self.scorer.score(&unknown, seed)?;
        known.extend(unknown.into_iter().zip(scores));
        let weighted = |space: &Space| {
            let known = &known[space];
            let values = (self.values)(space, known);
            let score = values.iter().zip(&self.factors).map(|(value, factor)| value * factor);
            SpaceScore { score: score.sum(), ..known.clone() }
        };
        Ok(spaces.iter().map(weighted).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use spacewright_core::{
        score::ConstraintScore,
        search::{SearchBudget, Strategy},
    };

    use super::*;
    use crate::{hyperspaces::built_in, strategies::Descent};

    /// Two limits: one likes high block numbers, the other low ones; windows are for both.
    struct Opposed;

    impl PreparedScorer for Opposed {
        fn score(&self, spaces: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
            let score = |space: &Space| {
                let blocks = space.blocks.iter().sum::<usize>() as f64;
                let windows = space.windows.iter().sum::<usize>() as f64;
                let part = |score: f64| {
                    let (feasible, loss, penalty) = (1.0, 1.0, 1.0);
                    ConstraintScore { limit_ms: 1.0, feasible, loss, penalty, score }
                };
                let parts = vec![part(blocks + windows), part(16.0 - blocks + windows)];
                SpaceScore { score: parts.iter().map(|p| p.score).sum(), constraints: parts }
            };
            Ok(spaces.iter().map(score).collect())
        }
    }

    fn walked(objectives: Objectives) -> Result<Vec<OnFront>, ScoreError> {
        let hyperspace = built_in("mini").unwrap();
        let budget = SearchBudget { evaluations: 50, seed: 1 };
        let walk = |scorer: &dyn PreparedScorer| {
            Descent.search(&hyperspace, scorer, &budget, &Value::Null, &mut |_, _| true)
        };
        let first = walk(&Opposed)?;
        front(&hyperspace, &Opposed, objectives, &first.scored, walk)
    }

    #[test]
    fn the_front_goes_from_one_end_to_the_other() {
        let front = walked(Objectives::Constraints).unwrap();
        assert_eq!(front[0].objectives, [20.0, 4.0]);
        assert_eq!(front[front.len() - 1].objectives, [4.0, 20.0]);
        for on in &front {
            assert_eq!(on.objectives.iter().sum::<f64>(), 24.0, "{:?}", on.scored.space);
            assert_eq!(on.scored.score.score, 24.0);
        }
    }

    #[test]
    fn small_spaces_stand_beside_good_ones() {
        let hyperspace = built_in("mini").unwrap();
        let front = walked(Objectives::Size).unwrap();
        let (good, small) = (&front[0], &front[front.len() - 1]);
        assert_eq!(good.objectives[0], 24.0);
        let smallest = hyperspace.spaces().map(|space| space.log10_subnets(&hyperspace));
        assert_eq!(-small.objectives[1], smallest.fold(f64::INFINITY, f64::min));
        assert!(front.windows(2).all(|pair| pair[0].objectives[1] <= pair[1].objectives[1]));
    }

    #[test]
    fn weights_are_a_lattice() {
        let quarters = [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]];
        assert_eq!(weights(2), quarters.map(Vec::from));
        assert_eq!(weights(3).len(), 15);
        assert_eq!(weights(4).len(), 4);
        assert!(weights(3).iter().all(|weights| weights.iter().sum::<f64>() == 1.0));
    }

    #[test]
    fn one_objective_has_no_front() {
        let hyperspace = built_in("mini").unwrap();
        let nothing = |_: &dyn PreparedScorer| Ok(Searched::default());
        let error = front(&hyperspace, &Opposed, Objectives::Constraints, &[], nothing);
        assert!(error.unwrap_err().to_string().contains("at least two latency limits"));
    }
}
