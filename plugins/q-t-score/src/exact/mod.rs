//! The expected result of the published Monte-Carlo procedure, computed without drawing.
//!
//! With `N` draws of which the `K` best are averaged, the mean loss of the best is
//! `A = ∫ x dW(u) / W(p)`, over the loss `x` of the feasible subnets in rising order, `u` being
//! the feasible share below `x`, `p` the feasible share, and `W` as in [`TopShare`]. Draws are a
//! mixture over resolutions.
//!
//! Spaces with few subnets are enumerated. For others, (loss, latency) is distributed over a grid
//! and the stages' distributions are combined (module `grid`); both halves of a space are kept for
//! other spaces that share them (module `partial`).

mod enumerate;
mod grid;
mod partial;
mod top;

use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use spacewright_core::{quality::Composition, space::Space};

use super::rows::Tables;
use enumerate::Subnet;
use grid::{PrefixSuffix, Steps};
use partial::{Partials, Prefix, Suffix};
pub(crate) use top::TopShare;

/// Spaces with up to this many subnets are enumerated, which is exact; more are put on a grid, which
/// takes the same time for any number.
const ENUMERATED: usize = 1 << 17;
/// Bins per standard deviation of a random subnet's loss: more are slower and more exact. How exact
/// these are, `Analysis::error_bound` says.
const LOSS_BINS: f64 = 11.0;
/// Bins of latency up to the tightest limit, at least: more are slower and more exact.
const LATENCY_BINS: f64 = 64.0;
/// How much narrower bins are on the grid from which errors of the usual one are estimated.
const FINER: f64 = 2.0;
/// How many times as wide as the tightest limit of a grid the others of it may be: bins have to be narrow beside the
/// former, and enough for the latter.
const FARTHEST: f64 = 7.0;
/// Rows of the grid that are summed at a time, until they hold the share that counts.
const CHUNK: usize = 16;

/// What a space offers within one latency limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BestSubnets {
    /// Share of its subnets within the limit.
    pub(super) feasible: f64,
    /// Mean summed loss of the best of them; `None` where there are none.
    pub(super) loss: Option<f64>,
}

pub(super) struct Exact {
    composition: Composition,
    limits_ms: Vec<f64>,
    top: TopShare,
    method: Method,
}

enum Method {
    Enumeration,
    /// One for limits that are not far apart from each other, the tightest first.
    Grids(Vec<Grids>),
}

struct Grids {
    /// Which of the limits.
    limits: Vec<usize>,
    usual: Partials,
    /// With bins half as wide.
    finer: OnceLock<Partials>,
}

impl Exact {
    pub(super) fn new(
        tables: &Tables,
        composition: Composition,
        limits_ms: &[f64],
        top: TopShare,
    ) -> Self {
        let method = if tables.most_subnets(composition) <= ENUMERATED {
            Method::Enumeration
        } else {
            // Losses that do not vary need no bins.
            let deviation = tables.typical_deviation();
            let loss = if deviation > 0.0 { deviation / LOSS_BINS } else { 1.0 };
            let grids = |limits: Vec<usize>| {
                let limits_ms: Vec<f64> = limits.iter().map(|&limit| limits_ms[limit]).collect();
                let steps = steps(&limits_ms, tables.stages(), loss, LATENCY_BINS);
                let usual = Partials::new(tables, composition, &limits_ms, steps);
                Grids { limits, usual, finer: OnceLock::new() }
            };
            Method::Grids(near_limits(limits_ms).into_iter().map(grids).collect())
        };
        Self { composition, limits_ms: limits_ms.to_vec(), top, method }
    }

    /// One entry per limit, for a space that `tables` hold.
    pub(super) fn best(&self, tables: &Tables, space: &Space) -> Vec<BestSubnets> {
        match &self.method {
            Method::Enumeration => {
                self.of_subnets(enumerate::subnets(tables, space, self.composition))
            }
            Method::Grids(grids) => self.on_grids(grids, space, |grids| &grids.usual),
        }
    }

