//! Distributions of (summed loss, summed latency) on a grid: bins of loss are its rows, bins of
//! latency its columns.
//!
//! A point's mass is split over three bins in each direction, so that mean and variance stay what
//! they are (quadratic interpolation): sums of several stages then agree with the exact
//! distribution but for third moments of single bins.
//!
//! Only the rows of small loss matter to the best subnets: rows are computed when they are asked
//! for, and kept.

use std::sync::{Arc, OnceLock};

use pulp::{Arch, Simd, WithSimd};

/// Rows of a grid are padded to a multiple of so many `f32`, the lanes of the widest vector register.
pub(super) const LANES: usize = 16;
/// Rows that are computed together: the more, the fewer partner rows are looked up twice, and the
/// more rows are computed for nothing where only the first are asked for.
const GROUP: usize = 8;
/// Rows of one stage: a larger loss counts as that of the last row, so that outliers take no memory.
const MOST_ROWS: i64 = 2048;
/// Vector registers in which columns are summed up at most, so that sums stay in registers.
const TILE: usize = 6;

/// Widths of the grid's bins, and the number of its columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Steps {
    pub(super) loss: f64,
    pub(super) latency_ms: f64,
    /// Bins of latency; what is slower is left out. A multiple of [`LANES`].
    pub(super) columns: usize,
}

/// The bins of one row that hold mass, by rising column. Columns of one stage are stored shifted by
/// +1 so that no index is negative, as [`split`] reaches one bin to the left; the convolution of `n`
/// stages is shifted by `n`.
#[derive(Debug, Clone, PartialEq)]
struct TapRow {
    row: i32,
    taps: Vec<Tap>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Tap {
    column: u32,
    mass: f32,
}

/// The distribution of one stage, sparse: few bins, by rising row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct StageTaps {
    rows: Vec<TapRow>,
    /// The mass of each column, summed over all rows.
    columns: Vec<f64>,
}

/// Splits a point at `position` (in bins) over three bins so that mass, mean and variance stay:
/// the middle bin, and the weights of the bins before it, of it, and after it.
fn split(position: f64) -> (i64, [f64; 3]) {
    let middle = position.round();
    let f = position - middle;
    (middle as i64, [f * (f - 1.0) / 2.0, 1.0 - f * f, f * (f + 1.0) / 2.0])
}

