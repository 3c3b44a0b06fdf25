//! Moments of the halves of spaces: `E[exp(−s L − q T); T in a bin]` over the subnets of a half, `L` being their
//! summed loss above the least of the stages, and `T` their summed latency.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use spacewright_core::{
    quality::{Cell, Composition},
    space::Halves,
};

use super::{
    super::rows::{CellRows, SubStageRow, Tables},
    Rates,
};

/// Bins in which latencies of single stages are counted, for each bin of a half.
const FINER: usize = 4;

/// What moments are of: tables, and how subnets are drawn from them.
pub(super) struct Source<'a> {
    pub(super) tables: &'a Tables,
    composition: Composition,
    /// The least of any row, by stage: losses and latencies are counted from there.
    least: Vec<Least>,
    /// The least latency of a stem; 0 at most.
    least_stem_ms: f64,
}

#[derive(Clone, Copy)]
struct Least {
    loss: f64,
    /// Head included; 0 at most. Predicted latencies may be negative.
    latency_ms: f64,
}

impl<'a> Source<'a> {
    pub(super) fn new(tables: &'a Tables, composition: Composition) -> Self {
        let least = |stage| Least {
            loss: tables.least_loss_of(stage),
            latency_ms: tables.least_latency_of(stage).min(0.0),
        };
        let stems = tables.fixed.iter().flat_map(|fixed| &fixed.stem);
        Self {
            tables,
            composition,
            least: (0..tables.stages()).map(least).collect(),
            least_stem_ms: stems.map(|stem| stem.latency_ms).fold(0.0, f64::min),
        }
    }

    /// A lower bound of the summed loss of all subnets of all spaces, above 0.
    pub(super) fn least_loss(&self) -> f64 {
        self.least.iter().map(|least| least.loss).sum::<f64>().max(f64::MIN_POSITIVE)
    }

    /// A latency limit, counted as latencies are.
    pub(super) fn counted(&self, limit_ms: f64) -> f64 {
        limit_ms - self.least_stem_ms - self.least.iter().map(|least| least.latency_ms).sum::<f64>()
    }

    /// How many widths are told apart at the input of a stage, or of the head.
    fn states(&self, stage: usize) -> usize {
        match self.composition {
            Composition::Consistent => self.tables.input_widths(stage),
            Composition::Independent => 1,
        }
    }

    /// Moments of one half at one bin of latency: by resolution and width between the halves.
    pub(super) fn dimensions(&self, halves: &Halves) -> usize {
        self.tables.fixed.len() * self.states(halves.first().len())
    }
}

/// Moments of all halves at one pair of rates, for one latency limit.
///
/// With bins, latencies are rounded down: subnets whose bins keep to the limit are at least those that do.
pub(super) struct Moments {
    /// Entries of each half.
    width: usize,
    first: Vec<f32>,
    last: Vec<f32>,
}

impl Moments {
    /// In `bins` bins of latency up to the limit; one bin holds all.
    pub(super) fn new(
        source: &Source<'_>,
        halves: &Halves,
        limit_ms: f64,
        rates: Rates,
        bins: usize,
    ) -> Self {
        let computation = Computation::new(source, limit_ms, rates, bins);
        let width = source.dimensions(halves) * bins;
        let mut first = vec![0.0; halves.first_count() * width];
        let mut last = vec![0.0; halves.last_count() * width];
        let stages = |half: &[Vec<Cell>], to_end| {
            half.iter().map(|cells| computation.stage(cells, to_end)).collect::<Vec<_>>()
        };
        computation.expand(&stages(halves.first(), true), &computation.stem(), &mut first, true);
        computation.expand(&stages(halves.last(), false), &computation.end(), &mut last, false);
        Self { width, first, last }
    }

    /// An upper bound of `E[exp(−s L − q T); T within the limit]`, but for rounding errors of single precision.
    pub(super) fn of_pair(&self, first: usize, last: usize) -> f32 {
        let (first, last) = (self.first(first), self.last(last));
        // So short ones fill no vector register.
        if self.width < 16 { sum_of_products(first, last) } else { product(first, last) }
    }

    /// Of one first half with each last half.
    pub(super) fn of_first(&self, first: usize) -> impl Iterator<Item = f32> + '_ {
        let first = self.first(first);
        self.last.chunks_exact(self.width).map(move |last| sum_of_products(first, last))
    }

    fn first(&self, half: usize) -> &[f32] {
        &self.first[half * self.width..][..self.width]
    }

    fn last(&self, half: usize) -> &[f32] {
        &self.last[half * self.width..][..self.width]
    }
}

fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The same with vector registers.
fn product(a: &[f32], b: &[f32]) -> f32 {
    struct Product<'a>(&'a [f32], &'a [f32]);
    impl WithSimd for Product<'_> {
        type Output = f32;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let (a, rest_a) = S::as_simd_f32s(self.0);
            let (b, rest_b) = S::as_simd_f32s(self.1);
            let mut sums = [simd.splat_f32s(0.0); 4];
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                sums[index % 4] = simd.mul_add_e_f32s(*a, *b, sums[index % 4]);
            }
            let pairs = (simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
            simd.reduce_sum_f32s(simd.add_f32s(pairs.0, pairs.1)) + sum_of_products(rest_a, rest_b)
        }
    }
    Arch::new().dispatch(Product(a, b))
}

/// How moments are computed: stage by stage, from the outside inwards.
struct Computation<'a> {
    source: &'a Source<'a>,
    rates: Rates,
    bins: usize,
    /// Bins of latency in which stages are counted; those of a half lie [`FINER`] times as far apart.
    fine: usize,
    /// Width of a fine bin in milliseconds.
    bin_ms: f64,
}

/// One cell's moments: by resolution, state that is come from and state that is gone to.
struct StageMoments(Vec<Vec<Tap>>);

/// A bin that holds rows.
#[derive(Clone, Copy)]
struct Tap {
    bin: usize,
    moment: f32,
}

/// The cells of one stage, and how many states there are before and behind it on the way inwards.
struct StageOfHalf {
    from: usize,
    to: usize,
    /// `None` where a table is missing: no space of it can be scored.
    cells: Vec<Option<StageMoments>>,
}

impl<'a> Computation<'a> {
    fn new(source: &'a Source<'a>, limit_ms: f64, rates: Rates, bins: usize) -> Self {
        let fine = if bins == 1 { 1 } else { bins * FINER };
        // A little wider, as quotients are rounded; infinitely wide for a single bin.
        let bin_ms = source.counted(limit_ms) / (fine - 1) as f64 * (1.0 + 1e-9);
        Self { source, rates, bins, fine, bin_ms }
    }

    fn resolutions(&self) -> usize {
        self.source.tables.fixed.len()
    }

    /// Adds a moment where latencies are within the limit.
    fn add(&self, moments: &mut [f32], latency_ms: f64, moment: f64) {
        if let Some(sum) = moments.get_mut((latency_ms / self.bin_ms) as usize) {
            *sum += moment as f32;
        }
    }

    /// Of stems: by resolution, width and bin, as a share of all resolutions.
    fn stem(&self) -> Vec<f32> {
        let states = self.source.states(0);
        let mut moments = vec![0.0; self.resolutions() * states * self.fine];
        let of_resolution = moments.chunks_exact_mut(states * self.fine);
        for (fixed, moments) in self.source.tables.fixed.iter().zip(of_resolution) {
            let share = 1.0 / (fixed.stem.len() * self.resolutions()) as f64;
            for stem in &fixed.stem {
                let state = if states == 1 { 0 } else { stem.width as usize };
                let latency_ms = stem.latency_ms - self.source.least_stem_ms;
                let moment = share * (-self.rates.latency * latency_ms).exp();
                self.add(&mut moments[state * self.fine..][..self.fine], latency_ms, moment);
            }
        }
        moments
    }

    /// Of no stage, behind the last one.
    fn end(&self) -> Vec<f32> {
        let states = self.source.states(self.source.tables.stages());
        let mut moments = vec![0.0; self.resolutions() * states * self.fine];
        moments.iter_mut().step_by(self.fine).for_each(|moment| *moment = 1.0);
        moments
    }

    /// Of the cells of one stage, on the way to the end or back.
    fn stage(&self, cells: &[Cell], to_end: bool) -> StageOfHalf {
        let stage = cells.first().map_or(0, |cell| cell.stage);
        let (inputs, outputs) = (self.source.states(stage), self.source.states(stage + 1));
        let (from, to) = if to_end { (inputs, outputs) } else { (outputs, inputs) };
        let cell = |cell: &Cell| {
            let rows = self.source.tables.cells.get(cell)?;
            Some(self.cell(*cell, rows, to_end, (inputs, outputs)))
        };
        StageOfHalf { from, to, cells: cells.par_iter().map(cell).collect() }
    }

