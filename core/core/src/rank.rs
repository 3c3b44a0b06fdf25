//! How well two lists of values agree in their order.

use std::cmp::Ordering;

/// Pairs of positions, by how two lists order them.
#[derive(Debug, Clone, Copy, Default)]
struct Pairs {
    count: usize,
    /// Those that both lists order the same way minus those that they order differently.
    agreement: f64,
    /// Those that each list orders.
    ordered: [f64; 2],
}

impl Pairs {
    fn add(&mut self, a: Ordering, b: Ordering) {
        let [a, b] = [a, b].map(|order| f64::from(order as i8));
        self.count += 1;
        self.agreement += a * b;
        self.ordered[0] += a * a;
        self.ordered[1] += b * b;
    }

    fn ordered(&self) -> f64 {
        f64::sqrt(self.ordered[0] * self.ordered[1])
    }

    fn tau(&self) -> Option<f64> {
        (self.ordered() > 0.0).then(|| self.agreement / self.ordered())
    }
}

/// Kendall's τ-b ("The treatment of ties in ranking problems", Biometrika 33, 1945): pairs that
/// both lists order the same way minus pairs that they order differently, over the geometric mean
/// of the pairs that each list orders. From −1 to 1; `None` where a list orders no pair, or where
/// the lengths differ.
pub fn kendall_tau(a: &[f64], b: &[f64]) -> Option<f64> {
    let [within, _] = pairs(a, b, &vec![0; a.len()])?;
    within.tau()
}

/// Kendall's τ-b as [`kendall_tau`] tells it, of pairs that need not be all pairs of two lists: for each pair how one
/// list orders it, and how the other does. `None` where a list orders none.
pub fn kendall_tau_of_pairs(ordered: impl IntoIterator<Item = [Ordering; 2]>) -> Option<f64> {
    let mut pairs = Pairs::default();
    ordered.into_iter().for_each(|[a, b]| pairs.add(a, b));
    pairs.tau()
}

/// What a part of the pairs has to do with Kendall's τ over all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartOfTau {
    /// How many pairs.
    pub pairs: usize,
    /// τ-b over these pairs alone; `None` where a list orders none of them.
    pub tau: Option<f64>,
    /// What they add to τ-b over all pairs; `None` where a list orders no pair at all.
    pub contribution: Option<f64>,
}

/// What pairs within a group, and pairs between two groups, have to do with [`kendall_tau`] over all of them: the
/// contributions add up to it. `groups` holds the group of each position; `None` where lengths differ.
pub fn kendall_tau_by_group(a: &[f64], b: &[f64], groups: &[usize]) -> Option<[PartOfTau; 2]> {
    let parts = pairs(a, b, groups)?;
    let sum = |list: usize| parts[0].ordered[list] + parts[1].ordered[list];
    let ordered = f64::sqrt(sum(0) * sum(1));
    Some(parts.map(|part| PartOfTau {
        pairs: part.count,
        tau: part.tau(),
        contribution: (ordered > 0.0).then(|| part.agreement / ordered),
    }))
}

/// The pairs within a group, and those between two groups.
fn pairs(a: &[f64], b: &[f64], groups: &[usize]) -> Option<[Pairs; 2]> {
    if a.len() != b.len() || a.len() != groups.len() {
        return None;
    }
    let mut pairs = [Pairs::default(); 2];
    for i in 0..a.len() {
        for j in 0..i {
            let is_between = usize::from(groups[i] != groups[j]);
            pairs[is_between].add(a[i].total_cmp(&a[j]), b[i].total_cmp(&b[j]));
        }
    }
    Some(pairs)
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
    fn tau_is_the_sum_of_what_groups_and_pairs_of_groups_add() {
        // Each group has its two values the wrong way round, and the second group is right to be above the first.
        let (a, b, groups) = ([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0], [0, 0, 1, 1]);
        let [within, between] = kendall_tau_by_group(&a, &b, &groups).unwrap();
        assert_eq!((within.pairs, between.pairs), (2, 4));
        close(within.tau, -1.0);
        close(between.tau, 1.0);
        close(within.contribution, -2.0 / 6.0);
        close(between.contribution, 4.0 / 6.0);
        close(kendall_tau(&a, &b), 2.0 / 6.0);
        let [within, between] = kendall_tau_by_group(&a, &b, &[0, 1, 2, 3]).unwrap();
        assert_eq!((within.pairs, within.tau, between.pairs), (0, None, 6));
        assert_eq!(kendall_tau_by_group(&a, &b, &[0]), None);
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
