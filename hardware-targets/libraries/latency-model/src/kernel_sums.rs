//! What a model is fitted to: measured times, each of several kernels together.

use std::collections::HashMap;

use spacewright_core::kernel::Kernel;

use crate::predict::Evaluator;

/// Measurements, each the time of one or more kernels that ran one after the other, such as those
/// of a block. One measurement is called a row.
#[derive(Debug, Clone, Default)]
pub struct KernelSums {
    kernels: Vec<Kernel>,
    known: HashMap<Kernel, u32>,
    /// For each row where its entries end.
    ends: Vec<usize>,
    /// Kernels of all rows with how often they occur.
    entries: Vec<(u32, f32)>,
    ms: Vec<f64>,
    weights: Vec<f64>,
}

/// One measurement of [`KernelSums`].
#[derive(Debug, Clone, Copy)]
pub struct KernelSum<'a> {
    /// Positions in [`KernelSums::kernels`], each once, with how often the kernel occurs.
    pub counts: &'a [(u32, f32)],
    /// Measured time of all kernels together, in ms.
    pub ms: f64,
    /// How much the measurement counts in a fit: 1, unless it was pushed with another weight.
    pub weight: f64,
}

impl KernelSums {
    /// Appends a measurement in ms with a weight. Nothing can be learnt from a measurement without
    /// kernels, or whose time or weight is not a positive number: it is not appended, and the
    /// result is `false`.
    pub fn push(&mut self, kernels: &[Kernel], ms: f64, weight: f64) -> bool {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if kernels.is_empty() || !positive(ms) || !positive(weight) {
            return false;
        }
        let start = self.entries.len();
        for kernel in kernels {
            let index = *self.known.entry(*kernel).or_insert_with(|| {
                self.kernels.push(*kernel);
                self.kernels.len() as u32 - 1
            });
            match self.entries[start..].iter_mut().find(|(known, _)| *known == index) {
                Some((_, count)) => *count += 1.0,
                None => self.entries.push((index, 1.0)),
            }
        }
        self.ends.push(self.entries.len());
        self.ms.push(ms);
        self.weights.push(weight);
        true
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ms.is_empty()
    }

    /// The different kernels of all rows.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// Measured times in ms.
    pub fn ms(&self) -> &[f64] {
        &self.ms
    }

    /// The row at a position.
    pub fn row(&self, index: usize) -> KernelSum<'_> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        KernelSum {
            counts: &self.entries[start..self.ends[index]],
            ms: self.ms[index],
            weight: self.weights[index],
        }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = KernelSum<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The rows that `keep` names, with their kernels only.
    pub fn subset(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut subset = Self::default();
        for (index, row) in self.iter().enumerate().filter(|(index, _)| keep(*index)) {
            for (kernel, count) in row.counts {
                let kernel = self.kernels[*kernel as usize];
                let position = *subset.known.entry(kernel).or_insert_with(|| {
                    subset.kernels.push(kernel);
                    subset.kernels.len() as u32 - 1
                });
                subset.entries.push((position, *count));
            }
            subset.ends.push(subset.entries.len());
            subset.ms.push(self.ms[index]);
            subset.weights.push(self.weights[index]);
        }
        subset
    }

    /// Times in ms of the kernels, by fitted parameters.
    pub(crate) fn kernel_times(&self, evaluator: &Evaluator) -> Vec<f64> {
        let mut ms = vec![0.0; self.kernels.len()];
        evaluator.evaluate(&self.kernels, &mut ms);
        ms
    }
}

impl KernelSum<'_> {
    /// The sum of kernel times, given for all kernels of the rows.
    pub fn sum(&self, ms: &[f64]) -> f64 {
        self.counts.iter().map(|(kernel, count)| f64::from(*count) * ms[*kernel as usize]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spacewright_core::kernel::Kind;

    #[test]
    fn kernels_are_counted_once_per_row() {
        let [a, b] = [8, 16].map(|channels| Kernel::pointwise(Kind::Add, 7, 7, channels));
        let mut rows = KernelSums::default();
        assert!(rows.push(&[a, b, a], 3.0, 1.0));
        assert!(rows.push(&[b], 1.0, 2.0));
        assert!(!rows.push(&[], 1.0, 1.0));
        assert!(!rows.push(&[a], f64::NAN, 1.0));
        assert!(!rows.push(&[a], 1.0, 0.0));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.row(0).counts, [(0, 2.0), (1, 1.0)]);
        assert_eq!(rows.row(0).sum(&[1.0, 10.0]), 12.0);
        let last = rows.subset(|index| index == 1);
        assert_eq!((last.kernels(), last.row(0).counts), (&[b][..], &[(0, 1.0)][..]));
    }
}
