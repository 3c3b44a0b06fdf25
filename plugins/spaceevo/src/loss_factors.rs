//! Factors of block-wise losses, one for each stage and block type, with which the sums of losses rank networks as
//! their accuracy does.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use spacewright_core::rank::kendall_tau_of_pairs;

/// What a network loses stage by stage, and what it reaches as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkLosses {
    /// Index of the block type of each stage.
    pub blocks: Vec<usize>,
    /// Loss of each stage: noise-to-signal ratio of its output against the teacher's.
    pub losses: Vec<f64>,
    /// Share of images that it classifies correctly, from 0 to 1.
    pub accuracy: f64,
}

impl NetworkLosses {
    /// The sum of its losses, each with the factor of its stage and block type.
    pub fn corrected(&self, factors: &[Vec<f64>]) -> f64 {
        corrected(&self.losses, &self.blocks, factors)
    }
}

/// The sum of the losses of a network's stages, each with the factor of its stage and block type.
pub fn corrected(losses: &[f64], blocks: &[usize], factors: &[Vec<f64>]) -> f64 {
    let of_stage = factors.iter().zip(blocks).map(|(of_stage, &block)| of_stage[block]);
    of_stage.zip(losses).map(|(factor, loss)| factor * loss).sum()
}

/// Iterations of gradient descent; a problem has some dozens of unknowns.
const ITERATIONS: usize = 400;
/// How far logarithms of factors are taken to lie from 0 (standard deviations): those of a stage, of a block type, and of
/// a block type in a stage beyond these two.
const SPREAD_OF_STAGES: f64 = 1.0;
const SPREAD_OF_BLOCKS: f64 = 0.5;
const SPREAD_OF_PAIRS: f64 = 0.25;

/// Factors above 0 of the losses of each block type in each stage: `factors[stage][block]`. They leave the sum of all
/// losses of these networks as it is; where the networks say nothing, they are 1.
///
/// Of two networks the better one should have the smaller sum of losses: a logistic loss on that, each pair as heavy
/// as its difference in accuracy, since a small difference is mostly noise. It is a loss on ranks because that is what
/// a score uses, and because losses are not linear in accuracy. The logarithm of a factor is a sum of three parts: of
/// its stage, of its block type, and of both. Gaussians around 0 stand against the evidence of as many observations as
/// there are networks: a few networks move factors little, and what all stages say of a block type counts more than
/// what one of them says.
pub fn fit(networks: &[NetworkLosses], stages: usize, blocks: usize) -> Vec<Vec<f64>> {
    let mut factors = Factors::new(stages, blocks);
    let sums: Vec<f64> = networks.iter().map(|network| network.losses.iter().sum()).collect();
    let mean = sums.iter().sum::<f64>() / sums.len().max(1) as f64;
    let variance =
        sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / sums.len().max(1) as f64;
    let pairs = pairs(networks);
    let can_compare = variance > 0.0 && !pairs.is_empty();
    if !can_compare {
        return factors.all();
    }
    let problem = Problem { networks, pairs, spread: variance.sqrt() };
    let (mut cost, mut slope) = problem.cost(&factors);
    let mut rate = 1.0;
    for _ in 0..ITERATIONS {
        let next = factors.moved(&slope, rate);
        let (next_cost, next_slope) = problem.cost(&next);
        if next_cost < cost {
            (factors, cost, slope) = (next, next_cost, next_slope);
            rate *= 1.3;
        } else {
            rate *= 0.5;
        }
    }
    let mut all = factors.all();
    let corrected: f64 = networks.iter().map(|network| network.corrected(&all)).sum();
    let scale = sums.iter().sum::<f64>() / corrected;
    all.iter_mut().flatten().for_each(|factor| *factor *= scale);
    all
}

