//! One space for several devices: good on all of them, with what each one loses.

use spacewright_core::{
    score::{Bounded, Bounds, ConstraintScore, PreparedScorer, ScoreError, SpaceScore},
    search::{ScoredSpace, Searched},
    space::Space,
};

/// Judges spaces on several devices at once: by the mean, over the devices, of a space's score as
/// a share of the best score that the device has alone. 1 where nothing is lost on any device.
///
/// Constraints are those of all devices, in their order; their parts sum up to the score where
/// they do so on each device.
pub struct MultiTargetScorer<'a> {
    devices: Vec<(&'a dyn PreparedScorer, f64)>,
}

impl<'a> MultiTargetScorer<'a> {
    /// Of the scorer and the best score of each device, for spaces of one hyperspace.
    pub fn new(devices: Vec<(&'a dyn PreparedScorer, f64)>) -> Result<Self, ScoreError> {
        if devices.is_empty() {
            return Err(ScoreError::new("no device to score spaces for"));
        }
        let sound = |best: &f64| best.is_finite() && *best > 0.0;
        if let Some(at) = devices.iter().position(|(_, best)| !sound(best)) {
            let best = devices[at].1;
            let reason = format!(
                "the best score on device {at} is {best}; shares of it need a number above 0: give \
                 the device a scorer of positive scores and a limit that some space keeps to"
            );
            return Err(ScoreError::new(reason));
        }
        Ok(Self { devices })
    }

    /// The score of one space on each device.
    pub fn on_each(&self, space: &Space, seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let on_device = |(scorer, _): &(&dyn PreparedScorer, f64)| {
            Ok(scorer.score(std::slice::from_ref(space), seed)?.remove(0))
        };
        self.devices.iter().map(on_device).collect()
    }
}

impl PreparedScorer for MultiTargetScorer<'_> {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let nothing = SpaceScore { score: 0.0, constraints: Vec::new() };
        let mut sums = vec![nothing; spaces.len()];
        for (scorer, best) in &self.devices {
            let share = 1.0 / (best * self.devices.len() as f64);
            for (sum, score) in sums.iter_mut().zip(scorer.score(spaces, seed)?) {
                sum.score += share * score.score;
                let part =
                    |part: ConstraintScore| ConstraintScore { score: share * part.score, ..part };
                sum.constraints.extend(score.constraints.into_iter().map(part));
            }
        }
        Ok(sums)
    }

    fn bounded(&self) -> Option<&dyn Bounded> {
        let all = self.devices.iter().all(|(scorer, _)| scorer.bounded().is_some());
        all.then_some(self)
    }
}

impl Bounded for MultiTargetScorer<'_> {
    fn bounds(&self, known: &Space) -> Result<Box<dyn Bounds + '_>, ScoreError> {
        let scale = 1.0 / self.devices.len() as f64;
        let mut devices = Vec::new();
        for (scorer, best) in &self.devices {
            let Some(bounded) = scorer.bounded() else {
                return Err(ScoreError::new("the scorer of a device has no bounds"));
            };
            devices.push((bounded.bounds(known)?, scale / best));
        }
        Ok(Box::new(MultiTargetBounds(devices)))
    }
}

/// Of each device, with the factor of its scores.
struct MultiTargetBounds<'a>(Vec<(Box<dyn Bounds + 'a>, f64)>);

impl MultiTargetBounds<'_> {
    fn sum(&self, of_device: impl Fn(&dyn Bounds) -> Vec<f64>) -> Vec<f64> {
        let scaled = |(bounds, share): &(Box<dyn Bounds + '_>, f64)| {
            of_device(&**bounds).into_iter().map(|bound| share * bound).collect::<Vec<f64>>()
        };
        let added = |mut sums: Vec<f64>, bounds: Vec<f64>| {
            sums.iter_mut().zip(bounds).for_each(|(sum, bound)| *sum += bound);
            sums
        };
        self.0.iter().map(scaled).reduce(added).unwrap_or_default()
    }
}

impl Bounds for MultiTargetBounds<'_> {
    fn rough(&self, first: usize) -> Vec<f64> {
        self.sum(|bounds| bounds.rough(first))
    }

    fn closer(&self, first: usize, lasts: &[u32]) -> Vec<f64> {
        self.sum(|bounds| bounds.closer(first, lasts))
    }

    fn tight(&self, pairs: &[(u32, u32)]) -> Vec<f64> {
        self.sum(|bounds| bounds.tight(pairs))
    }
}

/// The outcome on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct OnTarget {
    /// The best space of the device alone.
    pub alone: ScoredSpace,
    /// The common space on this device.
    pub common: SpaceScore,
}

impl OnTarget {
    /// The share of the device's best score that the common space loses.
    pub fn lost(&self) -> f64 {
        1.0 - self.common.score / self.alone.score.score
    }
}

/// The best space for each device, and for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// By device.
    pub targets: Vec<OnTarget>,
    /// For all devices, judged by [`MultiTargetScorer`].
    pub found: Searched,
}

