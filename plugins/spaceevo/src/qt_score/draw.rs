//! Drawing subnets: the summed losses of those within a latency limit.

use rand::RngCore;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{random, space::Space};

use super::{QtOptions, rows::Tables};

/// The generator of one space and limit: neither threads nor other spaces change its draws.
pub(super) fn rng(seed: u64, space: &Space, limit_ms: f64) -> Pcg64Mcg {
    random::generator(seed, &["q-t", &space.to_string(), &limit_ms.to_string()])
}

/// A number below `count`: multiply and shift, whose bias is below `count` / 2³².
fn below(count: u32, rng: &mut Pcg64Mcg) -> usize {
    ((u64::from(rng.next_u32()) * u64::from(count)) >> 32) as usize
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
            let mut latency_ms = fixed.stem[below(fixed.stem.len() as u32, rng)].latency_ms;
            let mut loss = 0.0;
            let mut width = 0;
            for rows in &slices {
                let row = &rows[below(rows.len() as u32, rng)];
                latency_ms += row.latency_ms;
                loss += row.loss;
                width = row.width;
            }
            if latency_ms + fixed.head[width as usize] <= limit_ms {
                losses.push(loss);
            }
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
        let stem = &fixed.stem[below(fixed.stem.len() as u32, rng)];
        let mut latency_ms = stem.latency_ms;
        let mut loss = 0.0;
        let mut width = stem.width;
        for cell in &cells {
            let rows = cell.at_input(fixed.index, width);
            let row = &rows[below(rows.len() as u32, rng)];
            latency_ms += row.latency_ms;
            loss += row.loss;
            width = row.width;
        }
        if latency_ms + fixed.head[width as usize] <= limit_ms {
            losses.push(loss);
        }
    }
    losses
}
