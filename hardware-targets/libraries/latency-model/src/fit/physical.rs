//! The physical model of rows.

use std::cmp::Ordering;

use spacewright_core::latency::quantile;

use super::nnls::nnls;
use crate::{
    kernel_sums::KernelSums,
    physical::{Group, Physical, TERMS, terms},
};

const COLUMNS: usize = Group::COUNT * TERMS;

/// Share of the mean diagonal that is added to the diagonal, as many terms are nearly alike.
const RIDGE: f64 = 1e-6;

/// The least relative error that counts as large in robust weights.
const LEAST_SCALE: f64 = 0.01;

/// A row divided by its time, without zeros: column and value.
type Line = Vec<(usize, f64)>;

/// Minimises the sum of squared relative errors with Huber's weights (Annals of Mathematical
/// Statistics 35, 1964): errors above the scale, 1.4826 times the median error, count linearly.
pub(super) fn fit(rows: &KernelSums, rounds: usize) -> Physical {
    let (mut lines, units) = scaled(lines(rows));
    let used: Vec<usize> = (0..COLUMNS).filter(|column| units[*column] > 0.0).collect();
    let mut place = [0; COLUMNS];
    used.iter().enumerate().for_each(|(to, from)| place[*from] = to);
    lines.iter_mut().flatten().for_each(|(column, _)| *column = place[*column]);

    let mut robust = vec![1.0; lines.len()];
    let mut found = vec![0.0; used.len()];
    for _ in 0..rounds.max(1) {
        let weights: Vec<f64> =
            rows.iter().zip(&robust).map(|(row, weight)| row.weight * weight).collect();
        found = solve(&lines, &weights, used.len());
        let errors: Vec<f64> = lines
            .iter()
            .map(|line| {
                line.iter().map(|(column, value)| value * found[*column]).sum::<f64>() - 1.0
            })
            .map(f64::abs)
            .collect();
        let mut ascending = errors.clone();
        ascending.sort_by(f64::total_cmp);
        let scale = LEAST_SCALE.max(1.4826 * quantile(&ascending, 0.5));
        robust =
            errors.iter().map(|error| if *error > scale { scale / error } else { 1.0 }).collect();
    }
    let mut physical = Physical::default();
    for (column, value) in used.iter().zip(found) {
        physical.coefficients[column / TERMS][column % TERMS] = value / units[*column];
    }
    physical
}

fn lines(rows: &KernelSums) -> Vec<Line> {
    let terms_of: Vec<(usize, [f64; TERMS])> = rows
        .kernels()
        .iter()
        .map(|kernel| (Group::of(kernel).index() * TERMS, terms(kernel, &kernel.amounts())))
        .collect();
    let line = |counts: &[(u32, f32)], ms: f64| {
        let mut sums = [0.0; COLUMNS];
        for (kernel, count) in counts {
            let (first, terms) = &terms_of[*kernel as usize];
            let sums = sums[*first..].iter_mut().zip(terms);
            sums.for_each(|(sum, term)| *sum += f64::from(*count) * term);
        }
        let sums = sums.into_iter().enumerate().filter(|(_, sum)| *sum > 0.0);
        sums.map(|(column, sum)| (column, sum / ms)).collect()
    };
    rows.iter().map(|row| line(row.counts, row.ms)).collect()
}

/// The lines with each column in units of its root mean square, and these units; 0 for columns
/// that no row has.
fn scaled(mut lines: Vec<Line>) -> (Vec<Line>, [f64; COLUMNS]) {
    let mut units = [0.0; COLUMNS];
    lines.iter().flatten().for_each(|(column, value)| units[*column] += value * value);
    units.iter_mut().for_each(|unit| *unit = (*unit / lines.len() as f64).sqrt());
    lines.iter_mut().flatten().for_each(|(column, value)| *value /= units[*column]);
    (lines, units)
}

fn solve(lines: &[Line], weights: &[f64], columns: usize) -> Vec<f64> {
    let mut gram = vec![vec![0.0; columns]; columns];
    let mut b = vec![0.0; columns];
    for (line, weight) in lines.iter().zip(weights) {
        for (index, (i, value)) in line.iter().enumerate() {
            let value = weight * value;
            b[*i] += value;
            let row = &mut gram[*i];
            line[..=index].iter().for_each(|(j, other)| row[*j] += value * other);
        }
    }
    let mean = (0..columns).map(|i| gram[i][i]).sum::<f64>() / columns.max(1) as f64;
    let element = |i: usize, j: usize| match i.cmp(&j) {
        Ordering::Greater => gram[i][j],
        Ordering::Equal => gram[i][i] + RIDGE * mean,
        Ordering::Less => gram[j][i],
    };
    let gram: Vec<Vec<f64>> =
        (0..columns).map(|i| (0..columns).map(|j| element(i, j)).collect()).collect();
    nnls(&gram, &b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spacewright_core::kernel::{Kernel, Kind};

    #[test]
    fn coefficients_are_found_from_sums_in_spite_of_outliers() {
        let mut truth = Physical::default();
        truth.coefficients[Group::Of(Kind::Add).index()][..2].copy_from_slice(&[0.01, 1e-6]);
        truth.coefficients[Group::Of(Kind::Fc).index()][..2].copy_from_slice(&[0.02, 2e-6]);
        let mut rows = KernelSums::default();
        for i in 0..200u32 {
            let add = Kernel::pointwise(Kind::Add, 7 + i % 5, 9, 8 * (1 + i % 13));
            let fc =
                Kernel { cout: 100 + i % 17, ..Kernel::pointwise(Kind::Fc, 1, 1, 64 + i % 29) };
            let ms = [add, add, fc].iter().map(|k| truth.ms(k, &k.amounts())).sum::<f64>();
            rows.push(&[add, add, fc], if i % 25 == 0 { 5.0 * ms } else { ms }, 1.0);
            rows.push(&[fc], truth.ms(&fc, &fc.amounts()), 1.0);
        }
        let found = fit(&rows, 20);
        // All but those that take five times as long as they should.
        for (_, row) in (0..).zip(rows.iter()).filter(|(at, _)| at % 50 != 0) {
            let sum: f64 = row
                .counts
                .iter()
                .map(|(k, n)| (rows.kernels()[*k as usize], f64::from(*n)))
                .map(|(kernel, n)| n * found.ms(&kernel, &kernel.amounts()))
                .sum();
            assert!((sum / row.ms - 1.0).abs() < 0.01, "{sum} {}", row.ms);
        }
    }
}
