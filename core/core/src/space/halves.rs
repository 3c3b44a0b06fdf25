//! Spaces as pairs of halves, of which there are far fewer than spaces.

use super::{Hyperspace, Space};
use crate::quality::Cell;

/// All spaces of a hyperspace in two halves: the first stages, of which there may be one more, and the last.
///
/// Halves count from 0, from the outside inwards: those that share the choice of the outermost stage
/// (the first, or the last) lie side by side, and within them those that share the next one's.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    hyperspace: String,
    first: Half,
    last: Half,
}

/// The cells of each stage of a half, from the outside inwards.
type Half = Vec<Vec<Cell>>;

impl Halves {
    /// Of all spaces of a hyperspace.
    pub fn of(hyperspace: &Hyperspace) -> Self {
        let all = |stage: usize| {
            let windows = hyperspace.stages[stage].windows();
            let cells = |block| (0..windows).map(move |window| Cell { stage, block, window });
            (0..hyperspace.candidates.len()).flat_map(cells).collect()
        };
        Self::from_stages(&hyperspace.name, (0..hyperspace.stages.len()).map(all).collect())
    }

    /// Of one space alone.
    pub fn of_space(space: &Space) -> Self {
        let stages = Cell::of_space(space).map(|cell| vec![cell]);
        Self::from_stages(&space.hyperspace, stages.collect())
    }

    fn from_stages(hyperspace: &str, mut first: Half) -> Self {
        let mut last = first.split_off(first.len().div_ceil(2));
        last.reverse();
        Self { hyperspace: hyperspace.to_owned(), first, last }
    }

    /// The cells of each stage of the first halves, from the first stage on.
    pub fn first(&self) -> &[Vec<Cell>] {
        &self.first
    }

    /// The cells of each stage of the last halves, from the last stage back.
    pub fn last(&self) -> &[Vec<Cell>] {
        &self.last
    }

    /// How many first halves there are.
    pub fn first_count(&self) -> usize {
        self.first.iter().map(Vec::len).product()
    }

    /// How many last halves there are.
    pub fn last_count(&self) -> usize {
        self.last.iter().map(Vec::len).product()
    }

    /// The space of two halves, which must be below their counts.
    pub fn space(&self, first: usize, last: usize) -> Space {
        let mut cells = choices(&self.first, first);
        let mut behind = choices(&self.last, last);
        behind.reverse();
        cells.append(&mut behind);
        Space {
            hyperspace: self.hyperspace.clone(),
            blocks: cells.iter().map(|cell| cell.block).collect(),
            windows: cells.iter().map(|cell| cell.window).collect(),
        }
    }
}

/// The cell of each stage, from the outside inwards.
fn choices(half: &Half, mut index: usize) -> Vec<Cell> {
    let choice = |cells: &Vec<Cell>| {
        let cell = cells[index % cells.len()];
        index /= cells.len();
        cell
    };
    let mut cells: Vec<Cell> = half.iter().rev().map(choice).collect();
    cells.reverse();
    cells
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::space::testing;

    #[test]
    fn pairs_of_halves_are_all_spaces() {
        let hyperspace = testing::hyperspace();
        let halves = Halves::of(&hyperspace);
        let pairs = (0..halves.first_count())
            .flat_map(|first| (0..halves.last_count()).map(move |last| (first, last)));
        let spaces: Vec<Space> = pairs.map(|(first, last)| halves.space(first, last)).collect();
        let all: BTreeSet<Space> = hyperspace.spaces().collect();
        assert_eq!(spaces.len(), all.len());
        assert_eq!(spaces.into_iter().collect::<BTreeSet<Space>>(), all);
    }

    #[test]
    fn a_space_is_its_own_only_pair() {
        let hyperspace = testing::hyperspace();
        let space = hyperspace.spaces().nth(7).unwrap();
        let halves = Halves::of_space(&space);
        assert_eq!((halves.first_count(), halves.last_count()), (1, 1));
        assert_eq!(halves.space(0, 0), space);
    }
}
