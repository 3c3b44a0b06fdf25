//! Aging evolution (arXiv 1802.01548) of spaces, as SpaceEvo uses it.
//!
//! The population starts with the uniform spaces and is filled up with random ones. Then, in
//! turns: the best of a random tournament is the parent of two children, one with another block
//! type in one stage, one with another window in one stage; children replace the oldest. What
//! the published code does otherwise by mistake is not repeated: block types of random spaces
//! are drawn (not constant), no space is scored twice, and everything is seeded. Some tournaments
//! are held at once, so that their children can be scored together.

use std::{cmp::Ordering, collections::VecDeque};

use rand::seq::index;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use spacewright_core::{options, score::ScoreError, space::Space};

use super::{Course, Walk, history::History};

/// Tournaments whose children are scored together.
const TOURNAMENTS: usize = 8;
/// Tournaments without a new child before a random space is taken in.
const FRUITLESS: usize = 100;

/// Aging evolution.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgingEvolution;

/// Options of [`AgingEvolution`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionOptions {
    /// Living spaces.
    pub population: usize,
    /// Spaces in a tournament, drawn without replacement.
    pub parents: usize,
}

impl Default for EvolutionOptions {
    /// Those of the published search.
    fn default() -> Self {
        Self { population: 500, parents: 125 }
    }
}

impl Walk for AgingEvolution {
    const NAME: &str = "aging-evolution";
    type Options = EvolutionOptions;

    fn check(options: &EvolutionOptions) -> Result<(), ScoreError> {
        for (option, value) in [("population", options.population), ("parents", options.parents)] {
            if value == 0 {
                return Err(options::invalid_option(Self::NAME, option, value, "a number from 1"));
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        course: &mut Course<'_, '_>,
        options: &EvolutionOptions,
    ) -> Result<bool, ScoreError> {
        let hyperspace = course.hyperspace;
        let first = options.population.min(course.evaluations);
        let mut spaces = hyperspace.uniform_spaces();
        spaces.truncate(first);
        spaces.retain(|space| course.seen.insert(space));
        while spaces.len() < first {
            let Some(space) = course.draw() else { break };
            spaces.push(space);
        }
        let mut goes_on = course.history.score(spaces)?;

        let mut living: VecDeque<usize> = (0..course.history.len()).collect();
        let mut fruitless = 0;
        while goes_on && course.left() > 0 {
            let mut children: Vec<Space> = Vec::new();
            for _ in 0..TOURNAMENTS {
                let rng = &mut course.rng;
                let parent = tournament(&course.history, &living, options.parents, rng);
                let mutants =
                    [parent.mutate_block(hyperspace, rng), parent.mutate_window(hyperspace, rng)];
                let new = mutants.into_iter().flatten().filter(|child| course.seen.insert(child));
                children.extend(new);
            }
            fruitless = if children.is_empty() { fruitless + TOURNAMENTS } else { 0 };
            if fruitless >= FRUITLESS {
                let Some(space) = course.draw() else { break };
                children.push(space);
                fruitless = 0;
            }
            children.truncate(course.left());
            let born = course.history.len();
            goes_on = course.history.score(children)?;
            for child in born..course.history.len() {
                living.push_back(child);
                if living.len() > options.population {
                    living.pop_front();
                }
            }
        }
        Ok(goes_on)
    }
}

/// The best of a random part of the population.
fn tournament(
    history: &History<'_, '_>,
    living: &VecDeque<usize>,
    parents: usize,
    rng: &mut Pcg64Mcg,
) -> Space {
    let better = |a: &usize, b: &usize| -> Ordering {
        history.score_at(*a).total_cmp(&history.score_at(*b)).then(b.cmp(a))
    };
    let drawn = index::sample(rng, living.len(), parents.min(living.len()));
    let best = drawn.iter().map(|at| living[at]).max_by(better).unwrap_or_default();
    history.space_at(best).clone()
}
