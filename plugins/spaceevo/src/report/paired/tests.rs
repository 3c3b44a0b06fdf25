//! Cases whose answers are known.

use super::*;

/// Right answers of a network: `base` of ten images, shifted so that errors differ between networks.
fn tested(budget_ms: f64, ms: f64, base: usize, images: usize, shift: usize) -> TestedNetwork {
    let right = (0..images).map(|image| (image * 7 + shift) % 10 < base).collect();
    TestedNetwork { budget_ms, ms, spread_ms: 0.0, right }
}

#[test]
fn what_is_clearly_better_is_said_to_be() {
    let own = [vec![tested(1.0, 1.0, 8, 2000, 0), tested(2.0, 2.0, 9, 2000, 0)]];
    let other = [vec![tested(1.0, 1.0, 6, 2000, 0), tested(2.0, 2.0, 8, 2000, 3)]];
    let certainty = Certainty::new(&own, &other, 1);
    let speed_up = certainty.speed_up.unwrap();
    assert_eq!((speed_up.verdict, speed_up.known), (Verdict::Better, 1.0));
    assert!(speed_up.interval.low > 1.0 && speed_up.interval.high >= speed_up.value);
    assert!(speed_up.at_least && !certainty.over_trainings);
    let gain = certainty.gain.unwrap();
    assert!((gain.value - 0.15).abs() < 1e-9, "{gain:?}");
    assert!(gain.interval.low < 0.15 && 0.15 < gain.interval.high, "{gain:?}");
    let first = &certainty.budgets[0];
    assert_eq!((first.budget_ms, first.difference.verdict), (1.0, Verdict::Better));
    assert!((first.difference.value - 0.2).abs() < 1e-9 && first.p < 1e-6);
    let reverse = Certainty::new(&other, &own, 1);
    assert_eq!(reverse.gain.unwrap().verdict, Verdict::Worse);
    assert_eq!(Certainty::new(&own, &other, 1), certainty);
}

#[test]
fn equals_show_no_difference() {
    let own = [vec![tested(1.0, 1.0, 8, 500, 0), tested(2.0, 2.0, 9, 500, 1)]];
    let certainty = Certainty::new(&own, &own, 1);
    assert_eq!(certainty.gain.unwrap().verdict, Verdict::NoDifference);
    assert_eq!((certainty.budgets.len(), certainty.budgets[1].p), (2, 1.0));
}

/// Both trainings of one space are better than both of the other, which by chance is so in a third of the cases.
#[test]
fn few_trainings_that_differ_show_nothing() {
    let of = |base: usize| vec![tested(1.0, 1.0, base, 4000, 0)];
    let once = Certainty::new(&[of(9)], &[of(7)], 1).budgets[0].difference;
    assert_eq!(once.verdict, Verdict::Better);
    let twice = Certainty::new(&[of(9), of(8)], &[of(7), of(6)], 1);
    assert_eq!((twice.own_trainings, twice.other_trainings), (2, 2));
    assert!(twice.over_trainings);
    let difference = twice.budgets[0].difference;
    assert!((difference.value - 0.2).abs() < 1e-9);
    assert_eq!(difference.verdict, Verdict::NoDifference);
    // Two degrees of freedom, as both vary alike: 4.3 times √(0.005 / 2 + 0.005 / 2), and a little for the images.
    let half = (difference.interval.high - difference.interval.low) / 2.0;
    assert!((0.29..0.32).contains(&half), "{half}");
    // What was trained once varies as the other does.
    let against_one = Certainty::new(&[of(9), of(8)], &[of(7)], 1).budgets[0].difference;
    assert!(against_one.interval.low < -0.5, "{against_one:?}");
    let alike = Certainty::new(&[of(9), of(9), of(9)], &[of(7), of(7), of(7)], 1);
    assert_eq!(alike.budgets[0].difference.verdict, Verdict::Better);
}

#[test]
fn lower_bounds_do_not_say_that_a_space_is_slower() {
    let own = [vec![tested(1.0, 0.98, 9, 1000, 0)]];
    let other = [vec![tested(1.0, 0.95, 6, 1000, 0)]];
    let certainty = Certainty::new(&own, &other, 1);
    let speed_up = certainty.speed_up.unwrap();
    assert!(speed_up.at_least && speed_up.interval.high < 1.0, "{speed_up:?}");
    assert_eq!(speed_up.verdict, Verdict::NoDifference);
}

