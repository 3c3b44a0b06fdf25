//! Distributions of the first and of the last stages of spaces, cached for all spaces that share
//! them: a space is made of two halves, of which there are only tens of thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rayon::prelude::*;
use spacewright_core::{
    quality::{Cell, Composition},
    space::Space,
};

use super::{
    super::rows::{CellRows, Stem, StemAndHead, SubStageRow, Tables},
    grid::{ConvolutionPart, Distribution, StageTaps, Steps, WithinLimit},
};

/// Most bytes of each of three caches: a search meets the same halves again soon, or not at all.
const KEPT_BYTES: usize = 64 << 20;

/// The distributions of one cell by resolution, input state and output state. States are widths;
/// in independent composition there is a single one.
struct CellTaps(Vec<StateTaps>);

/// Distributions of one cell at one resolution, by input state and output state.
type StateTaps = Vec<Vec<Arc<StageTaps>>>;

/// Distributions of the first stages, by resolution and output state; `None` without any mass.
pub(super) type Prefix = Vec<Vec<Option<Arc<Distribution>>>>;

/// What the last stages leave within each limit, by resolution and limit.
pub(super) type Suffix = Vec<Vec<WithinLimit>>;

/// The distributions of all cells on one grid, and caches of what is convolved from them.
pub(super) struct Partials {
    pub(super) steps: Steps,
    /// Latency limits in columns, shifts of all stages included.
    limits: Vec<f64>,
    cells: HashMap<Cell, CellTaps>,
    stem: Arc<Prefix>,
    nothing: Arc<Vec<Arc<Distribution>>>,
    stages: usize,
    prefixes: Cache<Prefix>,
    /// By resolution.
    suffixes: Cache<Vec<Arc<Distribution>>>,
    within: Cache<Suffix>,
}

impl Partials {
    pub(super) fn new(
        tables: &Tables,
        composition: Composition,
        limits_ms: &[f64],
        steps: Steps,
    ) -> Self {
        let stages = tables.stages();
        let nothing = Arc::new(Distribution::nothing(&steps));
        let taps = |(cell, rows): (&Cell, &CellRows)| {
            (*cell, cell_taps(tables, *cell, rows, composition, &steps))
        };
        let stem = |fixed: &StemAndHead| {
            let mass = 1.0 / fixed.stem.len() as f64;
            let state = |width: Option<u32>| {
                let at = |stem: &&Stem| width.is_none_or(|w| stem.width == w);
                let points = fixed.stem.iter().filter(at).map(|stem| (0.0, stem.latency_ms));
                let taps = StageTaps::new(points, mass, &steps);
                let part = || vec![(nothing.clone(), Arc::new(taps.clone()))];
                (!taps.is_empty()).then(|| Arc::new(Distribution::new(part(), &steps)))
            };
            match composition {
                Composition::Independent => vec![state(None)],
                Composition::Consistent => {
                    (0..tables.input_widths(0)).map(|w| state(Some(w as u32))).collect()
                }
            }
        };
        Self {
            steps,
            limits: limits_ms
                .iter()
                .map(|limit| limit / steps.latency_ms + (stages + 1) as f64)
                .collect(),
            cells: tables.cells.par_iter().map(taps).collect(),
            stem: Arc::new(tables.fixed.iter().map(stem).collect()),
            nothing: Arc::new(vec![nothing; tables.fixed.len()]),
            stages,
            prefixes: Cache::new(),
            suffixes: Cache::new(),
            within: Cache::new(),
        }
    }

    /// The first `count` stages of a space.
    pub(super) fn prefix(&self, space: &Space, count: usize) -> Arc<Prefix> {
        let Some(last) = count.checked_sub(1) else { return self.stem.clone() };
        self.prefixes.get(key(space, 0..count, 0), || {
            let before = self.prefix(space, last);
            let taps = self.taps(space, last);
            let resolution = |(masses, taps): (&Vec<Option<Arc<Distribution>>>, &StateTaps)| {
                let outputs = taps.first().map_or(0, Vec::len);
                let output = |output: usize| {
                    let parts = masses.iter().zip(taps).filter_map(|(mass, taps)| {
                        let taps = &taps[output];
                        (!taps.is_empty()).then_some((mass.clone()?, taps.clone()))
                    });
                    let parts: Vec<ConvolutionPart> = parts.collect();
                    (!parts.is_empty()).then(|| Arc::new(Distribution::new(parts, &self.steps)))
                };
                (0..outputs).map(output).collect()
            };
            let prefix: Prefix = before.iter().zip(&taps.0).map(resolution).collect();
            let bytes = prefix.iter().flatten().flatten().map(|mass| mass.bytes()).sum();
            (prefix, bytes)
        })
    }

