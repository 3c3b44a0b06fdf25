use std::collections::HashSet;

use serde_json::{Value, json};
use spacewright_core::{
    score::{Bounded, Bounds, PreparedScorer, ScoreError, SpaceScore},
    search::{SearchBudget, Searched, Strategy},
    space::{Halves, Hyperspace, Space},
};

use super::*;
use crate::hyperspaces::built_in;

/// The more the blocks and windows sum to, the better. Its bounds are too high by up to 3.
struct Sum;

fn sum(space: &Space) -> f64 {
    space.blocks.iter().chain(&space.windows).sum::<usize>() as f64
}

impl PreparedScorer for Sum {
    fn score(&self, spaces: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let score = |space| SpaceScore { score: sum(space), constraints: Vec::new() };
        Ok(spaces.iter().map(score).collect())
    }

    fn bounded(&self) -> Option<&dyn Bounded> {
        Some(self)
    }
}

impl Bounded for Sum {
    fn bounds(&self, _: &Space) -> Result<Box<dyn Bounds + '_>, ScoreError> {
        Ok(Box::new(SumBounds(Halves::of(&built_in("mini").unwrap()))))
    }
}

struct SumBounds(Halves);

impl Bounds for SumBounds {
    fn rough(&self, first: usize) -> Vec<f64> {
        let bound = |last| sum(&self.0.space(first, last)) + 3.0;
        (0..self.0.last_count()).map(bound).collect()
    }

    fn closer(&self, first: usize, lasts: &[u32]) -> Vec<f64> {
        let rough = self.rough(first);
        lasts.iter().map(|last| rough[*last as usize] - 0.5).collect()
    }

    fn tight(&self, pairs: &[(u32, u32)]) -> Vec<f64> {
        let bound = |(first, last): &(u32, u32)| {
            let space = self.0.space(*first as usize, *last as usize);
            sum(&space) + f64::from(space.blocks[0] as u32 % 4)
        };
        pairs.iter().map(bound).collect()
    }
}

fn search(
    strategy: &dyn Strategy,
    hyperspace: &Hyperspace,
    evaluations: usize,
    options: Value,
) -> Result<Searched, ScoreError> {
    let budget = SearchBudget { evaluations, seed: 7 };
    strategy.search(hyperspace, &Sum, &budget, &options, &mut |_, _| true)
}

#[test]
fn every_walk_ends_in_the_best_and_scores_nothing_twice() {
    let hyperspace = built_in("mini").unwrap();
    for strategy in [&AgingEvolution as &dyn Strategy, &Random, &Descent, &Exact] {
        for evaluations in [1, 60, 700] {
            let found = search(strategy, &hyperspace, evaluations, Value::Null).unwrap();
            assert!(found.evaluations >= evaluations);
            let spaces: HashSet<&Space> = found.scored.iter().map(|s| &s.space).collect();
            assert_eq!(spaces.len(), found.scored.len(), "{}", strategy.name());
            assert_eq!(found.scored[0].space.to_string(), "mini-4444-1111", "{}", strategy.name());
            assert_eq!(found, search(strategy, &hyperspace, evaluations, Value::Null).unwrap());
        }
    }
}

#[test]
fn a_proof_says_how_much_better_a_space_may_be() {
    let hyperspace = built_in("mini").unwrap();
    let found = search(&Exact, &hyperspace, 50, Value::Null).unwrap();
    assert_eq!(found.gap(), Some(0.0));
    assert_eq!(search(&Random, &hyperspace, 50, Value::Null).unwrap().gap(), None);
    // The best has a sum of 20 and its own bound; 3444-1111 has one of 22, others less.
    let found = search(&Exact, &hyperspace, 50, json!({ "candidates": 1 })).unwrap();
    assert_eq!(found.bound, Some(21.0));
    assert_eq!(found.gap(), Some(1.0 / 20.0));
}

