//! How much of a space's mass lies among the best of a sample.

/// Cells of the table; between its nodes, cubic interpolation with known slopes.
const CELLS: usize = 4096;

/// With `N` draws of which the `K` best are averaged, a draw with a share `u` of all subnets
/// below it is among them with probability `w(u) = Pr[Binomial(N − 1, u) ≤ K − 1]`. This is
/// `W(u) = ∫₀ᵘ w = E[min(Binomial(N, u), K)] / N`: the mean of the best is `∫ x dW / W(p)`.
pub(crate) struct TopShare {
    step: f64,
    /// `W` and `w` at every node.
    nodes: Vec<(f64, f64)>,
    saturated: f64,
}

impl TopShare {
    pub(crate) fn new(draws: usize, top: usize) -> Self {
        let (n, k) = (draws as f64, top.min(draws) as f64);
        // Beyond ten standard deviations above K/N, w is below 1e-20.
        let end = ((k + 10.0 * k.sqrt() + 20.0) / n).min(1.0);
        let step = end / CELLS as f64;
        let node = |index| node(draws, top.min(draws), step * f64::from(index));
        Self { step, nodes: (0..=CELLS as u32).map(node).collect(), saturated: k / n }
    }

    /// The share above which nothing counts any more.
    pub(super) fn end(&self) -> f64 {
        self.step * CELLS as f64
    }

    /// `W(u)`.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let place = share.max(0.0) / self.step;
        let cell = place as usize;
        if cell >= CELLS {
            return self.saturated;
        }
        let f = place - cell as f64;
        let ((a, da), (b, db)) = (self.nodes[cell], self.nodes[cell + 1]);
        let (da, db) = (da * self.step, db * self.step);
        let (g, d) = (1.0 - f, b - a);
        a + d * f * f * (3.0 - 2.0 * f) + f * g * (g * da - f * db)
    }
}

/// `(W(u), w(u))`, from the probabilities of 0 to K − 1 hits.
fn node(draws: usize, top: usize, share: f64) -> (f64, f64) {
    let (n, k) = (draws as f64, top as f64);
    if share >= 1.0 {
        return (k / n, if top >= draws { 1.0 } else { 0.0 });
    }
    let odds = (share / (1.0 - share)).ln();
    let mut log = n * (-share).ln_1p();
    let (mut missing, mut fewer) = (0.0, 0.0);
    for hits in 0..top {
        let j = hits as f64;
        let probability = log.exp();
        missing += (k - j) * probability;
        // Binomial(N − 1): its probabilities are those of N, scaled by (N − j) / (N (1 − u)).
        fewer += probability * (n - j) / (n * (1.0 - share));
        log += ((n - j) / (j + 1.0)).ln() + odds;
    }
    ((k - missing) / n, fewer.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_shares_count_fully_and_large_ones_not_at_all() {
        let top = TopShare::new(100_000, 50);
        assert_eq!(top.at(0.0), 0.0);
        assert!((top.at(1e-5) / 1e-5 - 1.0).abs() < 1e-6);
        assert_eq!(top.at(0.5), 50e-5);
        assert!((top.at(top.end() * 0.999) - 50e-5).abs() < 1e-15);
    }

    #[test]
    fn it_is_the_integral_of_the_binomial_tail() {
        // Two draws, the better of which counts: w(u) = 1 − u, W(u) = u − u²/2.
        let top = TopShare::new(2, 1);
        for share in [0.1, 0.337, 0.9] {
            assert!((top.at(share) - (share - share * share / 2.0)).abs() < 1e-9, "{share}");
        }
        // All draws count.
        assert!((TopShare::new(3, 3).at(0.4321) - 0.4321).abs() < 1e-12);
    }
}
