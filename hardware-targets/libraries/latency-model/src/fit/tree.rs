//! Growing one oblivious tree.

use super::bins::Bins;
use crate::model::Tree;

/// The largest step of one leaf.
const LARGEST_STEP: f64 = 0.5;

/// Leaves are whole multiples of this, so that files are short. Later trees make up for the rest.
const LEAF_UNIT: f64 = 1e-5;

/// Buffers that all trees of a fit share.
#[derive(Default)]
pub(super) struct Grower {
    /// Of each kernel the path so far.
    pub paths: Vec<u8>,
    /// Slopes and curvatures by path and bin.
    cells: Vec<[f64; 2]>,
    gains: Vec<f64>,
}

impl Grower {
    /// Grows a tree: at each level the split, the same for all paths, with the largest sum of
    /// slope² / (curvature + shrinkage); the first feature and the first edge of equals. Leaves
    /// are Newton's steps times `rate`. Each kernel has a slope and a curvature.
    pub fn grow(
        &mut self,
        bins: &Bins,
        slopes: &[[f64; 2]],
        depth: usize,
        shrinkage: f64,
        rate: f64,
    ) -> Tree {
        self.paths.clear();
        self.paths.resize(slopes.len(), 0);
        let mut splits = Vec::with_capacity(depth);
        for level in 0..depth {
            let Some((feature, edge)) = self.best(bins, slopes, level, shrinkage) else { break };
            for (path, bin) in self.paths.iter_mut().zip(&bins.columns[feature]) {
                *path = *path << 1 | u8::from(*bin > edge);
            }
            splits.push((feature as u8, edge));
        }
        let mut sums = vec![[0.0; 2]; 1 << splits.len()];
        for (path, of) in self.paths.iter().zip(slopes) {
            let sum = &mut sums[usize::from(*path)];
            *sum = [sum[0] + of[0], sum[1] + of[1]];
        }
        let leaf = |[slope, curvature]: &[f64; 2]| {
            let step = (-slope / (curvature + shrinkage)).clamp(-LARGEST_STEP, LARGEST_STEP);
            // Adding zero makes -0 a 0.
            ((rate * step / LEAF_UNIT).round() * LEAF_UNIT) as f32 + 0.0
        };
        Tree { splits, leaves: sums.iter().map(leaf).collect() }
    }

    fn best(
        &mut self,
        bins: &Bins,
        slopes: &[[f64; 2]],
        level: usize,
        shrinkage: f64,
    ) -> Option<(usize, u8)> {
        let mut best = None;
        let mut largest = f64::NEG_INFINITY;
        for (feature, column) in bins.columns.iter().enumerate() {
            let width = bins.edges[feature].len() + 1;
            if width < 2 {
                continue;
            }
            self.cells.clear();
            self.cells.resize(width << level, [0.0; 2]);
            for ((path, bin), of) in self.paths.iter().zip(column).zip(slopes) {
                let cell = &mut self.cells[usize::from(*path) * width + usize::from(*bin)];
                *cell = [cell[0] + of[0], cell[1] + of[1]];
            }
            self.gains.clear();
            self.gains.resize(width - 1, 0.0);
            for cells in self.cells.chunks(width) {
                add_gains(&mut self.gains, cells, shrinkage);
            }
            for (edge, gain) in self.gains.iter().enumerate() {
                if *gain > largest {
                    largest = *gain;
                    best = Some((feature, edge as u8));
                }
            }
        }
        best
    }
}

/// Adds what each edge gains in the cells of one path.
fn add_gains(gains: &mut [f64], cells: &[[f64; 2]], shrinkage: f64) {
    let sum = |index: usize| cells.iter().map(|cell| cell[index]).sum::<f64>();
    let (slope, curvature) = (sum(0), sum(1));
    if curvature == 0.0 {
        return;
    }
    let (mut below, mut weight, mut gain) = (0.0, 0.0, slope * slope / (curvature + shrinkage));
    for (total, cell) in gains.iter_mut().zip(cells) {
        // Most cells are empty: an edge beside one gains what its neighbour does.
        if cell[1] != 0.0 {
            below += cell[0];
            weight += cell[1];
            let above = slope - below;
            gain = below * below / (weight + shrinkage)
                + above * above / (curvature - weight + shrinkage);
        }
        *total += gain;
    }
}