/// How sums of losses order pairs of networks, each pair with factors that were fitted without one of the two. It tells
/// what a correction is worth.
pub struct LeftOutPairs {
    /// Which network the factors were fitted without, which network it was compared with, and how the two are ordered:
    /// by falling sums of losses, and by accuracies.
    pairs: Vec<(usize, usize, [Ordering; 2])>,
}

impl LeftOutPairs {
    /// Fits factors as often as there are networks.
    pub fn new(networks: &[NetworkLosses], stages: usize, blocks: usize) -> Self {
        let mut pairs = Vec::new();
        for (left_out, network) in networks.iter().enumerate() {
            let mut others = networks.to_vec();
            others.remove(left_out);
            let factors = fit(&others, stages, blocks);
            let sum = network.corrected(&factors);
            for (other, beside) in
                networks.iter().enumerate().filter(|(other, _)| *other != left_out)
            {
                let by_loss = beside.corrected(&factors).total_cmp(&sum);
                let by_accuracy = network.accuracy.total_cmp(&beside.accuracy);
                pairs.push((left_out, other, [by_loss, by_accuracy]));
            }
        }
        Self { pairs }
    }

    /// Kendall's τ-b over all pairs; `None` where nothing can be compared.
    pub fn tau(&self) -> Option<f64> {
        self.tau_where(|_| true)
    }

    /// Kendall's τ-b over the pairs without one network.
    pub fn tau_without(&self, network: usize) -> Option<f64> {
        self.tau_where(|one| one != network)
    }

    fn tau_where(&self, wanted: impl Fn(usize) -> bool) -> Option<f64> {
        let pairs =
            self.pairs.iter().filter(|(left_out, other, _)| wanted(*left_out) && wanted(*other));
        kendall_tau_of_pairs(pairs.map(|(.., ordered)| *ordered))
    }
}

/// The parts of the logarithms of factors, in units of their spreads.
#[derive(Clone)]
struct Factors {
    stages: Vec<f64>,
    blocks: Vec<f64>,
    pairs: Vec<Vec<f64>>,
}

impl Factors {
    /// All factors are 1.
    fn new(stages: usize, blocks: usize) -> Self {
        let pairs = vec![vec![0.0; blocks]; stages];
        Self { stages: vec![0.0; stages], blocks: vec![0.0; blocks], pairs }
    }

    fn all(&self) -> Vec<Vec<f64>> {
        let of_stage = |(stage, pairs): (&f64, &Vec<f64>)| {
            let factor = |(block, pair): (&f64, &f64)| {
                let logarithm =
                    SPREAD_OF_STAGES * stage + SPREAD_OF_BLOCKS * block + SPREAD_OF_PAIRS * pair;
                logarithm.exp()
            };
            self.blocks.iter().zip(pairs).map(factor).collect()
        };
        self.stages.iter().zip(&self.pairs).map(of_stage).collect()
    }

    fn each(&self) -> impl Iterator<Item = &f64> {
        self.stages.iter().chain(&self.blocks).chain(self.pairs.iter().flatten())
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.stages.iter_mut().chain(&mut self.blocks).chain(self.pairs.iter_mut().flatten())
    }

    /// A step down a slope.
    fn moved(&self, slope: &Self, rate: f64) -> Self {
        let mut moved = self.clone();
        moved.each_mut().zip(slope.each()).for_each(|(value, slope)| *value -= rate * slope);
        moved
    }
}

/// A pair of networks of which the first is better.
struct Pair {
    better: usize,
    worse: usize,
    /// Its share of all differences in accuracy.
    weight: f64,
}

fn pairs(networks: &[NetworkLosses]) -> Vec<Pair> {
    let all = (0..networks.len()).flat_map(|i| (0..networks.len()).map(move |j| (i, j)));
    let pair = |(better, worse): (usize, usize)| {
        let weight = networks[better].accuracy - networks[worse].accuracy;
        (weight > 0.0).then_some(Pair { better, worse, weight })
    };
    let mut pairs: Vec<Pair> = all.filter_map(pair).collect();
    let total: f64 = pairs.iter().map(|pair| pair.weight).sum();
    pairs.iter_mut().for_each(|pair| pair.weight /= total);
    pairs
}

