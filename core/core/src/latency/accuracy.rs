//! How near predictions come to measurements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Statistics of the relative errors |predicted / measured − 1| of a set of measurements. Shares
/// and errors are fractions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// How many pairs of predicted and measured times were compared.
    pub rows: usize,
    /// Share of rows with an error of at most 5 %.
    pub within_5: f64,
    /// Share of rows with an error of at most 10 %.
    pub within_10: f64,
    /// Median error.
    pub median_error: f64,
    /// Mean error.
    pub mape: f64,
}

/// A figure of an [`Accuracy`] that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{figure} = {value}: {allowed}")]
pub struct AccuracyError {
    /// Name of the figure.
    pub figure: &'static str,
    /// Its value.
    pub value: f64,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

/// How near predictions come to measurements that the predictor was not made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// How measurements were held out, or where they come from.
    pub how: String,
    /// Over all of them.
    pub accuracy: Accuracy,
}

impl Accuracy {
    /// Compares `(predicted, measured)` times in one unit; all zeros where there are none.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let error = |(predicted, measured): (f64, f64)| (predicted / measured - 1.0).abs();
        let mut errors: Vec<f64> = pairs.into_iter().map(error).collect();
        if errors.is_empty() {
            return Self::default();
        }
        errors.sort_by(f64::total_cmp);
        let rows = errors.len();
        let within = |limit| errors.partition_point(|error| *error <= limit) as f64 / rows as f64;
        Self {
            rows,
            within_5: within(0.05),
            within_10: within(0.1),
            median_error: quantile(&errors, 0.5),
            mape: errors.iter().sum::<f64>() / rows as f64,
        }
    }

    /// That shares lie between 0 and 1 and errors are numbers from 0.
    pub fn check(&self) -> Result<(), AccuracyError> {
        for (figure, value) in [("within_5", self.within_5), ("within_10", self.within_10)] {
            if !(0.0..=1.0).contains(&value) {
                let allowed = "shares must lie between 0 and 1";
                return Err(AccuracyError { figure, value, allowed });
            }
        }
        for (figure, value) in [("median_error", self.median_error), ("mape", self.mape)] {
            if !(value.is_finite() && value >= 0.0) {
                let allowed = "errors must be numbers from 0";
                return Err(AccuracyError { figure, value, allowed });
            }
        }
        Ok(())
    }

    /// Groups `(name, predicted, measured)` by name and compares the times of each group.
    pub fn by_name<'a>(
        rows: impl IntoIterator<Item = (&'a str, f64, f64)>,
    ) -> BTreeMap<String, Self> {
        let mut pairs = BTreeMap::<&str, Vec<(f64, f64)>>::new();
        for (name, predicted, measured) in rows {
            pairs.entry(name).or_default().push((predicted, measured));
        }
        pairs.into_iter().map(|(name, pairs)| (name.to_owned(), Self::of(pairs))).collect()
    }
}

/// A quantile of ascending values, between neighbours in proportion; NaN where there are none.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (below, rest) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(last);
    ascending[below] + rest * (ascending[above] - ascending[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_measurement() {
        let accuracy = Accuracy::of([(104.0, 100.0), (92.0, 100.0), (50.0, 100.0), (2.0, 2.0)]);
        assert_eq!((accuracy.rows, accuracy.within_5, accuracy.within_10), (4, 0.5, 0.75));
        assert!((accuracy.median_error - 0.06).abs() < 1e-12);
        assert!((accuracy.mape - 0.155).abs() < 1e-12);
        assert_eq!(Accuracy::of([]), Accuracy::default());
    }

    #[test]
    fn names_are_told_apart() {
        let of = Accuracy::by_name([("a", 1.0, 1.0), ("b", 2.0, 1.0), ("a", 1.0, 1.0)]);
        assert_eq!((of["a"].rows, of["a"].within_5), (2, 1.0));
        assert_eq!((of["b"].rows, of["b"].mape), (1, 1.0));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 4.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&values, q)),
            [1.0, 1.5, 2.0, 3.0, 4.0]
        );
        assert!(quantile(&[], 0.5).is_nan());
    }
}
