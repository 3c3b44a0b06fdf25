//! The spaces that bounds do not rule out.

use rayon::prelude::*;
use spacewright_core::{score::Bounds, space::Halves};

/// Pairs of halves that are given tight bounds at most: what is kept of them takes 16 bytes each.
const MOST_PAIRS: usize = 8 << 20;

/// Spaces that may beat a score, as pairs of halves.
pub(super) struct Candidates {
    /// The highest bounds first.
    pub(super) spaces: Vec<Candidate>,
    /// What no space scores above that was left out though it may beat the score; minus infinity where none was.
    pub(super) rest: f64,
}

/// A pair of halves: no space of them scores above the bound.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) bound: f64,
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Candidate {
    pub(super) fn pair(&self) -> (u32, u32) {
        (self.first, self.last)
    }
}

impl Candidates {
    /// Those with a bound above `threshold`, at most `most`.
    pub(super) fn find(bounds: &dyn Bounds, halves: &Halves, threshold: f64, most: usize) -> Self {
        let of_first = |first: usize| {
            let rough = bounds.rough(first);
            let may_beat = |last: &u32| rough[*last as usize] > threshold;
            let lasts: Vec<u32> = (0..rough.len() as u32).filter(may_beat).collect();
            let mut highest = Highest::new(MOST_PAIRS);
            for (bound, last) in bounds.closer(first, &lasts).into_iter().zip(lasts) {
                if bound > threshold {
                    highest.push(Candidate { bound, first: first as u32, last });
                }
            }
            highest
        };
        let firsts = (0..halves.first_count()).into_par_iter().map(of_first);
        let close = firsts.reduce(|| Highest::new(MOST_PAIRS), Highest::merged).finished();
        let pairs: Vec<(u32, u32)> = close.spaces.iter().map(Candidate::pair).collect();
        let tight = bounds.tight(&pairs).into_iter().zip(pairs);
        let mut highest = Highest { rest: close.rest, ..Highest::new(most) };
        for (bound, (first, last)) in tight.filter(|(bound, _)| *bound > threshold) {
            highest.push(Candidate { bound, first, last });
        }
        highest.finished()
    }
}

/// The `most` highest bounds of spaces, and the highest of those that were dropped.
struct Highest {
    most: usize,
    found: Vec<Candidate>,
    rest: f64,
}

impl Highest {
    fn new(most: usize) -> Self {
        Self { most, found: Vec::new(), rest: f64::NEG_INFINITY }
    }

    fn push(&mut self, found: Candidate) {
        self.found.push(found);
        if self.found.len() >= 2 * self.most.max(1) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let order = |a: &Candidate, b: &Candidate| {
            b.bound.total_cmp(&a.bound).then_with(|| a.pair().cmp(&b.pair()))
        };
        self.found.par_sort_unstable_by(order);
        if let Some(highest) = self.found.get(self.most) {
            self.rest = self.rest.max(highest.bound);
            self.found.truncate(self.most);
        }
    }

    fn merged(self, other: Self) -> Self {
        // The smaller one moves.
        let self_is_larger = self.found.len() >= other.found.len();
        let (mut to, from) = if self_is_larger { (self, other) } else { (other, self) };
        to.rest = to.rest.max(from.rest);
        from.found.into_iter().for_each(|found| to.push(found));
        to
    }

    fn finished(mut self) -> Candidates {
        self.cut();
        Candidates { spaces: self.found, rest: self.rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_are_kept_and_what_was_dropped_is_known() {
        let of = |bounds: &[f64]| {
            let mut highest = Highest::new(3);
            for (first, bound) in bounds.iter().enumerate() {
                highest.push(Candidate { bound: *bound, first: first as u32, last: 0 });
            }
            highest
        };
        let found = of(&[1.0, 9.0, 3.0, 4.0]).merged(of(&[8.0, 2.0])).finished();
        let bounds: Vec<f64> = found.spaces.iter().map(|found| found.bound).collect();
        assert_eq!((bounds, found.rest), (vec![9.0, 8.0, 4.0], 3.0));
        let all = of(&[1.0, 2.0]).finished();
        assert_eq!((all.spaces.len(), all.rest), (2, f64::NEG_INFINITY));
    }
}