struct Problem<'a> {
    networks: &'a [NetworkLosses],
    pairs: Vec<Pair>,
    /// Standard deviation of the sums of losses.
    spread: f64,
}

impl Problem<'_> {
    /// What is to be small, and its slope.
    fn cost(&self, factors: &Factors) -> (f64, Factors) {
        let all = factors.all();
        let sums: Vec<f64> = self.networks.iter().map(|network| network.corrected(&all)).collect();
        let pull = 1.0 / self.networks.len() as f64;
        let mut cost = 0.5 * pull * factors.each().map(|part| part * part).sum::<f64>();
        let mut of_sums = vec![0.0; sums.len()];
        for &Pair { better, worse, weight } in &self.pairs {
            let excess = (sums[better] - sums[worse]) / self.spread;
            // The logarithm of 1 + exp(excess), where that is large, too.
            cost += weight * (excess.max(0.0) + (-excess.abs()).exp().ln_1p());
            let slope = weight / (1.0 + (-excess).exp()) / self.spread;
            of_sums[better] += slope;
            of_sums[worse] -= slope;
        }
        let mut slope = factors.clone();
        slope.each_mut().for_each(|part| *part *= pull);
        for (NetworkLosses { blocks, losses, .. }, of_sum) in self.networks.iter().zip(of_sums) {
            for (stage, (&block, loss)) in blocks.iter().zip(losses).enumerate() {
                let of_logarithm = of_sum * all[stage][block] * loss;
                slope.stages[stage] += SPREAD_OF_STAGES * of_logarithm;
                slope.blocks[block] += SPREAD_OF_BLOCKS * of_logarithm;
                slope.pairs[stage][block] += SPREAD_OF_PAIRS * of_logarithm;
            }
        }
        (cost, slope)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use spacewright_core::{random::generator, rank::kendall_tau};

    use super::*;

    /// Networks of random block types whose accuracy falls with `truth` times their losses, but for noise.
    fn networks(truth: &[Vec<f64>], noise: f64, seed: u64) -> Vec<NetworkLosses> {
        let mut rng = generator(seed, &["test"]);
        let mut network = |_| {
            let blocks: Vec<usize> =
                truth.iter().map(|of_stage| rng.random_range(0..of_stage.len())).collect();
            let losses: Vec<f64> = truth.iter().map(|_| rng.random_range(0.1..0.5)).collect();
            let noise = noise * rng.random_range(-1.0..1.0);
            let accuracy = 0.9 - corrected(&losses, &blocks, truth) + noise;
            NetworkLosses { blocks, losses, accuracy }
        };
        (0..60).map(&mut network).collect()
    }

    fn tau(networks: &[NetworkLosses], factors: &[Vec<f64>]) -> f64 {
        let losses: Vec<f64> = networks.iter().map(|network| -network.corrected(factors)).collect();
        let accuracies: Vec<f64> = networks.iter().map(|network| network.accuracy).collect();
        kendall_tau(&losses, &accuracies).unwrap()
    }

    /// Agreement of the sum of losses with accuracy on networks that nothing was fitted on: raw, corrected.
    fn taus(truth: &[Vec<f64>], noise: f64, seed: u64) -> [f64; 2] {
        let networks = networks(truth, noise, seed);
        let (fitted, others) = networks.split_at(30);
        let [stages, blocks] = [truth.len(), truth[0].len()];
        let factors = fit(fitted, stages, blocks);
        assert!(factors.iter().flatten().all(|factor| *factor > 0.0), "{factors:?}");
        let sum =
            |factors: &[Vec<f64>]| -> f64 { fitted.iter().map(|n| n.corrected(factors)).sum() };
        let ones = vec![vec![1.0; blocks]; stages];
        assert!((sum(&factors) / sum(&ones) - 1.0).abs() < 1e-9);
        [tau(others, &ones), tau(others, &factors)]
    }

    #[test]
    fn stages_that_matter_get_more_and_others_less() {
        let truth = [0.3, 0.1, 0.0, 0.1].map(|factor| vec![factor]);
        let factors = fit(&networks(&truth, 0.01, 1), 4, 1).concat();
        assert!(factors[0] > 1.5 && factors[2] < 0.6, "{factors:?}");
        for seed in 0..5 {
            let [raw, corrected] = taus(&truth, 0.01, seed);
            assert!(corrected > raw, "{seed}: {raw} {corrected}");
        }
    }

    /// As on Fashion-MNIST: fused blocks lose 1.0 where ResNet blocks lose 1.55, and reach the same accuracy.
    #[test]
    fn networks_of_two_block_types_are_compared_as_their_accuracies_are() {
        let truth = vec![vec![0.1, 0.065]; 4];
        let factors = fit(&networks(&truth, 0.01, 1), 4, 2);
        for of_stage in &factors {
            let ratio = of_stage[1] / of_stage[0];
            assert!((0.5..0.85).contains(&ratio), "{factors:?}");
        }
        for seed in 0..5 {
            let [raw, corrected] = taus(&truth, 0.01, seed);
            assert!(corrected > raw + 0.05, "{seed}: {raw} {corrected}");
            let left_out =
                LeftOutPairs::new(&networks(&truth, 0.01, seed)[..24], 4, 2).tau().unwrap();
            assert!(left_out > raw, "{seed}: {raw} {left_out}");
        }
    }

    #[test]
    fn where_all_losses_matter_alike_little_is_lost() {
        let truth = vec![vec![0.1; 5]; 4];
        let lost = |seed| {
            let [raw, corrected] = taus(&truth, 0.03, seed);
            raw - corrected
        };
        let mean = (0..10).map(lost).sum::<f64>() / 10.0;
        assert!(mean < 0.07, "{mean}");
    }

    /// Networks of one block type: factors change no sum in relation to another, whatever they are fitted on.
    #[test]
    fn a_correction_that_changes_no_order_is_worth_nothing() {
        let network =
            |loss: f64, accuracy| NetworkLosses { blocks: vec![0], losses: vec![loss], accuracy };
        let networks = [
            network(0.1, 0.9),
            network(0.2, 0.7),
            network(0.3, 0.8),
            network(0.4, 0.1),
            network(0.5, 0.1),
            network(0.6, 0.1),
        ];
        let losses = networks.each_ref().map(|network| -network.losses[0]);
        let accuracies = networks.each_ref().map(|network| network.accuracy);
        let (raw, corrected) = (
            kendall_tau(&losses, &accuracies).unwrap(),
            LeftOutPairs::new(&networks, 1, 1).tau().unwrap(),
        );
        assert!((raw - corrected).abs() < 1e-12, "{raw} {corrected}");
    }

    #[test]
    fn without_evidence_all_losses_count_the_same() {
        let network = |losses: [f64; 2], accuracy| NetworkLosses {
            blocks: vec![0, 1],
            losses: losses.to_vec(),
            accuracy,
        };
        let ones = vec![vec![1.0; 2]; 2];
        let same_accuracy = [network([0.1, 0.2], 0.5), network([0.3, 0.1], 0.5)];
        assert_eq!(fit(&same_accuracy, 2, 2), ones);
        assert_eq!(LeftOutPairs::new(&same_accuracy, 2, 2).tau(), None);
        let same_losses = [network([0.1, 0.2], 0.5), network([0.1, 0.2], 0.6)];
        assert_eq!(fit(&same_losses, 2, 2), ones);
        assert_eq!(fit(&[], 2, 2), ones);
        assert_eq!(LeftOutPairs::new(&[], 2, 2).tau(), None);
    }
}
