//! From the rounds' statistics to one measurement's figures and doubts.

use crate::benchmark::{Delegation, Round};

/// Rounds that differ by more than this are worth a warning.
const MOST_DRIFT: f64 = 1.1;
/// The median of a phone that does nothing else is this close to the minimum.
const QUIET_MEDIAN: f64 = 1.2;
/// Battery in °C above which phones are likely to lower their clocks.
const HOT: f64 = 40.0;
/// What the tool's clock tells apart, in microseconds.
const RESOLUTION_US: f64 = 1.0;

/// Figures of several rounds.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures {
    pub min_ms: f64,
    pub p10_ms: f64,
    pub median_ms: f64,
    pub runs: u32,
    /// The slowest round's minimum against the fastest's.
    pub drift: f64,
}

/// Figures of rounds, and sentences about how they were estimated and what makes them doubtful.
/// There must be a round.
///
/// The minimum is that of all runs. The median is the median of the rounds' medians, or of their
/// averages where no median is known. The tenth percentile of a round is interpolated between its
/// fifth and its median, and the median of those is taken; where they are not known, the minimum
/// stands in.
pub(crate) fn summarize(rounds: &[Round]) -> (Figures, Vec<String>) {
    let minima: Vec<f64> = rounds.iter().map(|round| round.min_us.max(RESOLUTION_US)).collect();
    let fastest = minima.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = minima.iter().copied().fold(0.0, f64::max);
    let mut warnings = Vec::new();
    let medians: Option<Vec<f64>> = rounds.iter().map(|round| round.median_us).collect();
    let middle = medians.unwrap_or_else(|| {
        let note = "this benchmark_model prints no median: the rounds' averages stand in for it";
        warnings.push(note.into());
        rounds.iter().map(|round| round.avg_us).collect()
    });
    let tenths: Option<Vec<f64>> = rounds.iter().map(tenth).collect();
    let p10 = match tenths {
        Some(tenths) => {
            let note = "benchmark_model prints no single runs: p10 is interpolated between p5 and \
                        the median of each round";
            warnings.push(note.into());
            median(tenths)
        }
        None => {
            let note = "this benchmark_model prints no p5: the minimum stands in for p10";
            warnings.push(note.into());
            fastest
        }
    };
    let figures = Figures {
        min_ms: fastest / 1e3,
        p10_ms: p10.max(fastest) / 1e3,
        median_ms: median(middle).max(p10).max(fastest) / 1e3,
        runs: rounds.iter().fold(0, |sum, round| sum.saturating_add(round.runs)),
        drift: slowest / fastest,
    };
    warnings.extend(doubts(&figures, rounds));
    (figures, warnings)
}

/// The tenth percentile, on the straight line from the fifth to the median.
fn tenth(round: &Round) -> Option<f64> {
    let (p5, median) = (round.p5_us?, round.median_us?);
    Some(p5 + (median - p5).max(0.0) * (10.0 - 5.0) / (50.0 - 5.0))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        0 => (values[half - 1] + values[half]) / 2.0,
        _ => values[half],
    }
}

fn doubts(figures: &Figures, rounds: &[Round]) -> Vec<String> {
    let Figures { min_ms, median_ms, drift, .. } = figures;
    let mut doubts = Vec::new();
    if *drift > MOST_DRIFT {
        doubts.push(format!(
            "the slowest round took {drift:.2} times as long as the fastest: the phone lowered \
             its clock or had other work"
        ));
    }
    if *median_ms > QUIET_MEDIAN * min_ms {
        doubts.push(format!("the median is {:.2} times the minimum", median_ms / min_ms));
    }
    if rounds.iter().any(|round| round.delegation == Delegation::Some) {
        doubts.push("a part of the model ran outside XNNPACK".into());
    }
    if rounds.iter().any(|round| round.delegation == Delegation::None) {
        doubts.push("nothing of the model ran in XNNPACK".into());
    }
    doubts
}

/// The battery's temperatures before and after as text, and a warning if the phone is hot.
pub(crate) fn heat(before: Option<f64>, after: Option<f64>) -> (String, Option<String>) {
    let show = |heat: Option<f64>| heat.map_or("unknown".into(), |heat| format!("{heat:.1} °C"));
    let text = format!("{} before, {} after", show(before), show(after));
    let most = before.into_iter().chain(after).fold(f64::NEG_INFINITY, f64::max);
    let warning = (most >= HOT).then(|| {
        format!(
            "the battery has {most:.1} °C: let the phone cool down, hot phones lower their clocks"
        )
    });
    (text, warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(min_us: f64, percentiles: Option<(f64, f64)>) -> Round {
        let (p5_us, median_us) = percentiles.unzip();
        Round { runs: 50, min_us, avg_us: min_us + 30.0, p5_us, median_us, ..Round::default() }
    }

    #[test]
    fn figures_are_of_all_rounds() {
        let rounds = [
            round(1000.0, Some((1010.0, 1100.0))),
            round(1050.0, Some((1060.0, 1150.0))),
            round(990.0, Some((1000.0, 1090.0))),
        ];
        let (figures, warnings) = summarize(&rounds);
        let expected = Figures {
            min_ms: 0.99,
            p10_ms: 1.02,
            median_ms: 1.1,
            runs: 150,
            drift: 1050.0 / 990.0,
        };
        assert_eq!(figures, expected);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("p10 is interpolated"));
    }

    #[test]
    fn stand_ins_are_named() {
        let (figures, warnings) = summarize(&[round(1000.0, None), round(1010.0, None)]);
        assert_eq!((figures.p10_ms, figures.median_ms), (1.0, 1.035));
        assert!(warnings[0].contains("averages") && warnings[1].contains("minimum"));
    }

    #[test]
    fn a_phone_that_slows_down_is_doubted() {
        let rounds = [round(1000.0, Some((1000.0, 1300.0))), round(1500.0, Some((1500.0, 1600.0)))];
        let (figures, warnings) = summarize(&rounds);
        assert_eq!(figures.drift, 1.5);
        assert!(warnings[1].contains("1.50 times as long"), "{warnings:?}");
        assert!(warnings[2].contains("the median is 1.45 times"), "{warnings:?}");
    }

    #[test]
    fn what_ran_outside_xnnpack_is_told() {
        let with = |delegation| {
            let round = Round { delegation, ..round(1000.0, Some((1000.0, 1000.0))) };
            summarize(&[round]).1.split_off(1)
        };
        assert!(with(Delegation::All).is_empty() && with(Delegation::Unknown).is_empty());
        assert!(with(Delegation::Some)[0].contains("a part"));
        assert!(with(Delegation::None)[0].contains("nothing"));
    }

    #[test]
    fn runs_below_the_clock_are_no_division_by_zero() {
        let (figures, _) = summarize(&[round(0.0, None)]);
        assert_eq!((figures.min_ms, figures.drift), (0.001, 1.0));
    }

    #[test]
    fn only_a_hot_phone_is_warned_of() {
        assert_eq!(heat(Some(28.5), None), ("28.5 °C before, unknown after".into(), None));
        assert!(heat(Some(39.0), Some(41.0)).1.is_some_and(|text| text.contains("41.0 °C")));
    }
}
