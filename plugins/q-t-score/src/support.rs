//! On how many rows the best subnets rest, estimated from subnets that are drawn with a fixed seed.

use std::collections::HashMap;

use spacewright_core::{quality::Composition, score::Support, space::Space};

use super::{draw, exact::Exact, rows::Tables};

/// Subnets that are drawn: ten times as many as scores are defined by, so that the best are some
/// hundreds.
const DRAWS: usize = 1_000_000;

/// One entry per stage; `None` where fewer than two of the drawn subnets are feasible. For a space
/// that `tables` hold.
pub(super) fn support(
    tables: &Tables,
    exact: &Exact,
    space: &Space,
    composition: Composition,
    limit_ms: f64,
) -> Option<Vec<Support>> {
    // Scores that do not depend on a seed have a support that does not either.
    let rng = &mut draw::rng(0, space, limit_ms);
    let sample = draw::with_rows(tables, space, composition, limit_ms, DRAWS, rng);
    let losses = &sample.losses;
    let mut ranked: Vec<usize> = (0..losses.len()).collect();
    ranked.sort_unstable_by(|a, b| losses[*a].total_cmp(&losses[*b]).then(a.cmp(b)));
    let weights = exact.weights(DRAWS, ranked.len());
    let best: Vec<(usize, f64)> =
        ranked.into_iter().zip(weights).take_while(|(_, weight)| *weight > 0.0).collect();
    let sum: f64 = best.iter().map(|(_, weight)| weight).sum();
    let squares: f64 = best.iter().map(|(_, weight)| weight * weight).sum();
    let pairs = (best.len() * best.len().saturating_sub(1) / 2) as f64;
    if pairs == 0.0 {
        return None;
    }
    let stage = |(stage, cell): (usize, &super::rows::CellRows)| {
        let mut by_row: HashMap<u32, f64> = HashMap::new();
        for (subnet, weight) in &best {
            *by_row.entry(sample.rows(*subnet)[stage]).or_default() += weight;
        }
        let mut by_row: Vec<f64> = by_row.into_values().collect();
        // Sums depend on the order, which is that of a hash map.
        by_row.sort_unstable_by(f64::total_cmp);
        // That two of the best have the same row; a subnet's pair with itself does not count.
        let same = by_row.iter().map(|weight| weight * weight).sum::<f64>() - squares;
        let effective = (sum * sum - squares) / same.max(0.0);
        let rows = cell.count();
        Support { effective: effective.clamp(1.0, (rows as f64).min(pairs).max(1.0)), rows }
    };
    Some(tables.cells_of(space).into_iter().enumerate().map(stage).collect())
}
