//! Evolution of subnets under a latency budget: the fitter half of a generation are parents of
//! the next, one half of whose children are mutants and the other crossings (OFA,
//! arXiv 1908.09791; rates of SpaceEvo). Every loop is bounded.

use std::{collections::HashSet, fmt};

use rand::{Rng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::milliseconds,
    random,
    space::{ElasticStage, MutationRates, Subnet},
    study::StepError,
};

/// What is looked for.
#[derive(Debug)]
pub struct SubnetSearch<'a> {
    pub stages: &'a [ElasticStage],
    pub resolutions: &'a [usize],
    pub budget_ms: f64,
    pub population: usize,
    pub generations: usize,
    /// Subnets use at least 1 − slack of the budget, where the space has such.
    pub slack: f64,
    pub seed: u64,
}

/// A subnet within the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    pub subnet: Subnet,
    pub latency_ms: f64,
    pub accuracy: f64,
}

/// The best subnets within the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finalists {
    /// Best first, at most half of a population.
    pub best: Vec<Finalist>,
    /// Subnets whose accuracy was asked for.
    pub evaluations: usize,
}

/// Latencies of a space's smallest and largest subnet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyRange {
    /// Of the smallest subnet, in milliseconds.
    pub fastest_ms: f64,
    /// Of the largest subnet, in milliseconds.
    pub slowest_ms: f64,
}

impl fmt::Display for LatencyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fastest, slowest] = [self.fastest_ms, self.slowest_ms].map(milliseconds);
        write!(f, "{fastest} to {slowest} ms")
    }
}

/// Asks for a number for each subnet, in order.
pub type Ask<'a> = dyn FnMut(&[Subnet]) -> Result<Vec<f64>, StepError> + 'a;

/// Asks for the accuracy of each subnet, in order, beside which stands its latency in milliseconds.
pub type Judge<'a> = dyn FnMut(&[(Subnet, f64)]) -> Result<Vec<f64>, StepError> + 'a;

/// Random draws per subnet that is wanted: a budget that one of forty keeps to is still filled.
const TRIES: usize = 40;

impl SubnetSearch<'_> {
    /// Most subnets whose accuracy is asked for.
    pub fn evaluations(&self) -> usize {
        self.population * (1 + self.generations)
    }

    /// Searches for the most accurate subnets; `latency` gives milliseconds, `accuracy` shares.
    /// Where no subnet is within the budget: the latencies that the space has.
    ///
    /// # Errors
    ///
    /// Those of `latency` and `accuracy`.
    pub fn run(
        &self,
        latency: &mut Ask<'_>,
        accuracy: &mut Judge<'_>,
    ) -> Result<Result<Finalists, LatencyRange>, StepError> {
        search(self, latency, accuracy)
    }

    fn random(&self, count: usize, rng: &mut Pcg64Mcg) -> Vec<Subnet> {
        (0..count).map(|_| Subnet::random(self.stages, self.resolutions, rng)).collect()
    }
}

struct Feasible<'a, 'b> {
    lowest_ms: f64,
    budget_ms: f64,
    latency: &'a mut Ask<'b>,
    seen: HashSet<String>,
}

impl Feasible<'_, '_> {
    /// Adds those of `drawn` that are within the budget and were never seen, up to `limit`.
    fn take(
        &mut self,
        drawn: Vec<Subnet>,
        limit: usize,
        into: &mut Vec<(Subnet, f64)>,
    ) -> Result<(), StepError> {
        let latencies = (self.latency)(&drawn)?;
        for (subnet, ms) in drawn.into_iter().zip(latencies) {
            let within = ms <= self.budget_ms && ms >= self.lowest_ms;
            if into.len() < limit && within && self.seen.insert(subnet.to_string()) {
                into.push((subnet, ms));
            }
        }
        Ok(())
    }
}