#[test]
fn who_misses_accuracies_is_not_said_to_be_faster() {
    let own = [vec![tested(1.0, 1.0, 6, 1000, 0)]];
    let other = [vec![tested(1.0, 2.0, 6, 1000, 0), tested(4.0, 4.0, 9, 1000, 0)]];
    let speed_up = Certainty::new(&own, &other, 1).speed_up.unwrap();
    assert!((speed_up.value - 2.0).abs() < 1e-9 && (speed_up.known - 0.5).abs() < 1e-9);
    assert_eq!(speed_up.verdict, Verdict::NoDifference);
}

/// Of three trainings one reaches the accuracy: how the next ones do is not known.
#[test]
fn what_one_of_several_trainings_reaches_shows_nothing() {
    let of =
        |base: usize, ms: f64| vec![tested(1.0, 1.0, 3, 1000, 0), tested(2.0, ms, base, 1000, 0)];
    let other = [vec![tested(2.0, 1.5, 8, 1000, 0)]];
    let once = Certainty::new(&[of(9, 2.0)], &other, 1).speed_up.unwrap();
    assert_eq!(once.verdict, Verdict::Worse, "{once:?}");
    let thrice = Certainty::new(&[of(9, 2.0), of(6, 2.0), of(6, 2.0)], &other, 1);
    assert_eq!(thrice.speed_up.unwrap().verdict, Verdict::NoDifference);
}

#[test]
fn differences_within_the_spread_of_latencies_are_none() {
    let of = |ms| [vec![TestedNetwork { spread_ms: 0.1, ..tested(1.0, ms, 8, 1000, 0) }]];
    let close = Certainty::new(&of(1.0), &of(1.01), 1).speed_up.unwrap();
    assert_eq!(close.verdict, Verdict::NoDifference, "{close:?}");
    assert_eq!(Certainty::new(&of(1.0), &of(1.5), 1).speed_up.unwrap().verdict, Verdict::Better);
}

#[test]
fn what_is_not_reached_is_not_known() {
    let own = [vec![tested(1.0, 1.0, 6, 500, 0)]];
    let other = [vec![tested(2.0, 2.0, 9, 500, 0)]];
    let certainty = Certainty::new(&own, &other, 1);
    assert_eq!((certainty.speed_up, certainty.gain), (None, None));
    assert!(certainty.budgets.is_empty());
    let nothing = Certainty::new(&[Vec::new()], &other, 1);
    assert_eq!((nothing.speed_up, nothing.budgets.len()), (None, 0));
}

#[test]
fn words_hide_no_contradiction() {
    let estimate = |verdict| Estimate {
        value: 1.0,
        interval: Interval { low: 0.9, high: 1.1 },
        known: 1.0,
        at_least: false,
        verdict,
    };
    let words =
        |speed_up, gain| Verdict::in_words(Some(&estimate(speed_up)), Some(&estimate(gain)));
    assert_eq!(words(Verdict::Better, Verdict::Worse), "faster, but less accurate");
    assert_eq!(words(Verdict::Worse, Verdict::Better), "more accurate, but slower");
    assert_eq!(Verdict::in_words(None, None), "no difference shown");
}

/// 2 (1 + 12 + 66) / 2¹² for 2 and 10 images that one network alone gets right.
#[test]
fn the_paired_test_is_that_of_mcnemar() {
    let networks = |right: fn(usize) -> bool| (0..100).map(right).collect::<Vec<bool>>();
    let (own, other) = (networks(|image| image < 80), networks(|image| image >= 10));
    let other: Vec<bool> =
        other.iter().enumerate().map(|(image, right)| *right && !(82..).contains(&image)).collect();
    assert!((mcnemar(&own, &other) - 158.0 / 4096.0).abs() < 1e-12);
    assert_eq!(mcnemar(&own, &own), 1.0);
    let many = mcnemar(&vec![true; 10_000], &vec![false; 10_000]);
    assert!((0.0..1e-300).contains(&many));
}
