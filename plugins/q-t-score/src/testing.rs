//! A small hyperspace and made-up tables for tests.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    quality::{Cell, Composition, FixedLatency, HeadRow, ScoreColumns, StemRow},
    score::ScoreProblem,
    space::Hyperspace,
};

/// In milliseconds: a tight limit and a wide one.
pub const LIMITS: [f64; 2] = [5.0, 8.0];

/// Named `mini`.
pub fn hyperspace() -> Hyperspace {
    toml::from_str(include_str!("../../spaceevo/hyperspaces/mini.toml")).unwrap()
}

/// Every stage with every block and window.
pub fn all_cells(hyperspace: &Hyperspace) -> Vec<Cell> {
    let stages = hyperspace.stages.iter().enumerate();
    let blocks = stages.flat_map(|(at, stage)| {
        (0..hyperspace.candidates.len()).map(move |block| (at, stage, block))
    });
    blocks
        .flat_map(|(stage, of, block)| {
            (0..of.windows()).map(move |window| Cell { stage, block, window })
        })
        .collect()
}

/// Tables of `rows` rows per input width, whose loss falls with latency but for chance.
pub fn problem(hyperspace: &Hyperspace, composition: Composition, rows: usize) -> ScoreProblem {
    let rng = &mut Pcg64Mcg::seed_from_u64(5);
    let mut cells = BTreeMap::new();
    for cell in all_cells(hyperspace) {
        let mut columns = ScoreColumns::default();
        for &input_width in hyperspace.input_widths(cell.stage) {
            for row in 0..rows {
                let widths = hyperspace.stages[cell.stage].window_widths(cell.window);
                let latency_ms = rng.random_range(0.2..4.0_f64);
                columns.input_width.push(input_width as u32);
                columns.output_width.push(widths[row % widths.len()] as u32);
                columns.resolution.push(32);
                columns.macs.push(0);
                columns.params.push(0);
                columns.loss.push(0.6 - 0.1 * latency_ms.ln() + rng.random_range(0.0..0.2));
                columns.latency_ms.push(latency_ms);
            }
        }
        cells.insert(cell, columns);
    }
    let stem = [0.3, 0.5].map(|latency_ms| StemRow { width: 16, resolution: 32, latency_ms });
    let last = hyperspace.input_widths(hyperspace.stages.len());
    let head = last.iter().map(|&width| HeadRow {
        width,
        resolution: 32,
        latency_ms: width as f64 / 200.0,
    });
    ScoreProblem {
        hyperspace: hyperspace.clone(),
        cells,
        fixed: FixedLatency::Predicted { stem: stem.to_vec(), head: head.collect() },
        constraints_ms: LIMITS.to_vec(),
        composition,
    }
}