/// Searches for each device alone, then for all. `walk` is any search with a scorer.
pub fn search<E: From<ScoreError>>(
    devices: &[&dyn PreparedScorer],
    seed: u64,
    mut walk: impl FnMut(&dyn PreparedScorer) -> Result<Searched, E>,
) -> Result<Common, E> {
    let nothing = || ScoreError::new("the search scored no space");
    let alone: Vec<ScoredSpace> = devices
        .iter()
        .map(|device| Ok(walk(*device)?.scored.into_iter().next().ok_or_else(nothing)?))
        .collect::<Result<_, E>>()?;
    let bests = alone.iter().map(|best| best.score.score);
    let several = MultiTargetScorer::new(devices.iter().copied().zip(bests).collect())?;
    let found = walk(&several)?;
    let best = found.scored.first().ok_or_else(nothing)?;
    let common = several.on_each(&best.space, seed)?;
    let targets = alone.into_iter().zip(common);
    let targets = targets.map(|(alone, common)| OnTarget { alone, common }).collect();
    Ok(Common { targets, found })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use spacewright_core::{
        search::{SearchBudget, Strategy},
        space::Halves,
    };

    use super::*;
    use crate::{
        hyperspaces::built_in,
        strategies::{Descent, Exact},
    };

    /// A sum over the stages of what each likes in a block; its bounds are 1 above.
    struct Likes(fn(usize) -> usize);

    impl Likes {
        fn of(&self, space: &Space) -> f64 {
            space.blocks.iter().map(|block| (self.0)(*block)).sum::<usize>() as f64
        }

        fn bound(&self, first: usize, last: usize) -> f64 {
            self.of(&Halves::of(&built_in("mini").unwrap()).space(first, last)) + 1.0
        }
    }

    impl PreparedScorer for Likes {
        fn score(&self, spaces: &[Space], _: u64) -> Result<Vec<SpaceScore>, ScoreError> {
            let score = |space: &Space| {
                let score = self.of(space);
                let part = ConstraintScore {
                    limit_ms: 1.0,
                    feasible: 1.0,
                    loss: 1.0,
                    penalty: 1.0,
                    score,
                };
                SpaceScore { score, constraints: vec![part] }
            };
            Ok(spaces.iter().map(score).collect())
        }

        fn bounded(&self) -> Option<&dyn Bounded> {
            Some(self)
        }
    }

    impl Bounded for Likes {
        fn bounds(&self, _: &Space) -> Result<Box<dyn Bounds + '_>, ScoreError> {
            Ok(Box::new(Likes(self.0)))
        }
    }

    impl Bounds for Likes {
        fn rough(&self, first: usize) -> Vec<f64> {
            let lasts = Halves::of(&built_in("mini").unwrap()).last_count();
            (0..lasts).map(|last| self.bound(first, last)).collect()
        }

        fn closer(&self, first: usize, lasts: &[u32]) -> Vec<f64> {
            lasts.iter().map(|last| self.bound(first, *last as usize)).collect()
        }

        fn tight(&self, pairs: &[(u32, u32)]) -> Vec<f64> {
            pairs.iter().map(|(first, last)| self.bound(*first as usize, *last as usize)).collect()
        }
    }

    /// Block 0 is best on the first, block 1 on the second; both are content with block 2.
    fn devices() -> [Likes; 2] {
        [Likes(|block| [10, 1, 9, 0, 0][block]), Likes(|block| [1, 20, 16, 0, 0][block])]
    }

    #[test]
    fn the_common_space_is_a_compromise_and_losses_are_shares() {
        let hyperspace = built_in("mini").unwrap();
        let budget = SearchBudget { evaluations: 50, seed: 1 };
        let walk = |scorer: &dyn PreparedScorer| {
            Descent.search(&hyperspace, scorer, &budget, &Value::Null, &mut |_, _| true)
        };
        let [first, second] = devices();
        let common = search(&[&first, &second], 1, walk).unwrap();
        assert_eq!(common.targets[0].alone.space.blocks, [0; 4]);
        assert_eq!(common.targets[1].alone.space.blocks, [1; 4]);
        let best = &common.found.scored[0];
        assert_eq!(best.space.blocks, [2; 4]);
        assert!((common.targets[0].lost() - 0.1).abs() < 1e-12);
        assert!((common.targets[1].lost() - 0.2).abs() < 1e-12);
        assert!((best.score.score - 0.85).abs() < 1e-12);
        let parts = best.score.constraints.iter().map(|part| part.score);
        assert!((parts.sum::<f64>() - 0.85).abs() < 1e-12);
    }

    #[test]
    fn the_best_compromise_can_be_proved() {
        let hyperspace = built_in("mini").unwrap();
        let budget = SearchBudget { evaluations: 5, seed: 1 };
        let [first, second] = devices();
        let proved = |options: Value| {
            let walk = |scorer: &dyn PreparedScorer| {
                Exact.search(&hyperspace, scorer, &budget, &options, &mut |_, _| true)
            };
            search(&[&first, &second], 1, walk).unwrap().found
        };
        let found = proved(Value::Null);
        assert_eq!(found.scored[0].space.blocks, [2; 4]);
        assert_eq!(found.gap(), Some(0.0));
        // Each device's bounds are 1 above, as shares of the best scores of 40 and 80.
        let gap = proved(serde_json::json!({ "candidates": 0 })).gap().unwrap();
        assert!((gap - (0.5 / 40.0 + 0.5 / 80.0) / 0.85).abs() < 1e-12, "{gap}");
    }

    #[test]
    fn one_device_alone_loses_nothing() {
        let hyperspace = built_in("mini").unwrap();
        let [first, _] = devices();
        let several = MultiTargetScorer::new(vec![(&first, 40.0)]).unwrap();
        let space = Space::parse("mini-0000-0000", &hyperspace).unwrap();
        assert_eq!(several.score(std::slice::from_ref(&space), 0).unwrap()[0].score, 1.0);
        assert_eq!(several.on_each(&space, 0).unwrap()[0].score, 40.0);
    }

    #[test]
    fn shares_of_nothing_are_refused() {
        let [first, _] = devices();
        assert!(MultiTargetScorer::new(Vec::new()).is_err());
        let error = MultiTargetScorer::new(vec![(&first, 0.0)]).err().unwrap().to_string();
        assert!(error.starts_with("the best score on device 0 is 0;"), "{error}");
    }
}