impl StageTaps {
    /// The distribution of points (loss, milliseconds) that have this mass each.
    pub(super) fn new(points: impl Iterator<Item = (f64, f64)>, mass: f64, steps: &Steps) -> Self {
        let points: Vec<(f64, f64)> = points.collect();
        let least = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = least + MOST_ROWS as f64 * steps.loss;
        let mut bins: Vec<(i32, u32, f64)> = Vec::new();
        for (loss, latency_ms) in points {
            let position = latency_ms / steps.latency_ms;
            // Beyond all columns, and perhaps beyond all integers.
            if position > steps.columns as f64 {
                continue;
            }
            let (row, row_weights) = split(loss.min(most) / steps.loss);
            let (column, column_weights) = split(position);
            for (i, row_weight) in (-1..).zip(row_weights) {
                for (j, column_weight) in (0..).zip(column_weights) {
                    let (row, column) = (row + i, column + j);
                    if column < steps.columns as i64 {
                        let weight = mass * row_weight * column_weight;
                        bins.push((row as i32, column.max(0) as u32, weight));
                    }
                }
            }
        }
        bins.sort_by_key(|bin| (bin.0, bin.1));
        let mut columns = vec![0.0; if bins.is_empty() { 0 } else { steps.columns }];
        for (_, column, mass) in &bins {
            columns[*column as usize] += mass;
        }
        let tap = |same: &[(i32, u32, f64)]| Tap {
            column: same[0].1,
            mass: same.iter().map(|bin| bin.2).sum::<f64>() as f32,
        };
        let row = |bins: &[(i32, u32, f64)]| TapRow {
            row: bins[0].0,
            taps: bins.chunk_by(|a, b| a.1 == b.1).map(tap).collect(),
        };
        Self { rows: bins.chunk_by(|a, b| a.0 == b.0).map(row).collect(), columns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn rows(&self) -> Option<(i32, i32)> {
        Some((self.rows.first()?.row, self.rows.last()?.row))
    }
}

/// Two distributions that are convolved: that of several stages, and that of one stage more.
pub(super) type ConvolutionPart = (Arc<Distribution>, Arc<StageTaps>);

/// The distribution of several stages: the sum of its convolutions, dense, computed row by row.
pub(super) struct Distribution {
    parts: Vec<ConvolutionPart>,
    /// Bin of the first row's loss.
    first: i32,
    rows: LazyRows,
    /// The mass of each column.
    pub(super) columns: Vec<f64>,
}

impl Distribution {
    /// The distribution of no stage: all mass at loss 0 and latency 0.
    pub(super) fn nothing(steps: &Steps) -> Self {
        let rows = LazyRows::new(1, steps.columns);
        rows.group(0, || {
            let mut group = Group::new(1, rows.stride());
            group.values[rows.pad] = 1.0;
            group.starts[0] = 0;
            group
        });
        let mut columns = vec![0.0; steps.columns];
        columns[0] = 1.0;
        Self { parts: Vec::new(), first: 0, rows, columns }
    }

    /// The sum of convolutions of distributions that have mass.
    pub(super) fn new(parts: Vec<ConvolutionPart>, steps: &Steps) -> Self {
        let range = |(mass, taps): &ConvolutionPart| {
            let (low, high) = taps.rows()?;
            Some((mass.first + low, mass.last() + high))
        };
        let ranges = || parts.iter().filter_map(range);
        let first = ranges().map(|range| range.0).min().unwrap_or_default();
        let last = ranges().map(|range| range.1).max().unwrap_or(first - 1);
        let mut columns = vec![0.0; steps.columns];
        for (mass, taps) in &parts {
            for (shift, weight) in taps.columns.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                for (to, from) in columns[shift..].iter_mut().zip(&mass.columns) {
                    *to += weight * from;
                }
            }
        }
        let rows = LazyRows::new((last - first + 1) as usize, steps.columns);
        Self { parts, first, rows, columns }
    }

    fn last(&self) -> i32 {
        self.first + self.rows.count as i32 - 1
    }

    /// Bytes when all rows were asked for.
    pub(super) fn bytes(&self) -> usize {
        4 * self.rows.count * self.rows.stride() + 8 * self.columns.len()
    }

    /// Row, and index of its first non-zero column. The row is zero-padded in front by as many
    /// entries as there are columns, so that it can be read at negative columns.
    fn row(&self, index: usize) -> (&[f32], u32) {
        self.rows.row(index, |rows| self.compute(rows))
    }

    fn compute(&self, rows: std::ops::Range<usize>) -> Group {
        let mut group = Group::new(rows.len(), self.rows.stride());
        for (mass, taps) in &self.parts {
            let Some((low, high)) = taps.rows() else { continue };
            // Position in `mass` of the first row's partner under a tap of row 0.
            let offset = self.first + rows.start as i32 - mass.first;
            let needed = (offset - high).max(0)
                ..(offset + rows.len() as i32 - low).min(mass.rows.count as i32);
            let from: Vec<(&[f32], u32)> =
                needed.clone().map(|row| mass.row(row as usize)).collect();
            let (pad, stride) = (self.rows.pad, self.rows.stride());
            let to = group.values.chunks_exact_mut(stride).zip(&mut group.starts);
            let mut terms: Vec<Term<'_>> = Vec::new();
            for ((to, start), row) in to.zip(offset..) {
                terms.clear();
                for taps in &taps.rows {
                    let partner = row - taps.row;
                    if !needed.contains(&partner) {
                        continue;
                    }
                    let (values, empty) = from[(partner - needed.start) as usize];
                    let end = (self.rows.columns as u32).saturating_sub(empty);
                    let count = taps.taps.partition_point(|tap| tap.column < end);
                    if let Some(first) = taps.taps[..count].first() {
                        *start = (*start).min(empty + first.column);
                        terms.push((values, &taps.taps[..count]));
                    }
                }
                let (to, start) = (&mut to[pad..], *start as usize);
                Arch::new().dispatch(AddTerms { to, start, terms: &terms, pad });
            }
        }
        group
    }
}

/// A zero-padded row, and the taps that it is multiplied with.
type Term<'a> = (&'a [f32], &'a [Tap]);

/// Adds to the row `to` the convolutions of other rows with taps, in tiles of [`TILE`] registers.
struct AddTerms<'a> {
    to: &'a mut [f32],
    /// The first column that anything is added to.
    start: usize,
    terms: &'a [Term<'a>],
    /// Zeros in front of the rows of `terms`.
    pad: usize,
}

