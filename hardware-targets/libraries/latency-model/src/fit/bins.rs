//! Bins of features: trees see numbers of bins only.

use spacewright_core::kernel::Kernel;

use crate::{
    features::{FEATURES, bin, features},
    model::MAX_EDGES,
};

/// Edges, and the bins of the kernels that they were made from.
pub(super) struct Bins {
    pub edges: [Vec<f32>; FEATURES],
    /// For each feature the bin of each kernel.
    pub columns: [Vec<u8>; FEATURES],
}

impl Bins {
    /// Edges lie in the middle between neighbouring values: all of them, or those next to evenly
    /// spaced quantiles where there are too many.
    pub fn of(kernels: &[Kernel]) -> Self {
        let values: Vec<[f32; FEATURES]> =
            kernels.iter().map(|kernel| features(kernel, &kernel.amounts())).collect();
        let edges: [Vec<f32>; FEATURES] =
            std::array::from_fn(|feature| edges(values.iter().map(|of| of[feature]).collect()));
        let columns = std::array::from_fn(|feature| {
            values.iter().map(|of| bin(&edges[feature], of[feature])).collect()
        });
        Self { edges, columns }
    }
}

fn edges(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_by(f32::total_cmp);
    // Distinct values, each with the number of kernels up to it.
    let mut steps: Vec<(f32, usize)> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match steps.last_mut() {
            Some((last, upto)) if last == value => *upto = index + 1,
            _ => steps.push((*value, index + 1)),
        }
    }
    let gaps = steps.len().saturating_sub(1);
    let chosen: Vec<usize> = if gaps <= MAX_EDGES {
        (0..gaps).collect()
    } else {
        let quantile = |index: usize| {
            let share = index as f64 / (MAX_EDGES + 1) as f64;
            steps.partition_point(|(_, upto)| (*upto as f64) < share * values.len() as f64)
        };
        let mut chosen: Vec<usize> =
            (1..=MAX_EDGES).map(quantile).filter(|gap| *gap < gaps).collect();
        chosen.dedup();
        chosen
    };
    chosen.into_iter().map(|gap| between(steps[gap].0, steps[gap + 1].0)).collect()
}

/// The middle; the higher value where there is no number between them.
fn between(low: f32, high: f32) -> f32 {
    let middle = (0.5 * (f64::from(low) + f64::from(high))) as f32;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_all_edges_in_the_middle() {
        assert_eq!(edges(vec![8.0, 1.0, 8.0, 3.0]), [2.0, 5.5]);
        assert!(edges(vec![4.0, 4.0]).is_empty());
        assert!(edges(vec![]).is_empty());
    }

    #[test]
    fn many_values_have_as_many_edges_as_fit() {
        let of = edges((0..10_000).map(|value| value as f32).collect());
        assert_eq!(of.len(), MAX_EDGES);
        assert!(of.is_sorted_by(|a, b| a < b));
        assert!((of[126] - 5000.0).abs() < 50.0, "{}", of[126]);
    }

    #[test]
    fn neighbouring_numbers_are_told_apart() {
        let low = 16_777_216.0f32;
        let high = low.next_up();
        let edge = between(low, high);
        assert_eq!((bin(&[edge], low), bin(&[edge], high)), (0, 1));
    }
}
