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

    /// Whether the value may as well be nought.
    pub fn has_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Interval, low: f64, high: f64) {
        assert!((found.low - low).abs() < 1e-4 && (found.high - high).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn intervals_of_shares_are_those_of_wilson() {
        close(Interval::of_share(0.5, 100), 0.4038, 0.5962);
        assert!(Interval::of_share(1.0, 50).high <= 1.0 + 1e-12);
        assert!(Interval::of_share(0.0, 50).low >= -1e-12);
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