impl WithSimd for AddTerms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { to, start, terms, pad } = self;
        let mut column = start / LANES * LANES;
        while column < to.len() {
            let width = (to.len() - column).min(TILE * S::F32_LANES);
            let (to, at) = (&mut to[column..column + width], pad + column);
            match width / S::F32_LANES {
                1 => add_tile::<S, 1>(simd, to, terms, at),
                2 => add_tile::<S, 2>(simd, to, terms, at),
                3 => add_tile::<S, 3>(simd, to, terms, at),
                4 => add_tile::<S, 4>(simd, to, terms, at),
                5 => add_tile::<S, 5>(simd, to, terms, at),
                _ => add_tile::<S, TILE>(simd, to, terms, at),
            }
            column += width;
        }
    }
}

/// `to` is as long as `REGISTERS` registers.
#[inline(always)]
fn add_tile<S: Simd, const REGISTERS: usize>(
    simd: S,
    to: &mut [f32],
    terms: &[Term<'_>],
    column: usize,
) {
    let mut sums = [simd.splat_f32s(0.0); REGISTERS];
    for (row, taps) in terms {
        for tap in *taps {
            let at = column - tap.column as usize;
            let values = S::as_simd_f32s(&row[at..at + REGISTERS * S::F32_LANES]).0;
            let mass = simd.splat_f32s(tap.mass);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = simd.mul_add_e_f32s(mass, *value, *sum);
            }
        }
    }
    for (to, sum) in S::as_mut_simd_f32s(to).0.iter_mut().zip(sums) {
        *to = simd.add_f32s(*to, sum);
    }
}

/// Rows that are computed when they are asked for, in groups of [`GROUP`].
struct LazyRows {
    count: usize,
    columns: usize,
    /// Zeros in front of each row.
    pad: usize,
    groups: Vec<OnceLock<Group>>,
}

struct Group {
    values: Vec<f32>,
    /// By row, index of its first non-zero column, or more than there are.
    starts: Vec<u32>,
}

impl Group {
    fn new(rows: usize, stride: usize) -> Self {
        Self { values: vec![0.0; rows * stride], starts: vec![stride as u32; rows] }
    }
}

impl LazyRows {
    fn new(count: usize, columns: usize) -> Self {
        let groups = (0..count.div_ceil(GROUP)).map(|_| OnceLock::new()).collect();
        Self { count, columns, pad: columns, groups }
    }

    fn stride(&self) -> usize {
        self.pad + self.columns
    }

    fn group(&self, index: usize, compute: impl FnOnce() -> Group) -> &Group {
        self.groups[index].get_or_init(compute)
    }

    fn row(
        &self,
        index: usize,
        compute: impl FnOnce(std::ops::Range<usize>) -> Group,
    ) -> (&[f32], u32) {
        let first = index / GROUP * GROUP;
        let group = self.group(index / GROUP, || compute(first..(first + GROUP).min(self.count)));
        let stride = self.stride();
        let at = (index - first) * stride;
        (&group.values[at..at + stride], group.starts[index - first])
    }
}