fn search(
    problem: &SubnetSearch<'_>,
    latency: &mut Ask<'_>,
    accuracy: &mut Judge<'_>,
) -> Result<Result<Finalists, LatencyRange>, StepError> {
    let mut rng = random::generator(problem.seed, &["search", &problem.budget_ms.to_string()]);
    let extremes = [
        Subnet::smallest(problem.stages, problem.resolutions),
        Subnet::largest(problem.stages, problem.resolutions),
    ];
    let ends = latency(&extremes)?;
    let mut feasible = Feasible {
        lowest_ms: problem.budget_ms * (1.0 - problem.slack),
        budget_ms: problem.budget_ms,
        latency,
        seen: HashSet::new(),
    };
    let mut generation = Vec::new();
    feasible.take(extremes.to_vec(), problem.population, &mut generation)?;
    for _ in 0..TRIES {
        if generation.len() >= problem.population {
            break;
        }
        let drawn = problem.random(problem.population, &mut rng);
        feasible.take(drawn, problem.population, &mut generation)?;
    }
    if generation.is_empty() {
        // Nothing uses the budget up: take whatever keeps to it.
        feasible.lowest_ms = 0.0;
        let drawn = problem.random(TRIES * problem.population, &mut rng);
        feasible.take(
            extremes.into_iter().chain(drawn).collect(),
            problem.population,
            &mut generation,
        )?;
    }
    if generation.is_empty() {
        return Ok(Err(LatencyRange { fastest_ms: ends[0], slowest_ms: ends[1] }));
    }

    let mut best: Vec<Finalist> = Vec::new();
    let mut evaluations = 0;
    for round in 0..=problem.generations {
        evaluations += generation.len();
        let accuracies = accuracy(&generation)?;
        let judged = generation.drain(..).zip(accuracies);
        best.extend(judged.map(|((subnet, latency_ms), accuracy)| Finalist {
            subnet,
            latency_ms,
            accuracy,
        }));
        best.sort_by(|a, b| {
            b.accuracy.total_cmp(&a.accuracy).then(a.latency_ms.total_cmp(&b.latency_ms))
        });
        best.truncate(problem.population.div_ceil(2).max(1));
        if round < problem.generations {
            for _ in 0..TRIES {
                if generation.len() >= problem.population {
                    break;
                }
                let children = children(problem, &best, &mut rng);
                feasible.take(children, problem.population, &mut generation)?;
            }
        }
    }
    Ok(Ok(Finalists { best, evaluations }))
}

fn children(problem: &SubnetSearch<'_>, parents: &[Finalist], rng: &mut Pcg64Mcg) -> Vec<Subnet> {
    let child = |index: usize| {
        let parent = &parents[rng.random_range(0..parents.len())].subnet;
        match parents.choose(rng) {
            Some(Finalist { subnet: other, .. }) if index % 2 == 1 && other != parent => {
                parent.cross(other, rng)
            }
            _ => parent.mutate(problem.stages, problem.resolutions, MutationRates::default(), rng),
        }
    };
    (0..problem.population).map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperspaces;

    /// Latency grows with the number of blocks and their widths; accuracy with expand ratios.
    fn found(budget_ms: f64) -> Result<Finalists, LatencyRange> {
        let hyperspace = hyperspaces::built_in("mini").unwrap();
        let space = &hyperspace.uniform_spaces()[2];
        let stages = space.elastic_stages(&hyperspace);
        let widths = |subnet: &Subnet| -> f64 {
            subnet.stages.iter().flat_map(|s| &s.blocks).map(|b| b.width as f64).sum()
        };
        let expands = |subnet: &Subnet| -> f64 {
            let blocks = subnet.stages.iter().flat_map(|s| &s.blocks);
            blocks.map(|b| b.config.get("expand").unwrap_or_default()).sum()
        };
        let problem = SubnetSearch {
            stages: &stages,
            resolutions: &hyperspace.resolutions,
            budget_ms,
            population: 16,
            generations: 6,
            slack: 0.3,
            seed: 1,
        };
        let mut latency = |subnets: &[Subnet]| Ok(subnets.iter().map(widths).collect());
        let mut accuracy = |subnets: &[(Subnet, f64)]| {
            Ok(subnets.iter().map(|(subnet, _)| expands(subnet)).collect())
        };
        problem.run(&mut latency, &mut accuracy).unwrap()
    }

    #[test]
    fn the_best_subnets_keep_to_the_budget() {
        let found = found(300.0).unwrap();
        let best = &found.best;
        assert!(best.iter().all(|s| s.latency_ms <= 300.0 && s.latency_ms >= 210.0), "{found:?}");
        assert!(best.is_sorted_by(|a, b| a.accuracy >= b.accuracy));
        assert!(best.len() == 8 && found.evaluations <= 16 * 7);
    }

    #[test]
    fn the_same_seed_finds_the_same() {
        assert_eq!(found(300.0).unwrap(), found(300.0).unwrap());
    }

    #[test]
    fn a_budget_above_all_subnets_is_not_used_up() {
        assert!(found(1e6).unwrap().best[0].latency_ms < 1e6);
    }

    #[test]
    fn an_infeasible_budget_names_the_range() {
        let range = found(3.0).unwrap_err();
        assert!(range.fastest_ms > 3.0 && range.slowest_ms > range.fastest_ms);
    }
}
