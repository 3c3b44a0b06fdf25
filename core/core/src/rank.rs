//! How well two lists of values agree in their order.

use std::cmp::Ordering;

/// Kendall's τ-b ("The treatment of ties in ranking problems", Biometrika 33, 1945): pairs that
/// both lists order the same way minus pairs that they order differently, over the geometric mean
/// of the pairs that each list orders. From −1 to 1; `None` where a list orders no pair, or where
/// the lengths differ.
pub fn kendall_tau(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let sign = |values: &[f64], i: usize, j: usize| match values[i].total_cmp(&values[j]) {
        Ordering::Less => -1.0,
        Ordering::Equal => 0.0,
        Ordering::Greater => 1.0,
    };
    let (mut agreement, mut ordered_a, mut ordered_b) = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            let (x, y): (f64, f64) = (sign(a, i, j), sign(b, i, j));
            agreement += x * y;
            ordered_a += x * x;
            ordered_b += y * y;
        }
    }
    let pairs = f64::sqrt(ordered_a * ordered_b);
    (pairs > 0.0).then(|| agreement / pairs)
}

/// Spearman's ρ: the correlation of the ranks, where equal values share the mean of theirs. From −1
/// to 1; `None` where all values of a list are equal, or where the lengths differ.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let spread = f64::sqrt(product(&a, &a) * product(&b, &b));
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// The position of each value in ascending order, from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for equal in order.chunk_by(|&i, &j| values[i].total_cmp(&values[j]).is_eq()) {
        let rank = start as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
        start += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, wanted: f64) {
        assert!((found.unwrap() - wanted).abs() < 1e-12, "{found:?}, not {wanted}");
    }

    #[test]
    fn tau_counts_pairs() {
        close(kendall_tau(&[1.0, 2.0, 3.0], &[5.0, 6.0, 9.0]), 1.0);
        close(kendall_tau(&[1.0, 2.0, 3.0], &[9.0, 6.0, 5.0]), -1.0);
        close(kendall_tau(&[1.0, 2.0, 3.0], &[6.0, 5.0, 9.0]), 1.0 / 3.0);
    }

    #[test]
    fn ties_are_no_agreement_and_no_contradiction() {
        // Five of six pairs are ordered in either list, four of them by both, in the same way.
        close(kendall_tau(&[1.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]), 0.8);
        close(spearman(&[1.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]), 8.0 / 9.0);
    }

    #[test]
    fn rho_is_the_correlation_of_ranks() {
        close(spearman(&[1.0, 2.0, 30.0], &[-5.0, 6.0, 6.5]), 1.0);
        // 1 − 6 Σd² / n(n² − 1) for values without ties.
        close(spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]), 1.0 - 24.0 / 120.0);
    }

    #[test]
    fn lists_without_an_order_have_no_answer() {
        for (a, b) in [(&[][..], &[][..]), (&[1.0], &[2.0]), (&[1.0, 1.0], &[1.0, 2.0])] {
            assert_eq!((kendall_tau(a, b), spearman(a, b)), (None, None));
        }
        assert_eq!(kendall_tau(&[1.0, 2.0], &[1.0]), None);
    }
}