    /// The stages of a space from `first` on, behind input state `state`.
    fn suffix(&self, space: &Space, first: usize, state: usize) -> Arc<Vec<Arc<Distribution>>> {
        if first == self.stages {
            return self.nothing.clone();
        }
        self.suffixes.get(key(space, first..self.stages, state), || {
            let taps = self.taps(space, first);
            let outputs: Vec<usize> = (0..taps.0.first().map_or(0, |taps| taps[state].len()))
                .filter(|output| taps.0.iter().any(|taps| !taps[state][*output].is_empty()))
                .collect();
            // Behind the last stage, all outputs are alike.
            let behind = |output: &usize| self.suffix(space, first + 1, *output);
            let rest: Vec<Arc<Vec<Arc<Distribution>>>> = outputs.iter().map(behind).collect();
            let resolution = |(index, taps): (usize, &StateTaps)| {
                let parts = outputs.iter().zip(&rest);
                let parts =
                    parts.map(|(output, rest)| (rest[index].clone(), taps[state][*output].clone()));
                Arc::new(Distribution::new(parts.collect(), &self.steps))
            };
            let masses: Vec<Arc<Distribution>> =
                taps.0.iter().enumerate().map(resolution).collect();
            let bytes = masses.iter().map(|mass| mass.bytes()).sum();
            (masses, bytes)
        })
    }

    /// What keeps to each limit in the stages from `first` on, behind input state `state`.
    pub(super) fn within(&self, space: &Space, first: usize, state: usize) -> Arc<Suffix> {
        self.within.get(key(space, first..self.stages, state), || {
            let masses = self.suffix(space, first, state);
            let limits = |mass: &Arc<Distribution>| {
                let within = |limit: &f64| WithinLimit::new(mass.clone(), *limit);
                self.limits.iter().map(within).collect::<Vec<_>>()
            };
            let suffix: Suffix = masses.iter().map(limits).collect();
            let bytes = suffix.iter().flatten().map(WithinLimit::bytes).sum();
            (suffix, bytes)
        })
    }

    fn taps(&self, space: &Space, stage: usize) -> &CellTaps {
        &self.cells[&Cell { stage, block: space.blocks[stage], window: space.windows[stage] }]
    }
}

/// Latencies of the head are counted with the last stage.
fn cell_taps(
    tables: &Tables,
    cell: Cell,
    rows: &CellRows,
    composition: Composition,
    steps: &Steps,
) -> CellTaps {
    let last = cell.stage + 1 == tables.stages();
    let outputs = tables.input_widths(cell.stage + 1);
    let resolution = |fixed: &StemAndHead| {
        let head = |width: u32| if last { fixed.head[width as usize] } else { 0.0 };
        let taps = |rows: &[SubStageRow], output: Option<u32>| {
            let at = rows.iter().filter(|row| output.is_none_or(|width| row.width == width));
            // A head of unknown latency is named when a space that needs it is checked.
            let known = at.filter(|row| head(row.width).is_finite());
            let points = known.map(|row| (row.loss, row.latency_ms + head(row.width)));
            Arc::new(StageTaps::new(points, 1.0 / rows.len() as f64, steps))
        };
        match composition {
            Composition::Independent => vec![vec![taps(rows.at_resolution(fixed.index), None)]],
            Composition::Consistent => (0..tables.input_widths(cell.stage))
                .map(|input| {
                    let rows = rows.at_input(fixed.index, input as u32);
                    (0..outputs).map(|output| taps(rows, Some(output as u32))).collect()
                })
                .collect(),
        }
    };
    CellTaps(tables.fixed.iter().map(resolution).collect())
}

type Key = Vec<u16>;

fn key(space: &Space, stages: std::ops::Range<usize>, state: usize) -> Key {
    let choices = stages.flat_map(|stage| [space.blocks[stage], space.windows[stage]]);
    choices.chain([state]).map(|choice| choice as u16).collect()
}

/// A cache in two generations: when the young one is full it becomes the old one, and what was not
/// used since the last time is dropped.
struct Cache<T>(Mutex<Generations<T>>);

/// A value, and its size in bytes.
type Entry<T> = (Arc<T>, usize);

struct Generations<T> {
    young: HashMap<Key, Entry<T>>,
    old: HashMap<Key, Entry<T>>,
    young_bytes: usize,
}

impl<T> Generations<T> {
    fn keep(&mut self, key: Key, value: Entry<T>) {
        self.young_bytes += value.1;
        if self.young_bytes > KEPT_BYTES / 2 {
            self.young_bytes = value.1;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<T> Cache<T> {
    fn new() -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self(Mutex::new(Generations { young, old, young_bytes: 0 }))
    }

    fn kept(&self) -> MutexGuard<'_, Generations<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached value, else what `compute` gives with its size in bytes. Two threads may compute
    /// the same value at once, with equal results.
    fn get(&self, key: Key, compute: impl FnOnce() -> (T, usize)) -> Arc<T> {
        let mut kept = self.kept();
        if let Some((value, _)) = kept.young.get(&key) {
            return value.clone();
        }
        if let Some(value) = kept.old.remove(&key) {
            kept.keep(key, value.clone());
            return value.0;
        }
        drop(kept);
        let (value, bytes) = compute();
        let value = Arc::new(value);
        self.kept().keep(key, (value.clone(), bytes));
        value
    }
}