    /// The same on a grid with bins half as wide, `None` where subnets are enumerated.
    pub(super) fn finer(&self, tables: &Tables, space: &Space) -> Option<Vec<BestSubnets>> {
        let Method::Grids(grids) = &self.method else { return None };
        let finer = |Grids { limits, usual, .. }: &Grids| {
            let limits: Vec<f64> = limits.iter().map(|&limit| self.limits_ms[limit]).collect();
            let (loss, bins) = (usual.steps.loss / FINER, LATENCY_BINS * FINER);
            let steps = steps(&limits, tables.stages(), loss, bins);
            Partials::new(tables, self.composition, &limits, steps)
        };
        Some(self.on_grids(grids, space, |grids| grids.finer.get_or_init(|| finer(grids))))
    }

    fn of_subnets(&self, mut subnets: Vec<Subnet>) -> Vec<BestSubnets> {
        subnets.sort_unstable_by(|a, b| a.loss.total_cmp(&b.loss));
        let best = |limit: &f64| {
            let (mut feasible, mut below, mut sum) = (0.0, 0.0, 0.0);
            for subnet in subnets.iter().filter(|subnet| subnet.latency_ms <= *limit) {
                feasible += subnet.mass;
                let within = self.top.at(feasible);
                sum += subnet.loss * (within - below);
                below = within;
            }
            // A sum of all shares may end a rounding error above 1.
            BestSubnets { feasible: feasible.min(1.0), loss: (below > 0.0).then(|| sum / below) }
        };
        self.limits_ms.iter().map(best).collect()
    }

    /// One entry per limit, from those of each grid.
    fn on_grids<'g>(
        &self,
        grids: &'g [Grids],
        space: &Space,
        partials: impl Fn(&'g Grids) -> &'g Partials,
    ) -> Vec<BestSubnets> {
        let mut best = vec![BestSubnets { feasible: 0.0, loss: None }; self.limits_ms.len()];
        for of_grid in grids {
            let partials = partials(of_grid);
            let halves = Halves::of(partials, space);
            for (index, &limit) in of_grid.limits.iter().enumerate() {
                best[limit] = self.on_grid_within(&halves.within(index), &partials.steps);
            }
        }
        best
    }

    fn on_grid_within(&self, sums: &Sums<'_>, steps: &Steps) -> BestSubnets {
        // `W` at the edge behind each row; the edge's share is the mass below it, with a
        // correction for the slope there (midpoint rule).
        let (mut below, mut within, mut sum) = (0.0, 0.0, 0.0);
        sums.rows(|row, mass, next| {
            below += mass;
            let edge = self.top.at(below + (next - mass) / 24.0);
            sum += f64::from(row) * (edge - within);
            within = edge;
            if below > self.top.end() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let loss = (within > 0.0).then(|| sum / within * steps.loss);
        BestSubnets { feasible: sums.feasible().clamp(0.0, 1.0), loss }
    }

    /// Losses of the feasible subnets under one limit, rising, each with its share of all subnets:
    /// of single subnets, or of bins of the grid at their middle.
    pub(super) fn distribution(
        &self,
        tables: &Tables,
        space: &Space,
        limit: usize,
    ) -> Vec<(f64, f64)> {
        let grids = match &self.method {
            Method::Grids(grids) => grids,
            Method::Enumeration => {
                let subnets = enumerate::subnets(tables, space, self.composition).into_iter();
                let feasible = subnets.filter(|subnet| subnet.latency_ms <= self.limits_ms[limit]);
                let mut points: Vec<(f64, f64)> =
                    feasible.map(|subnet| (subnet.loss, subnet.mass)).collect();
                points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
                return points;
            }
        };
        let mut points = Vec::new();
        for Grids { limits, usual, .. } in grids {
            let Some(index) = limits.iter().position(|other| *other == limit) else { continue };
            Halves::of(usual, space).within(index).rows(|row, mass, _| {
                if mass != 0.0 {
                    points.push((f64::from(row) * usual.steps.loss, mass));
                }
                ControlFlow::Continue(())
            });
        }
        points
    }

    /// The weights `w(u)` of subnets that are drawn at random: of all that were drawn, the feasible
    /// ones by rising loss. Sums up to at most the share that is averaged.
    pub(super) fn weights(&self, drawn: usize, feasible: usize) -> impl Iterator<Item = f64> + '_ {
        let edge = move |rank: usize| self.top.at(rank as f64 / drawn as f64);
        (0..feasible).map(move |rank| edge(rank + 1) - edge(rank))
    }
}

/// A space in two halves.
struct Halves {
    prefix: Arc<Prefix>,
    /// With the state between the halves: a width, or 0 in independent composition.
    suffixes: Vec<(usize, Arc<Suffix>)>,
}

impl Halves {
    fn of(partials: &Partials, space: &Space) -> Self {
        let half = space.blocks.len().div_ceil(2);
        let prefix = partials.prefix(space, half);
        let states = prefix.first().map_or(0, Vec::len);
        let reached = |state: &usize| prefix.iter().any(|masses| masses[*state].is_some());
        let suffixes = (0..states)
            .filter(reached)
            .map(|state| (state, partials.within(space, half, state)))
            .collect();
        Self { prefix, suffixes }
    }

