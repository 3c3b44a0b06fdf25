//! What the costs of operators show about a target.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    measure::{OperatorCost, Profile},
    operator::Operator,
    plan::OperatorCase,
};

/// A share of time that does not count as a difference: two measurements of one thing, each good to
/// one per cent, differ by as much.
pub const MARGIN: f64 = 0.02;

/// An operator's speed-up on one feature map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SpeedUp {
    /// Channels.
    pub width: usize,
    /// Side of the feature map.
    pub size: usize,
    /// FP32 time by INT8 time.
    pub ratio: f64,
}

/// What INT8 does to one operator of the grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The operator.
    pub operator: Operator,
    /// All its feature maps, the smallest speed-up first.
    pub speed_ups: Vec<SpeedUp>,
}

/// A width that costs about as much as a larger one, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WastefulWidth {
    /// The operator.
    pub operator: Operator,
    /// Side of the feature map.
    pub size: usize,
    /// The wasteful width.
    pub width: usize,
    /// The largest width of the sweep that takes at most [`MARGIN`] more time in INT8.
    pub instead: usize,
}

/// What a [`Profile`] shows. Rows within noise take no part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Operators of the grid, in its order.
    pub verdicts: Vec<Verdict>,
    /// Wasteful widths of the sweep, in its order.
    pub wasteful: Vec<WastefulWidth>,
    /// How many rows the sweep has.
    pub swept: usize,
    /// Operators and shapes whose cost drowns in noise.
    pub noisy: Vec<String>,
}

/// The operators that a hyperspace's blocks consist of: see [`Operator::in_graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedOperators {
    /// Name of the hyperspace.
    pub hyperspace: String,
    /// Its operators.
    pub operators: BTreeSet<Operator>,
}

impl Verdict {
    /// Where INT8 is slower by more than [`MARGIN`].
    pub fn slow(&self) -> &[SpeedUp] {
        let slow = self.speed_ups.iter().take_while(|speed_up| speed_up.ratio < 1.0 - MARGIN);
        &self.speed_ups[..slow.count()]
    }

    /// Geometric mean over the feature maps: a halving and a doubling make one.
    pub fn mean_ratio(&self) -> f64 {
        let sum: f64 = self.speed_ups.iter().map(|speed_up| speed_up.ratio.ln()).sum();
        (sum / self.speed_ups.len() as f64).exp()
    }
}

impl Findings {
    /// Reads the rows of a profile.
    pub fn of(profile: &Profile) -> Self {
        let mut verdicts: Vec<Verdict> = Vec::new();
        for row in profile.grid.iter().filter(|row| !row.noisy) {
            let speed_up = SpeedUp { width: row.width, size: row.size, ratio: row.ratio };
            match verdicts.iter_mut().find(|verdict| verdict.operator == row.operator) {
                Some(verdict) => verdict.speed_ups.push(speed_up),
                None => {
                    verdicts.push(Verdict { operator: row.operator, speed_ups: vec![speed_up] })
                }
            }
        }
        for verdict in &mut verdicts {
            verdict.speed_ups.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
        }
        let noisy: BTreeSet<OperatorCase> = profile
            .grid
            .iter()
            .chain(&profile.sweep)
            .filter(|row| row.noisy)
            .map(OperatorCost::case)
            .collect();
        Self {
            verdicts,
            wasteful: wasteful(&profile.sweep),
            swept: profile.sweep.len(),
            noisy: noisy.iter().map(OperatorCase::to_string).collect(),
        }
    }
}

/// Each operator and map by itself, noise left out.
fn wasteful(sweep: &[OperatorCost]) -> Vec<WastefulWidth> {
    let mut curves: BTreeMap<(Operator, usize), Vec<&OperatorCost>> = BTreeMap::new();
    for row in sweep.iter().filter(|row| !row.noisy) {
        curves.entry((row.operator, row.size)).or_default().push(row);
    }
    let waste = |row: &OperatorCost| {
        let rivals = &curves[&(row.operator, row.size)];
        let cheap = rivals.iter().filter(|rival| {
            rival.width > row.width && rival.int8_ms <= row.int8_ms * (1.0 + MARGIN)
        });
        let instead = cheap.map(|rival| rival.width).max()?;
        Some(WastefulWidth { operator: row.operator, size: row.size, width: row.width, instead })
    };
    sweep.iter().filter(|row| !row.noisy).filter_map(waste).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{LANES, SLOW, quick_profile, row};

    #[test]
    fn exactly_the_slow_operators_are_found() {
        let findings = Findings::of(&quick_profile());
        let slow = findings.verdicts.iter().filter(|verdict| !verdict.slow().is_empty());
        assert_eq!(slow.map(|verdict| verdict.operator).collect::<Vec<_>>(), SLOW);
        for verdict in &findings.verdicts {
            assert_eq!(verdict.speed_ups.len(), 4);
            let expected = if SLOW.contains(&verdict.operator) { 0.5 } else { 2.0 };
            assert!((verdict.mean_ratio() - expected).abs() < 1e-9, "{verdict:?}");
        }
        assert!(findings.noisy.is_empty());
    }

    #[test]
    fn widths_between_steps_are_wasteful() {
        let profile = quick_profile();
        let findings = Findings::of(&profile);
        let expected: Vec<(Operator, usize, usize)> = profile
            .sweep
            .iter()
            .filter(|row| !row.width.is_multiple_of(LANES))
            .map(|row| (row.operator, row.width, row.width.next_multiple_of(LANES)))
            .collect();
        let found: Vec<(Operator, usize, usize)> =
            findings.wasteful.iter().map(|w| (w.operator, w.width, w.instead)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn noise_proves_nothing() {
        let noisy = OperatorCost { noisy: true, ..row(Operator::Add, 16, 8, 0.1, 1.0) };
        let profile = Profile { grid: vec![noisy], sweep: vec![noisy] };
        let findings = Findings::of(&profile);
        assert!(findings.verdicts.is_empty() && findings.wasteful.is_empty());
        assert_eq!(findings.noisy, ["add at 16x8x8"]);
    }

    proptest! {
        #[test]
        fn a_time_that_grows_with_the_width_wastes_nothing(steps in prop::collection::vec(0.03f64..1.0, 1..20)) {
            let mut ms = 1.0;
            let sweep = (1..).zip(&steps).map(|(index, step)| {
                ms *= 1.0 + step;
                row(Operator::Swish, 8 * index, 14, 1.0, ms)
            });
            prop_assert_eq!(wasteful(&sweep.collect::<Vec<_>>()), []);
        }

        #[test]
        fn what_is_used_instead_is_wider_and_costs_no_more(times in prop::collection::vec(0.1f64..10.0, 1..20)) {
            let sweep: Vec<OperatorCost> = (1..)
                .zip(&times)
                .map(|(index, &ms)| row(Operator::Swish, 8 * index, 14, 1.0, ms))
                .collect();
            let ms = |width: usize| times[width / 8 - 1];
            for waste in wasteful(&sweep) {
                prop_assert!(waste.instead > waste.width);
                prop_assert!(ms(waste.instead) <= ms(waste.width) * (1.0 + MARGIN));
            }
        }
    }
}
