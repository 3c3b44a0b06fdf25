//! The spaces that bounds do not rule out.

use rayon::prelude::*;
use spacewright_core::{score::Bounds, space::Halves};

/// Pairs of halves that are given tight bounds at most: what is kept of them takes 16 bytes each.
const MOST_PAIRS: usize = 8 << 20;
/// First halves that are looked at together, however many threads there are: each may leave as many pairs as there are
/// last halves, which wait in memory for the highest to be taken.
const TOGETHER: usize = 256;

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
    /// Those with a bound above `threshold`, at most `most`. Nothing where `goes_on`, which is asked now and then, says no.
    pub(super) fn find(
        bounds: &dyn Bounds,
        halves: &Halves,
        threshold: f64,
        most: usize,
        mut goes_on: impl FnMut() -> bool,
    ) -> Option<Self> {
        let of_first = |first: usize| -> Vec<Candidate> {
            let rough = bounds.rough(first);
            let may_beat = |last: &u32| rough[*last as usize] > threshold;
            let lasts: Vec<u32> = (0..rough.len() as u32).filter(may_beat).collect();
            let closer = bounds.closer(first, &lasts).into_iter().zip(lasts);
            let candidates =
                closer.map(|(bound, last)| Candidate { bound, first: first as u32, last });
            candidates.filter(|candidate| candidate.bound > threshold).collect()
        };
        let mut close = Highest::new(MOST_PAIRS);
        for start in (0..halves.first_count()).step_by(TOGETHER) {
            if !goes_on() {
                return None;
            }
            let firsts = start..halves.first_count().min(start + TOGETHER);
            let found: Vec<Vec<Candidate>> = firsts.into_par_iter().map(of_first).collect();
            found.into_iter().flatten().for_each(|candidate| close.push(candidate));
        }
        let close = close.finished();
        let pairs: Vec<(u32, u32)> = close.spaces.iter().map(Candidate::pair).collect();
        let tight = bounds.tight(&pairs).into_iter().zip(pairs);
        let mut highest = Highest { rest: close.rest, ..Highest::new(most) };
        for (bound, (first, last)) in tight.filter(|(bound, _)| *bound > threshold) {
            highest.push(Candidate { bound, first, last });
        }
        Some(highest.finished())
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
        let found = of(&[1.0, 9.0, 3.0, 4.0, 8.0, 2.0]).finished();
        let bounds: Vec<f64> = found.spaces.iter().map(|found| found.bound).collect();
        assert_eq!((bounds, found.rest), (vec![9.0, 8.0, 4.0], 3.0));
        let all = of(&[1.0, 2.0]).finished();
        assert_eq!((all.spaces.len(), all.rest), (2, f64::NEG_INFINITY));
    }
}
