//! How surely shares of test images are known, and differences of two.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Quantile of the normal distribution for 95 % certainty, two-sided.
const Z: f64 = 1.959_964;

/// From where to where a value lies with 95 % certainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// The share of right answers that lies behind `share` of `images` (Wilson, 1927).
    pub fn of_share(share: f64, images: usize) -> Self {
        let n = images.max(1) as f64;
        let scale = 1.0 + Z * Z / n;
        let centre = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        Self { low: centre - half, high: centre + half }
    }

    /// The difference that lies behind that of two shares, each with its number of images, as of independent
    /// samples: Newcombe (1998), "Interval estimation for the difference between independent proportions",
    /// method 10. For two networks on the same images it is wider than need be.
    pub fn of_difference(own: (f64, usize), other: (f64, usize)) -> Self {
        let (own_range, other_range) =
            (Self::of_share(own.0, own.1), Self::of_share(other.0, other.1));
        let difference = own.0 - other.0;
        let below = (own.0 - own_range.low).hypot(other_range.high - other.0);
        let above = (own_range.high - own.0).hypot(other.0 - other_range.low);
        Self { low: difference - below, high: difference + above }
    }

    /// 95 % interval of a correlation from `n` samples, by Tukey's jackknife (Ann. Math. Stat. 29, 1958, p. 614);
    /// `without(i)` is the correlation with sample `i` left out. `None` if n < 3, a leave-one-out value is unknown, or
    /// all are equal: an order without an exception does not tell how rare exceptions are.
    pub(crate) fn of_correlation(
        found: f64,
        n: usize,
        without: impl Fn(usize) -> Option<f64>,
    ) -> Option<Self> {
        if n < 3 {
            return None;
        }
        let others = (0..n).map(without).collect::<Option<Vec<f64>>>()?;
        if others.iter().all(|other| *other == others[0]) {
            return None;
        }
        let mean = others.iter().sum::<f64>() / n as f64;
        let squares: f64 = others.iter().map(|other| (other - mean).powi(2)).sum();
        let degrees = n as f64 - 1.0;
        let half = student(degrees) * (squares * degrees / n as f64).sqrt();
        Some(Self { low: (found - half).max(-1.0), high: (found + half).min(1.0) })
    }

    /// Whether the value may as well be nought.
    pub fn has_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

/// How many standard errors an interval of 95 % certainty reaches to either side where the standard error itself was
/// estimated with so many degrees of freedom, 1 or more: the quantile of Student's distribution (Biometrika 6, 1908).
pub(super) fn student(degrees: f64) -> f64 {
    const STEPS: usize = 20_000;
    // Beyond, the difference to the normal distribution is in the fourth digit.
    if degrees > 1000.0 {
        return Z;
    }
    // With t = √ν tan θ the density is cos θ to the power of ν − 1.
    let step = std::f64::consts::FRAC_PI_2 / STEPS as f64;
    let density = |index: usize| ((index as f64 + 0.5) * step).cos().powf(degrees - 1.0);
    let wanted = 0.95 * (0..STEPS).map(density).sum::<f64>();
    let (mut index, mut below) = (0, 0.0);
    while below + density(index) < wanted {
        below += density(index);
        index += 1;
    }
    let angle = step * (index as f64 + (wanted - below) / density(index));
    degrees.sqrt() * angle.tan()
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use spacewright_core::{random, rank::kendall_tau};

    use super::*;

    #[test]
    fn quantiles_of_students_distribution_are_those_of_tables() {
        for (degrees, quantile) in
            [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (10.0, 2.228), (60.0, 2.000), (1e4, 1.960)]
        {
            assert!((student(degrees) - quantile).abs() < 2e-3, "{degrees}: {}", student(degrees));
        }
        assert!(student(1.5) < student(1.2) && student(1.2) < student(1.0));
    }

    fn close(found: Interval, low: f64, high: f64) {
        assert!((found.low - low).abs() < 1e-4 && (found.high - high).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn intervals_of_shares_are_those_of_wilson() {
        close(Interval::of_share(0.5, 100), 0.4038, 0.5962);
        assert!(Interval::of_share(1.0, 50).high <= 1.0 + 1e-12);
        assert!(Interval::of_share(0.0, 50).low >= -1e-12);
    }

    /// Of pairs of independent normal values with Kendall's τ = 2/π asin ρ, nineteen of twenty intervals hold it.
    #[test]
    fn intervals_of_correlations_hold_what_they_are_about() {
        let tau = 0.5;
        let rho = f64::sin(tau * std::f64::consts::FRAC_PI_2);
        let mut rng = random::generator(0, &["correlations"]);
        let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        let mut holds = || {
            let (a, b): (Vec<f64>, Vec<f64>) = (0..24)
                .map(|_| (normal(), normal()))
                .map(|(x, y)| (x, rho * x + (1.0 - rho * rho).sqrt() * y))
                .unzip();
            let without = |left_out: usize| {
                let [a, b] = [&a, &b].map(|values| {
                    let mut values = values.clone();
                    values.remove(left_out);
                    values
                });
                kendall_tau(&a, &b)
            };
            let found = kendall_tau(&a, &b).unwrap();
            let interval = Interval::of_correlation(found, a.len(), without).unwrap();
            interval.low <= tau && tau <= interval.high
        };
        let held = (0..400).filter(|_| holds()).count();
        assert!((364..=396).contains(&held), "{held} of 400");
        assert_eq!(Interval::of_correlation(0.5, 2, |_| Some(0.5)), None);
        assert_eq!(Interval::of_correlation(1.0, 9, |_| Some(1.0)), None);
        assert_eq!(
            Interval::of_correlation(0.5, 9, |left_out| (left_out > 0).then_some(0.5)),
            None
        );
    }

    /// The first example of the paper's table II.
    #[test]
    fn intervals_of_differences_are_those_of_newcombe() {
        let found = Interval::of_difference((56.0 / 70.0, 70), (48.0 / 80.0, 80));
        close(found, 0.0524, 0.3339);
        assert!(!found.has_zero());
        assert!(Interval::of_difference((0.8, 70), (0.8, 70)).has_zero());
    }
}
