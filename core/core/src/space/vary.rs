//! Random, uniform, mutated and crossed spaces and subnets.

use rand::{Rng, seq::IndexedRandom};

use super::{BlockChoice, ElasticStage, Hyperspace, Space, SubStage, Subnet};

impl Hyperspace {
    /// The spaces that a person would write down: one block type in all stages, with the windows
    /// of the same index (the last one where a stage has fewer). Each once, in a fixed order.
    pub fn uniform_spaces(&self) -> Vec<Space> {
        let windows = self.stages.iter().map(|stage| stage.windows()).max().unwrap_or_default();
        let uniform = |block: usize, window: usize| Space {
            hyperspace: self.name.clone(),
            blocks: vec![block; self.stages.len()],
            windows: self.stages.iter().map(|stage| window.min(stage.windows() - 1)).collect(),
        };
        (0..self.candidates.len())
            .flat_map(|block| (0..windows).map(move |window| (block, window)))
            .map(|(block, window)| uniform(block, window))
            .collect()
    }

    /// Every space, in a fixed order.
    pub fn spaces(&self) -> impl Iterator<Item = Space> + '_ {
        let first = Space {
            hyperspace: self.name.clone(),
            blocks: vec![0; self.stages.len()],
            windows: vec![0; self.stages.len()],
        };
        let empty = self.candidates.is_empty() && !self.stages.is_empty();
        std::iter::successors((!empty).then_some(first), |space| self.after(space))
    }

    fn after(&self, space: &Space) -> Option<Space> {
        let mut next = space.clone();
        for (index, stage) in self.stages.iter().enumerate() {
            next.windows[index] += 1;
            if next.windows[index] < stage.windows() {
                return Some(next);
            }
            next.windows[index] = 0;
            next.blocks[index] += 1;
            if next.blocks[index] < self.candidates.len() {
                return Some(next);
            }
            next.blocks[index] = 0;
        }
        None
    }
}

impl Space {
    /// Block types and windows drawn uniformly and independently.
    pub fn random(hyperspace: &Hyperspace, rng: &mut impl Rng) -> Self {
        let stages = &hyperspace.stages;
        Self {
            hyperspace: hyperspace.name.clone(),
            blocks: stages
                .iter()
                .map(|_| rng.random_range(0..hyperspace.candidates.len()))
                .collect(),
            windows: stages.iter().map(|stage| rng.random_range(0..stage.windows())).collect(),
        }
    }

    /// Gives one random stage another block type. `None` where there is only one block type.
    pub fn mutate_block(&self, hyperspace: &Hyperspace, rng: &mut impl Rng) -> Option<Self> {
        let candidates = hyperspace.candidates.len();
        if candidates < 2 || self.blocks.is_empty() {
            return None;
        }
        let mut mutant = self.clone();
        let stage = rng.random_range(0..self.blocks.len());
        mutant.blocks[stage] = another(self.blocks[stage], candidates, rng);
        Some(mutant)
    }

    /// Gives one random stage another window. `None` where every stage has only one.
    pub fn mutate_window(&self, hyperspace: &Hyperspace, rng: &mut impl Rng) -> Option<Self> {
        let stages = &hyperspace.stages;
        let movable: Vec<usize> = (0..stages.len()).filter(|&s| stages[s].windows() > 1).collect();
        let stage = *movable.choose(rng)?;
        let mut mutant = self.clone();
        mutant.windows[stage] = another(self.windows[stage], stages[stage].windows(), rng);
        Some(mutant)
    }

    /// All spaces that differ in the block type or the window of one stage, or in both, in a fixed
    /// order.
    pub fn neighbours(&self, hyperspace: &Hyperspace) -> Vec<Self> {
        let mut all = Vec::new();
        for (index, stage) in hyperspace.stages.iter().enumerate() {
            for block in 0..hyperspace.candidates.len() {
                for window in 0..stage.windows() {
                    if (block, window) != (self.blocks[index], self.windows[index]) {
                        let mut neighbour = self.clone();
                        neighbour.blocks[index] = block;
                        neighbour.windows[index] = window;
                        all.push(neighbour);
                    }
                }
            }
        }
        all
    }

    /// In how many stages another space of the hyperspace differs.
    pub fn distance(&self, other: &Self) -> usize {
        let blocks = self.blocks.iter().zip(&other.blocks);
        let windows = self.windows.iter().zip(&other.windows);
        blocks
            .zip(windows)
            .filter(|(block, window)| block.0 != block.1 || window.0 != window.1)
            .count()
    }
}

/// A number below `count` other than `current`, each as likely as the next.
fn another(current: usize, count: usize, rng: &mut impl Rng) -> usize {
    (current + rng.random_range(1..count)) % count
}

/// How much mutation of a subnet changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MutationRates {
    /// Probability with which a stage's depth, a block's width and each of a block's axes are
    /// drawn anew.
    pub choice: f64,
    /// Probability with which the resolution is drawn anew.
    pub resolution: f64,
}

impl Default for MutationRates {
    /// Those of the published search.
    fn default() -> Self {
        Self { choice: 0.3, resolution: 0.5 }
    }
}

impl Subnet {
    /// Draws some of the choices anew; blocks beyond the old depth are random.
    pub fn mutate(
        &self,
        stages: &[ElasticStage],
        resolutions: &[usize],
        rates: MutationRates,
        rng: &mut impl Rng,
    ) -> Self {
        let sub_stages = stages.iter().zip(&self.stages);
        let stages = sub_stages.map(|(stage, old)| mutate_stage(stage, old, rates, rng)).collect();
        let resolution = match resolutions.choose(rng) {
            Some(&resolution) if rng.random_bool(rates.resolution) => resolution,
            _ => self.resolution,
        };
        Self { stages, resolution }
    }

