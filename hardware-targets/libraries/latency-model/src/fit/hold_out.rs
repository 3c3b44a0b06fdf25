//! Errors on rows that a fit did not see.

use std::collections::{BTreeMap, BTreeSet};

use spacewright_core::latency::{Accuracy, HeldOut};

use super::{FitError, Settings, fit};
use crate::{
    kernel_sums::KernelSums,
    model::{Intervals, Parameters, Quantiles},
    physical::Group,
    predict::{Evaluator, dominating},
};

/// The fewest rows of which quantiles are taken.
const FEWEST_ROWS: usize = 50;

/// Which rows are held out together.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// In words, for people.
    pub how: String,
    /// For each fold whether each row is held out. A row may be held out in several folds.
    pub folds: Vec<Vec<bool>>,
}

impl Split {
    /// Holds out each row once, in `folds` parts that depend on positions and `seed` only.
    pub fn rows(rows: usize, folds: usize, seed: u64) -> Self {
        let fold: Vec<u64> =
            (0..rows as u64).map(|row| mix(mix(seed) ^ row) % folds.max(1) as u64).collect();
        let held = |of: usize| fold.iter().map(|fold| *fold == of as u64).collect();
        let how = format!("random rows, {folds} folds");
        Self { how, folds: (0..folds).map(held).collect() }
    }

    /// Holds out keys, such as widths: every `folds`-th of the sorted keys makes a fold, which
    /// holds out all rows that have one of them. There are no more folds than keys.
    pub fn keys(name: &str, keys: &[Vec<u64>], folds: usize) -> Self {
        let all: BTreeSet<u64> = keys.iter().flatten().copied().collect();
        let folds = folds.clamp(1, all.len().max(1));
        let fold: BTreeMap<u64, usize> =
            all.iter().enumerate().map(|(index, key)| (*key, index % folds)).collect();
        let held =
            |of: usize| keys.iter().map(|keys| keys.iter().any(|key| fold[key] == of)).collect();
        let how = format!("rows with a {name} that the fit never saw, {folds} folds");
        Self { how, folds: (0..folds).map(held).collect() }
    }

    /// Whether each fold holds out some rows, and leaves some to learn from.
    pub fn is_usable(&self) -> bool {
        self.folds.iter().all(|held| held.contains(&true) && held.contains(&false))
    }
}

/// To five decimals, as more say nothing.
fn rounded(value: f64) -> f64 {
    (value * 1e5).round() / 1e5
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): neighbours become unrelated.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Predictions of rows beside their measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutPredictions {
    /// How rows were held out.
    pub how: String,
    /// Positions of rows, by fold.
    pub rows: Vec<usize>,
    /// Predicted and measured time in ms.
    pub pairs: Vec<(f64, f64)>,
    /// The group of kernels with most of the predicted time.
    pub dominating: Vec<Group>,
}

impl HeldOutPredictions {
    /// How near the predictions are.
    pub fn accuracy(&self) -> Accuracy {
        Accuracy::of(self.pairs.iter().copied())
    }

    /// The statement of a model.
    pub fn held_out(&self) -> HeldOut {
        let Accuracy { rows, within_5, within_10, median_error, mape } = self.accuracy();
        let [within_5, within_10, median_error, mape] =
            [within_5, within_10, median_error, mape].map(rounded);
        let accuracy = Accuracy { rows, within_5, within_10, median_error, mape };
        HeldOut { how: self.how.clone(), accuracy }
    }

    fn append(&mut self, rows: &KernelSums, parameters: &Parameters, held: impl Fn(usize) -> bool) {
        let ms = rows.kernel_times(&Evaluator::new(parameters));
        let groups: Vec<Group> = rows.kernels().iter().map(Group::of).collect();
        for (index, row) in rows.iter().enumerate().filter(|(index, _)| held(*index)) {
            let mut by_group = [0.0; Group::COUNT];
            for (kernel, count) in row.counts {
                let kernel = *kernel as usize;
                by_group[groups[kernel].index()] += f64::from(*count) * ms[kernel];
            }
            self.rows.push(index);
            self.pairs.push((row.sum(&ms), row.ms));
            self.dominating.push(dominating(&by_group));
        }
    }
}

/// Predicts the held-out rows of each fold by a fit to the other rows.
pub fn held_out(
    rows: &KernelSums,
    settings: &Settings,
    split: &Split,
) -> Result<HeldOutPredictions, FitError> {
    let mut predicted = empty(split.how.clone());
    for (fold, held) in split.folds.iter().enumerate() {
        let is_held = |index: usize| held.get(index).copied().unwrap_or(false);
        let count = (0..rows.len()).filter(|index| is_held(*index)).count();
        if count == 0 || count == rows.len() {
            let how = split.how.clone();
            return Err(FitError::Split { how, fold, held: count, rows: rows.len() });
        }
        let parameters = fit(&rows.subset(|index| !is_held(index)), settings)?;
        predicted.append(rows, &parameters, is_held);
    }
    Ok(predicted)
}

/// Predictions of the rows that parameters were fitted to.
pub(super) fn fitted(rows: &KernelSums, parameters: &Parameters) -> HeldOutPredictions {
    let mut predicted = empty("none: the rows of the fit itself".into());
    predicted.append(rows, parameters, |_| true);
    predicted
}

fn empty(how: String) -> HeldOutPredictions {
    HeldOutPredictions { how, rows: Vec::new(), pairs: Vec::new(), dominating: Vec::new() }
}

/// Quantiles of ln(measured / predicted), over all and by dominating group.
pub(super) fn intervals(predicted: &HeldOutPredictions) -> Intervals {
    let mut all = Vec::with_capacity(predicted.pairs.len());
    let mut by_group = BTreeMap::<Group, Vec<f64>>::new();
    for ((predicted, measured), group) in predicted.pairs.iter().zip(&predicted.dominating) {
        let error = (measured / predicted).ln();
        all.push(error);
        by_group.entry(*group).or_default().push(error);
    }
    let quantiles = |mut errors: Vec<f64>| {
        errors.sort_by(f64::total_cmp);
        let Quantiles { q05, q10, q50, q90, q95 } = Quantiles::of(&errors);
        let [q05, q10, q50, q90, q95] = [q05, q10, q50, q90, q95].map(rounded);
        Quantiles { q05, q10, q50, q90, q95 }
    };
    let enough = by_group.into_iter().filter(|(_, errors)| errors.len() >= FEWEST_ROWS);
    Intervals {
        how: predicted.how.clone(),
        dominated_by: enough.map(|(group, errors)| (group, quantiles(errors))).collect(),
        all: quantiles(all),
    }
}