#[test]
fn diverse_spaces_differ_from_all_better_ones() {
    let hyperspace = built_in("mini").unwrap();
    let found = search(&Random, &hyperspace, 3000, Value::Null).unwrap();
    let chosen = found.diverse(5, 3);
    assert_eq!(chosen[0], &found.scored[0]);
    for (index, a) in chosen.iter().enumerate() {
        assert!(chosen[..index].iter().all(|b| a.space.distance(&b.space) >= 3));
    }
    assert_eq!(chosen.len(), 5);
}

#[test]
fn searches_end_when_the_hyperspace_is_exhausted() {
    let mut hyperspace = built_in("mini").unwrap();
    hyperspace.candidates.truncate(2);
    hyperspace.stages.truncate(2);
    for strategy in [&AgingEvolution as &dyn Strategy, &Random, &Descent] {
        let found = search(strategy, &hyperspace, 1000, Value::Null).unwrap();
        assert_eq!(found.scored.len(), 2 * 2 * 2 * 2, "{}", strategy.name());
    }
    let options = json!({ "population": 3, "parents": 2 });
    assert_eq!(search(&AgingEvolution, &hyperspace, 1000, options).unwrap().scored.len(), 16);
}

#[test]
fn evolution_ends_where_nothing_can_change() {
    let mut hyperspace = built_in("mini").unwrap();
    hyperspace.candidates.truncate(1);
    for stage in &mut hyperspace.stages {
        stage.window = 3;
    }
    assert_eq!(search(&AgingEvolution, &hyperspace, 10, Value::Null).unwrap().scored.len(), 1);
}

#[test]
fn the_random_part_of_the_population_has_all_block_types() {
    let hyperspace = built_in("mini").unwrap();
    let found = search(&Random, &hyperspace, 200, Value::Null).unwrap();
    for stage in 0..4 {
        let blocks: HashSet<usize> = found.scored.iter().map(|s| s.space.blocks[stage]).collect();
        assert_eq!(blocks.len(), hyperspace.candidates.len());
    }
}

#[test]
fn a_search_stops_when_told() {
    let budget = SearchBudget { evaluations: 1000, seed: 7 };
    let hyperspace = built_in("mini").unwrap();
    for strategy in [&AgingEvolution as &dyn Strategy, &Random, &Descent, &Exact] {
        let found = strategy
            .search(&hyperspace, &Sum, &budget, &Value::Null, &mut |scored, _| scored < 100)
            .unwrap();
        assert!(found.evaluations < 200, "{}: {}", strategy.name(), found.evaluations);
    }
}

#[test]
fn a_proof_stops_when_told_and_proves_nothing() {
    let budget = SearchBudget { evaluations: 100, seed: 7 };
    let hyperspace = built_in("mini").unwrap();
    let mut before = 0;
    // Told again of as many spaces, where evolution and descent have ended.
    let mut progress = |scored: usize, _: &_| std::mem::replace(&mut before, scored) != scored;
    let found = Exact.search(&hyperspace, &Sum, &budget, &Value::Null, &mut progress).unwrap();
    assert!(found.scored.len() > 100 && found.bound.is_none(), "{:?}", found.bound);
}

#[test]
fn wrong_options_are_refused() {
    let hyperspace = built_in("mini").unwrap();
    let error = search(&AgingEvolution, &hyperspace, 10, json!({ "parents": 0 })).unwrap_err();
    assert_eq!(
        error.to_string(),
        "options of `aging-evolution`: parents = 0; allowed is a number from 1"
    );
    let error = search(&Random, &hyperspace, 10, json!({ "parents": 3 })).unwrap_err();
    assert!(error.to_string().contains("unknown field `parents`"), "{error}");
}

/// Gives scores to nobody.
struct Unasked;

impl PreparedScorer for Unasked {
    fn score(&self, _: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        Err(ScoreError::new("asked for scores"))
    }
}

#[test]
fn a_proof_without_bounds_is_refused_before_anything_is_scored() {
    let hyperspace = built_in("mini").unwrap();
    let budget = SearchBudget { evaluations: 10, seed: 7 };
    let found = Exact.search(&hyperspace, &Unasked, &budget, &Value::Null, &mut |_, _| true);
    let reason = found.unwrap_err().to_string();
    assert!(reason.starts_with("the scorer has no bounds"), "{reason}");
}