/// Columns on either side of a limit that [`smooth_step`] weights with other than 0 or 1.
pub(super) const REACH: i64 = 4;

/// By row and column: the mass of a distribution whose latency, added to that of the column, is
/// within a limit.
pub(super) struct WithinLimit {
    mass: Arc<Distribution>,
    /// In columns, shifts of all stages included.
    limit: f64,
    rows: Vec<OnceLock<Vec<f32>>>,
    /// By column, the sum over all rows.
    pub(super) all: Vec<f64>,
}

impl WithinLimit {
    /// `limit` is in columns, shifts of all stages included.
    pub(super) fn new(mass: Arc<Distribution>, limit: f64) -> Self {
        let all = below_limit(&mass.columns, limit, mass.columns.len());
        let rows = (0..mass.rows.count).map(|_| OnceLock::new()).collect();
        Self { mass, limit, rows, all }
    }

    /// A row up to the last column with mass.
    fn row(&self, index: usize) -> &[f32] {
        self.rows[index].get_or_init(|| {
            let (row, start) = self.mass.row(index);
            let columns = self.mass.rows.columns;
            let end = self.limit as i64 + REACH + 1 - i64::from(start);
            let end = (end.clamp(0, columns as i64) as usize).next_multiple_of(LANES);
            let row: Vec<f64> =
                row[self.mass.rows.pad..].iter().map(|mass| f64::from(*mass)).collect();
            below_limit(&row, self.limit, end).into_iter().map(|mass| mass as f32).collect()
        })
    }

    pub(super) fn bytes(&self) -> usize {
        4 * self.rows.len() * self.all.len() / 2 + 8 * self.all.len()
    }
}

/// For each of the first `count` columns, the mass of `row` up to the limit behind that column.
fn below_limit(row: &[f64], limit: f64, count: usize) -> Vec<f64> {
    let floor = limit.floor() as i64;
    let weights = smooth_step(limit - limit.floor());
    let (mut below, mut next) = (0.0, 0);
    let mut result = vec![0.0; count];
    for (column, result) in result.iter_mut().enumerate().rev() {
        let place = floor - column as i64;
        while next <= place - REACH && next < row.len() as i64 {
            below += row[next as usize];
            next += 1;
        }
        *result = below;
        for (weight, offset) in weights.iter().zip(1 - REACH..) {
            let at = usize::try_from(place + offset).ok();
            *result += weight * at.and_then(|at| row.get(at)).copied().unwrap_or(0.0);
        }
    }
    result
}