    /// The two halves convolved, under one limit.
    fn within(&self, limit: usize) -> Sums<'_> {
        let parts = self.prefix.iter().enumerate().map(|(resolution, masses)| {
            let pairs = self.suffixes.iter().filter_map(|(state, suffix)| {
                Some((masses[*state].as_deref()?, &suffix[resolution][limit]))
            });
            pairs.collect()
        });
        Sums { parts: parts.collect(), share: 1.0 / self.prefix.len() as f64 }
    }
}

/// The mass of a space within one limit, by bins of the summed loss.
struct Sums<'a> {
    /// By resolution, and by the state between the halves.
    parts: Vec<Vec<PrefixSuffix<'a>>>,
    /// Share of each resolution in all draws.
    share: f64,
}

impl Sums<'_> {
    fn feasible(&self) -> f64 {
        let share = |(mass, within): &PrefixSuffix<'_>| {
            mass.columns.iter().zip(&within.all).map(|(a, b)| a * b).sum::<f64>()
        };
        self.parts.iter().flatten().map(share).sum::<f64>() * self.share
    }

    /// Calls `visit` with each row, its mass and that of the next, by rising loss.
    fn rows(&self, mut visit: impl FnMut(i32, f64, f64) -> ControlFlow<()>) {
        let rows = self.parts.iter().filter_map(|parts| grid::sum_rows(parts));
        let Some((first, last)) = rows.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return };
        let mut masses = vec![0.0; CHUNK + 1];
        let mut row = first;
        while row <= last {
            masses.fill(0.0);
            for parts in &self.parts {
                grid::add_within(&mut masses, row, parts, self.share);
            }
            for pair in masses.windows(2) {
                if visit(row, pair[0], pair[1]).is_break() {
                    return;
                }
                row += 1;
            }
        }
    }
}

/// Limits that can share a grid, by their indices; the tightest ones first.
fn near_limits(limits_ms: &[f64]) -> Vec<Vec<usize>> {
    let mut limits: Vec<usize> = (0..limits_ms.len()).collect();
    limits.sort_by(|&a, &b| limits_ms[a].total_cmp(&limits_ms[b]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for limit in limits {
        match groups.last_mut() {
            Some(group) if limits_ms[limit] <= FARTHEST * limits_ms[group[0]] => group.push(limit),
            _ => groups.push(vec![limit]),
        }
    }
    groups
}

/// Bins for limits that are near each other: `bins` up to the tightest one.
fn steps(limits_ms: &[f64], stages: usize, loss: f64, bins: f64) -> Steps {
    let tightest = limits_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let widest = limits_ms.iter().copied().fold(0.0, f64::max);
    // Every distribution moves by a column, and a smooth step reaches some columns further.
    let more = stages + 1 + grid::REACH as usize;
    let columns = (widest / tightest * bins) as usize + more + 1;
    let columns = columns.next_multiple_of(grid::LANES);
    let latency_ms = (widest / (columns - more - 1) as f64).max(f64::MIN_POSITIVE);
    Steps { loss, latency_ms, columns }
}

#[cfg(test)]
mod tests;
