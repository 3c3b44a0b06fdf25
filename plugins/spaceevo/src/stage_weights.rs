//! Weights of stages with which the sum of block-wise losses ranks subnets as their accuracy does.

/// Iterations of gradient descent; the problem is convex and has as many unknowns as a network has
/// stages.
const ITERATIONS: usize = 2000;

/// Weights from 0 on, one for each stage, with a mean of 1.
///
/// `losses` holds a loss per stage for each subnet, `accuracy` the subnets' accuracies. Of two
/// subnets the better one should have the smaller sum: a logistic loss on that, each pair as heavy
/// as its difference in accuracy, since a small difference is mostly noise. It is a loss on ranks
/// because that is what a score uses, and because losses are not linear in accuracy. A Gaussian
/// around equal weights, with a standard deviation of 1, stands against the evidence of as many
/// observations as there are subnets: a few subnets move weights little.
pub fn fit(losses: &[Vec<f64>], accuracy: &[f64]) -> Vec<f64> {
    let stages = losses.first().map_or(0, Vec::len);
    let equal = vec![1.0; stages];
    let sums: Vec<f64> = losses.iter().map(|stages| stages.iter().sum()).collect();
    let mean = sums.iter().sum::<f64>() / sums.len().max(1) as f64;
    let variance =
        sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / sums.len().max(1) as f64;
    let pairs = pairs(losses, accuracy, variance.sqrt());
    let total: f64 = pairs.iter().map(|pair| pair.weight).sum();
    if !(variance > 0.0 && total > 0.0) {
        return equal;
    }
    let pull = 1.0 / losses.len() as f64;
    // Bounds the curvature: that of the logistic function is at most 1/4.
    let square = |pair: &Pair| pair.weight * pair.excess.iter().map(|x| x * x).sum::<f64>();
    let curvature = pairs.iter().map(square).sum::<f64>() / (4.0 * total) + pull;
    let mut weights = equal.clone();
    for _ in 0..ITERATIONS {
        let mut slope: Vec<f64> = weights.iter().map(|weight| pull * (weight - 1.0)).collect();
        for Pair { weight, excess } in &pairs {
            let margin: f64 = weights.iter().zip(excess).map(|(w, x)| w * x).sum();
            let factor = weight / total / (1.0 + (-margin).exp());
            slope.iter_mut().zip(excess).for_each(|(slope, x)| *slope += factor * x);
        }
        let step = |(weight, slope): (&mut f64, &f64)| {
            *weight = (*weight - slope / curvature).max(0.0);
        };
        weights.iter_mut().zip(&slope).for_each(step);
    }
    let mean = weights.iter().sum::<f64>() / stages as f64;
    if mean > 0.0 { weights.iter().map(|weight| weight / mean).collect() } else { equal }
}

/// The weighted sum of a subnet's losses.
pub fn weighted(losses: &[f64], weights: &[f64]) -> f64 {
    losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum()
}

struct Pair {
    /// Difference in accuracy.
    weight: f64,
    /// By how much the losses of the better subnet are larger than those of the other, in units of
    /// the spread of sums.
    excess: Vec<f64>,
}

fn pairs(losses: &[Vec<f64>], accuracy: &[f64], spread: f64) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (better, worse) in (0..losses.len()).flat_map(|i| (0..losses.len()).map(move |j| (i, j))) {
        let weight = accuracy[better] - accuracy[worse];
        if weight > 0.0 {
            let excess =
                losses[better].iter().zip(&losses[worse]).map(|(a, b)| (a - b) / spread).collect();
            pairs.push(Pair { weight, excess });
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use spacewright_core::{random::generator, rank::kendall_tau};

    use super::*;

    /// Subnets whose accuracy falls with `truth` times their losses, but for noise.
    fn subnets(truth: &[f64], noise: f64, seed: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = generator(seed, &["test"]);
        let mut losses = Vec::new();
        let mut accuracy = Vec::new();
        for _ in 0..60 {
            let stages: Vec<f64> = truth.iter().map(|_| rng.random_range(0.1..0.5)).collect();
            accuracy.push(0.9 - weighted(&stages, truth) + noise * rng.random_range(-1.0..1.0));
            losses.push(stages);
        }
        (losses, accuracy)
    }

    /// Agreement of the loss with accuracy on subnets that were not fitted.
    fn taus(truth: &[f64], noise: f64, seed: u64) -> (f64, f64) {
        let (losses, accuracy) = subnets(truth, noise, seed);
        let weights = fit(&losses[..30], &accuracy[..30]);
        assert!(weights.iter().all(|weight| *weight >= 0.0), "{weights:?}");
        assert!((weights.iter().sum::<f64>() / truth.len() as f64 - 1.0).abs() < 1e-9);
        let tau = |weights: &[f64]| {
            let loss: Vec<f64> =
                losses[30..].iter().map(|losses| -weighted(losses, weights)).collect();
            kendall_tau(&loss, &accuracy[30..]).unwrap()
        };
        (tau(&vec![1.0; truth.len()]), tau(&weights))
    }

    #[test]
    fn stages_that_matter_get_more_and_others_less() {
        let (losses, accuracy) = subnets(&[0.3, 0.1, 0.0, 0.1], 0.01, 1);
        let weights = fit(&losses, &accuracy);
        assert!(weights[0] > 1.5 && weights[2] < 0.6, "{weights:?}");
        for seed in 0..5 {
            let (raw, weighted) = taus(&[0.3, 0.1, 0.0, 0.1], 0.01, seed);
            assert!(weighted > raw, "{seed}: {raw} {weighted}");
        }
    }

    #[test]
    fn where_all_stages_matter_alike_little_is_lost() {
        for seed in 0..5 {
            let (raw, weighted) = taus(&[0.1; 4], 0.03, seed);
            assert!(weighted > raw - 0.06, "{seed}: {raw} {weighted}");
        }
    }

    #[test]
    fn without_evidence_all_weigh_the_same() {
        assert_eq!(fit(&[vec![0.1, 0.2], vec![0.3, 0.1]], &[0.5, 0.5]), [1.0, 1.0]);
        assert_eq!(fit(&[vec![0.1, 0.2], vec![0.1, 0.2]], &[0.5, 0.6]), [1.0, 1.0]);
        assert!(fit(&[], &[]).is_empty());
    }
}