    fn cell(
        &self,
        cell: Cell,
        rows: &CellRows,
        to_end: bool,
        (inputs, outputs): (usize, usize),
    ) -> StageMoments {
        let tables = self.source.tables;
        let is_last = cell.stage + 1 == tables.stages();
        let least = self.source.least[cell.stage];
        let mut taps = Vec::with_capacity(self.resolutions() * inputs * outputs);
        for fixed in &tables.fixed {
            // By input and output.
            let mut moments = vec![vec![0.0; self.fine]; inputs * outputs];
            for (input, moments) in moments.chunks_exact_mut(outputs).enumerate() {
                let rows: &[SubStageRow] = match self.source.composition {
                    Composition::Independent => rows.at_resolution(fixed.index),
                    Composition::Consistent => rows.at_input(fixed.index, input as u32),
                };
                for row in rows {
                    let head = if is_last { fixed.head[row.width as usize] } else { 0.0 };
                    // A head of unknown latency belongs to a space that cannot be scored.
                    let head = if head.is_finite() { head } else { 0.0 };
                    let latency_ms = row.latency_ms + head - least.latency_ms;
                    let exponent =
                        self.rates.loss * (row.loss - least.loss) + self.rates.latency * latency_ms;
                    let state = if outputs == 1 { 0 } else { row.width as usize };
                    let share = 1.0 / rows.len() as f64;
                    self.add(&mut moments[state], latency_ms, share * (-exponent).exp());
                }
            }
            let place = |from: usize, to: usize| match to_end {
                true => from * outputs + to,
                false => to * outputs + from,
            };
            let (from, to) = if to_end { (inputs, outputs) } else { (outputs, inputs) };
            let pairs = (0..from).flat_map(|from| (0..to).map(move |to| (from, to)));
            taps.extend(pairs.map(|(from, to)| taps_of(&moments[place(from, to)])));
        }
        StageMoments(taps)
    }

    /// Writes the moments of all halves with these stages, behind `before`, into `result`.
    fn expand(&self, stages: &[StageOfHalf], before: &[f32], result: &mut [f32], to_end: bool) {
        let Some((stage, inwards)) = stages.split_first() else {
            self.write(before, result, to_end);
            return;
        };
        let each = result.len() / stage.cells.len().max(1);
        let choices = result.par_chunks_mut(each.max(1)).zip(&stage.cells);
        choices.for_each(|(result, cell)| {
            if let Some(cell) = cell {
                self.expand(inwards, &self.convolved(stage, cell, before), result, to_end);
            }
        });
    }

    fn convolved(&self, stage: &StageOfHalf, cell: &StageMoments, before: &[f32]) -> Vec<f32> {
        let mut after = vec![0.0; self.resolutions() * stage.to * self.fine];
        for (at, after) in after.chunks_exact_mut(self.fine).enumerate() {
            let (resolution, to) = (at / stage.to, at % stage.to);
            let of_resolution = stage.from * self.fine;
            let before = before[resolution * of_resolution..][..of_resolution].chunks(self.fine);
            for (from, before) in before.enumerate() {
                let taps = &cell.0[(resolution * stage.from + from) * stage.to + to];
                Arch::new().dispatch(|| convolve(after, before, taps));
            }
        }
        after
    }

    /// First halves by the bin of their latency; last ones by the bin of what is before them: what keeps to
    /// the limit behind that.
    fn write(&self, moments: &[f32], result: &mut [f32], to_end: bool) {
        let step = self.fine / self.bins;
        let bins = result.chunks_exact_mut(self.bins).zip(moments.chunks_exact(self.fine));
        for (result, fine) in bins {
            if to_end {
                let sums = fine.chunks_exact(step).map(|fine| fine.iter().sum::<f32>());
                result.iter_mut().zip(sums).for_each(|(result, sum)| *result = sum);
                continue;
            }
            let (mut sum, mut counted) = (0.0, 0);
            for (bin, result) in result.iter_mut().enumerate().rev() {
                let end = self.fine - bin * step;
                sum += fine[counted..end].iter().sum::<f32>();
                counted = end;
                *result = sum;
            }
        }
    }
}

fn taps_of(moments: &[f32]) -> Vec<Tap> {
    let held = moments.iter().enumerate().filter(|(_, moment)| **moment != 0.0);
    held.map(|(bin, moment)| Tap { bin, moment: *moment }).collect()
}

#[inline(always)]
fn convolve(to: &mut [f32], from: &[f32], taps: &[Tap]) {
    for tap in taps {
        for (to, from) in to[tap.bin..].iter_mut().zip(from) {
            *to += tap.moment * from;
        }
    }
}
