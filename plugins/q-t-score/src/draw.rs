//! Drawing subnets: the summed losses of those within a latency limit.

use rand::RngCore;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{quality::Composition, random, space::Space};

use super::{
    QtOptions,
    rows::{StemAndHead, SubStageRow, Tables},
};

/// The generator of one space and limit: neither threads nor other spaces change its draws.
pub(super) fn rng(seed: u64, space: &Space, limit_ms: f64) -> Pcg64Mcg {
    random::generator(seed, &["q-t", &space.to_string(), &limit_ms.to_string()])
}

/// A number below `count`: multiply and shift, whose bias is below `count` / 2³².
fn below(count: u32, rng: &mut Pcg64Mcg) -> usize {
    ((u64::from(rng.next_u32()) * u64::from(count)) >> 32) as usize
}

/// A subnet that is being drawn, stage by stage.
struct Drawn<'a> {
    fixed: &'a StemAndHead,
    latency_ms: f64,
    loss: f64,
    width: u32,
}

impl<'a> Drawn<'a> {
    fn start(fixed: &'a StemAndHead, rng: &mut Pcg64Mcg) -> Self {
        let stem = &fixed.stem[below(fixed.stem.len() as u32, rng)];
        Self { fixed, latency_ms: stem.latency_ms, loss: 0.0, width: stem.width }
    }

    /// Takes one of the rows, and says which by its position in the quality table.
    fn take(&mut self, rows: &[SubStageRow], rng: &mut Pcg64Mcg) -> u32 {
        let row = &rows[below(rows.len() as u32, rng)];
        self.latency_ms += row.latency_ms;
        self.loss += row.loss;
        self.width = row.width;
        row.index
    }

    /// The summed loss, if the subnet keeps to the limit with its head.
    fn loss_within(self, limit_ms: f64) -> Option<f64> {
        let latency_ms = self.latency_ms + self.fixed.head[self.width as usize];
        (latency_ms <= limit_ms).then_some(self.loss)
    }
}

/// Every stage's row drawn on its own; one resolution per batch.
pub(super) fn independent(
    tables: &Tables,
    space: &Space,
    limit_ms: f64,
    options: &QtOptions,
    rng: &mut Pcg64Mcg,
) -> Vec<f64> {
    let cells = tables.cells_of(space);
    let mut losses = Vec::new();
    let mut left = options.draws;
    while left > 0 {
        let batch = options.batch.min(left);
        left -= batch;
        let fixed = &tables.fixed[below(tables.fixed.len() as u32, rng)];
        let slices: Vec<_> = cells.iter().map(|cell| cell.at_resolution(fixed.index)).collect();
        for _ in 0..batch {
            let mut subnet = Drawn::start(fixed, rng);
            for rows in &slices {
                subnet.take(rows, rng);
            }
            losses.extend(subnet.loss_within(limit_ms));
        }
    }
    losses
}

/// Networks that exist: each row's input width is the width that was reached.
pub(super) fn consistent(
    tables: &Tables,
    space: &Space,
    limit_ms: f64,
    draws: usize,
    rng: &mut Pcg64Mcg,
) -> Vec<f64> {
    let cells = tables.cells_of(space);
    let mut losses = Vec::new();
    for _ in 0..draws {
        let fixed = &tables.fixed[below(tables.fixed.len() as u32, rng)];
        let mut subnet = Drawn::start(fixed, rng);
        for cell in &cells {
            subnet.take(cell.at_input(fixed.index, subnet.width), rng);
        }
        losses.extend(subnet.loss_within(limit_ms));
    }
    losses
}

/// The feasible ones of drawn subnets with their rows.
pub(super) struct Sample {
    pub(super) losses: Vec<f64>,
    stages: usize,
    /// By subnet, then by stage: positions in the quality tables.
    rows: Vec<u32>,
}

impl Sample {
    pub(super) fn rows(&self, subnet: usize) -> &[u32] {
        &self.rows[subnet * self.stages..][..self.stages]
    }
}

/// Draws subnets, each at its own resolution.
pub(super) fn with_rows(
    tables: &Tables,
    space: &Space,
    composition: Composition,
    limit_ms: f64,
    draws: usize,
    rng: &mut Pcg64Mcg,
) -> Sample {
    let cells = tables.cells_of(space);
    let mut sample = Sample { losses: Vec::new(), stages: cells.len(), rows: Vec::new() };
    for _ in 0..draws {
        let fixed = &tables.fixed[below(tables.fixed.len() as u32, rng)];
        let mut subnet = Drawn::start(fixed, rng);
        for cell in &cells {
            let rows = match composition {
                Composition::Independent => cell.at_resolution(fixed.index),
                Composition::Consistent => cell.at_input(fixed.index, subnet.width),
            };
            sample.rows.push(subnet.take(rows, rng));
        }
        match subnet.loss_within(limit_ms) {
            Some(loss) => sample.losses.push(loss),
            None => sample.rows.truncate(sample.losses.len() * cells.len()),
        }
    }
    sample
}