/// How much of a bin's mass counts, by its offset (`1 − REACH` to `REACH`) from the bin in which
/// the limit lies, `fraction` behind its middle. The mass below the edge between two bins is that
/// of all bins below, with a correction for the slope (midpoint rule); between edges it is
/// interpolated cubically.
fn smooth_step(fraction: f64) -> [f64; 2 * REACH as usize] {
    // Edge k is half a bin behind the middle of bin k; four of them surround the limit.
    let position = fraction - 0.5;
    let first = if position < 0.0 { -2 } else { -1 };
    let f = position - (first + 1) as f64;
    let cubic = [
        -f * (f - 1.0) * (f - 2.0) / 6.0,
        (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0,
        -(f + 1.0) * f * (f - 2.0) / 2.0,
        (f + 1.0) * f * (f - 1.0) / 6.0,
    ];
    let below = |bin: i64, edge: i64| match bin - edge {
        1 => 1.0 / 24.0,
        0 => 23.0 / 24.0,
        offset => f64::from(u8::from(offset < 0)),
    };
    let mut weights = [0.0; 2 * REACH as usize];
    for (weight, bin) in weights.iter_mut().zip(1 - REACH..) {
        *weight = (first..).zip(cubic).map(|(edge, share)| share * below(bin, edge)).sum();
    }
    weights
}

/// Prefix distribution and the suffix that it is convolved with.
pub(super) type PrefixSuffix<'a> = (&'a Distribution, &'a WithinLimit);

/// Adds to `sums`, for bins of the total loss from row `from` on, `share` times the mass within the
/// limit of the convolved `pairs`.
pub(super) fn add_within(sums: &mut [f64], from: i32, pairs: &[PrefixSuffix<'_>], share: f64) {
    let pairs: Vec<PrefixSuffixRows<'_>> =
        pairs.iter().map(|pair| PrefixSuffixRows::new(*pair, from, sums.len() as i32)).collect();
    let mut products = Vec::new();
    for (sum, row) in sums.iter_mut().zip(from..) {
        products.clear();
        for pair in &pairs {
            pair.products(row, &mut products);
        }
        *sum += share * Arch::new().dispatch(SumProducts(&products));
    }
}

/// The rows of a pair that are needed for some rows of its sum.
struct PrefixSuffixRows<'a> {
    /// Row of the sum to which the first rows of both belong.
    first: i32,
    counts: (i32, i32),
    /// First row of the prefix that is needed, and from it on each row with a multiple of [`LANES`]
    /// before which it holds zeros.
    left: (i32, Vec<(&'a [f32], usize)>),
    /// First row of the suffix that is needed, and all rows from it on.
    right: (i32, Vec<&'a [f32]>),
}

impl<'a> PrefixSuffixRows<'a> {
    fn new((mass, within): PrefixSuffix<'a>, from: i32, rows: i32) -> Self {
        let first = mass.first + within.mass.first;
        let counts = (mass.rows.count as i32, within.rows.len() as i32);
        let needed = |count: i32, other: i32| {
            let low = (from - first + 1 - other).max(0);
            low..(from + rows - first).min(count).max(low)
        };
        let (left, right) = (needed(counts.0, counts.1), needed(counts.1, counts.0));
        let left_row = |index: i32| {
            let (values, start) = mass.row(index as usize);
            (&values[mass.rows.pad..], start as usize / LANES * LANES)
        };
        Self {
            first,
            counts,
            left: (left.start, left.map(left_row).collect()),
            right: (right.start, right.map(|index| within.row(index as usize)).collect()),
        }
    }

    /// The parts of rows whose products belong to a row of the sum.
    fn products(&self, row: i32, products: &mut Vec<(&'a [f32], &'a [f32])>) {
        let offset = row - self.first;
        for index in (offset + 1 - self.counts.1).max(0)..(offset + 1).min(self.counts.0) {
            let (left, start) = self.left.1[(index - self.left.0) as usize];
            let right = self.right.1[(offset - index - self.right.0) as usize];
            if start < right.len() {
                products.push((&left[start..right.len()], &right[start..]));
            }
        }
    }
}

/// The sum of products of slices, which are multiples of [`LANES`] long.
struct SumProducts<'a>(&'a [(&'a [f32], &'a [f32])]);

impl WithSimd for SumProducts<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut sums = [simd.splat_f32s(0.0); 2];
        for (left, right) in self.0 {
            let (left, right) = (S::as_simd_f32s(left).0, S::as_simd_f32s(right).0);
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                sums[index % 2] = simd.mul_add_e_f32s(*left, *right, sums[index % 2]);
            }
        }
        f64::from(simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1])))
    }
}

/// The first and the last row that the convolutions of these pairs can have.
pub(super) fn sum_rows(pairs: &[PrefixSuffix<'_>]) -> Option<(i32, i32)> {
    let low = |(mass, within): &PrefixSuffix<'_>| mass.first + within.mass.first;
    let high = |(mass, within): &PrefixSuffix<'_>| mass.last() + within.mass.last();
    Some((pairs.iter().map(low).min()?, pairs.iter().map(high).max()?))
}
