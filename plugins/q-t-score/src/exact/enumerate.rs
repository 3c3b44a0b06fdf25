//! All subnets of a small space, one by one.

use spacewright_core::{quality::Composition, space::Space};

use super::super::rows::{StemAndHead, SubStageRow, Tables};

/// One combination of rows of quality tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Subnet {
    pub(super) loss: f64,
    pub(super) latency_ms: f64,
    /// Its share of the space.
    pub(super) mass: f64,
}

/// Every subnet of a space.
pub(super) fn subnets(tables: &Tables, space: &Space, composition: Composition) -> Vec<Subnet> {
    let cells = tables.cells_of(space);
    let share = 1.0 / tables.fixed.len() as f64;
    let mut all = Vec::new();
    for fixed in &tables.fixed {
        let rows = |stage: usize, width: u32| match composition {
            Composition::Independent => cells[stage].at_resolution(fixed.index),
            Composition::Consistent => cells[stage].at_input(fixed.index, width),
        };
        for stem in &fixed.stem {
            let mass = share / fixed.stem.len() as f64;
            let subnet = Subnet { loss: 0.0, latency_ms: stem.latency_ms, mass };
            extend(fixed, cells.len(), 0, stem.width, subnet, &rows, &mut all);
        }
    }
    all
}

fn extend<'a>(
    fixed: &StemAndHead,
    stages: usize,
    stage: usize,
    width: u32,
    subnet: Subnet,
    rows: &impl Fn(usize, u32) -> &'a [SubStageRow],
    all: &mut Vec<Subnet>,
) {
    if stage == stages {
        let latency_ms = subnet.latency_ms + fixed.head[width as usize];
        all.push(Subnet { latency_ms, ..subnet });
        return;
    }
    let next = rows(stage, width);
    for row in next {
        let longer = Subnet {
            loss: subnet.loss + row.loss,
            latency_ms: subnet.latency_ms + row.latency_ms,
            mass: subnet.mass / next.len() as f64,
        };
        extend(fixed, stages, stage + 1, row.width, longer, rows, all);
    }
}