    /// Takes each stage's depth, each choice of each block and the resolution from either parent.
    /// Both are subnets of the same space.
    pub fn cross(&self, other: &Self, rng: &mut impl Rng) -> Self {
        let stages = self.stages.iter().zip(&other.stages);
        Self {
            stages: stages.map(|(a, b)| cross_stage(a, b, rng)).collect(),
            resolution: if rng.random() { self.resolution } else { other.resolution },
        }
    }
}

fn mutate_stage(
    stage: &ElasticStage,
    old: &SubStage,
    rates: MutationRates,
    rng: &mut impl Rng,
) -> SubStage {
    let mut depth = old.blocks.len();
    if rng.random_bool(rates.choice) {
        depth = rng.random_range(stage.depths[0]..=stage.depths[1]);
    }
    let block = |index: usize| {
        let fresh = BlockChoice::random(stage, rng);
        let Some(old) = old.blocks.get(index) else { return fresh };
        let mut block = old.clone();
        if rng.random_bool(rates.choice) {
            block.width = fresh.width;
        }
        for (axis, value) in fresh.config.0 {
            if rng.random_bool(rates.choice) {
                block.config.0.insert(axis, value);
            }
        }
        block
    };
    SubStage { blocks: (0..depth).map(block).collect() }
}

fn cross_stage(a: &SubStage, b: &SubStage, rng: &mut impl Rng) -> SubStage {
    let depth = if rng.random() { a.blocks.len() } else { b.blocks.len() };
    let block = |index: usize| match (a.blocks.get(index), b.blocks.get(index)) {
        (Some(a), Some(b)) => {
            let mut child = a.clone();
            if rng.random() {
                child.width = b.width;
            }
            for (axis, value) in &b.config.0 {
                if rng.random() {
                    child.config.0.insert(axis.clone(), *value);
                }
            }
            Some(child)
        }
        (a, b) => a.or(b).cloned(),
    };
    SubStage { blocks: (0..depth).filter_map(block).collect() }
}

/// Calls `make` until `accept` agrees, at most `tries` times.
pub fn retry<T>(
    tries: usize,
    mut make: impl FnMut() -> T,
    mut accept: impl FnMut(&T) -> bool,
) -> Option<T> {
    (0..tries).map(|_| make()).find(|made| accept(made))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg32;

    use super::*;
    use crate::space::testing;

    #[test]
    fn uniform_spaces_have_one_block_type_and_clamped_windows() {
        let spaces = testing::hyperspace().uniform_spaces();
        assert_eq!(spaces.len(), 3 * 4);
        assert_eq!(spaces[7].to_string(), "toy-11-13");
    }

    #[test]
    fn all_spaces_are_listed_once() {
        let hyperspace = testing::hyperspace();
        let spaces: HashSet<Space> = hyperspace.spaces().collect();
        assert_eq!(hyperspace.space_count(), spaces.len().into());
        assert_eq!(hyperspace.spaces().count(), spaces.len());
    }

    #[test]
    fn what_has_no_alternative_is_not_mutated() {
        let mut hyperspace = testing::hyperspace();
        hyperspace.candidates.truncate(1);
        for stage in &mut hyperspace.stages {
            stage.window = stage.widths.len();
        }
        let rng = &mut Pcg32::seed_from_u64(1);
        let space = Space::random(&hyperspace, rng);
        assert_eq!(space.mutate_block(&hyperspace, rng), None);
        assert_eq!(space.mutate_window(&hyperspace, rng), None);
    }

    #[test]
    fn retries_are_limited() {
        let mut made = 0;
        assert_eq!(retry(50, || made += 1, |()| false), None);
        assert_eq!(made, 50);
    }

    proptest! {
        #[test]
        fn space_mutations_change_one_stage(seed: u64) {
            let hyperspace = testing::hyperspace();
            let rng = &mut Pcg32::seed_from_u64(seed);
            let space = Space::random(&hyperspace, rng);
            let differences = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a != b).count();
            let mutant = space.mutate_block(&hyperspace, rng).unwrap();
            mutant.check(&hyperspace).unwrap();
            prop_assert_eq!(differences(&mutant.blocks, &space.blocks), 1);
            prop_assert_eq!(&mutant.windows, &space.windows);
            let mutant = space.mutate_window(&hyperspace, rng).unwrap();
            mutant.check(&hyperspace).unwrap();
            prop_assert_eq!(differences(&mutant.windows, &space.windows), 1);
            prop_assert_eq!(&mutant.blocks, &space.blocks);
        }

        #[test]
        fn children_are_subnets_of_the_space(seed: u64) {
            let hyperspace = testing::hyperspace();
            let rng = &mut Pcg32::seed_from_u64(seed);
            let stages = Space::random(&hyperspace, rng).elastic_stages(&hyperspace);
            let sizes = &hyperspace.resolutions;
            let [a, b] = [0, 1].map(|_| Subnet::random(&stages, sizes, rng));
            a.mutate(&stages, sizes, MutationRates::default(), rng).check(&stages, sizes).unwrap();
            a.cross(&b, rng).check(&stages, sizes).unwrap();
            let none = MutationRates { choice: 0.0, resolution: 0.0 };
            prop_assert_eq!(&a.mutate(&stages, sizes, none, rng), &a);
            prop_assert_eq!(&a.cross(&a, rng), &a);
        }
    }
}
