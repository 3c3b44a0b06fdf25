//! How surely the networks of one space are better than those of another: both are judged on the same test images,
//! and were trained one or several times.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{latency::quantile, random};

use super::{
    Interval,
    fronts::{AgainstNetwork, Comparison, Front, Point, mean},
};

/// Draws of images and trainings, with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
const DRAWS: usize = 2000;
/// Shares of the draws at which an interval of 95 % certainty ends.
const ENDS: [f64; 2] = [0.025, 0.975];

/// A network on the test images.
#[derive(Debug, Clone)]
pub(crate) struct TestedNetwork {
    /// The latency limit that it was chosen for, in milliseconds.
    pub budget_ms: f64,
    /// Its measured latency in milliseconds.
    pub ms: f64,
    /// Whether it classifies each test image correctly.
    pub right: Vec<bool>,
}

/// How surely one space is better than another. Each training of the one is compared with each of the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certainty {
    /// How often the supernet of the own space was trained. With one training, intervals are over images alone, and
    /// leave out how one training differs from the next.
    pub own_trainings: usize,
    /// How often that of the other one was trained.
    pub other_trainings: usize,
    /// How many times faster at equal accuracy, as the geometric mean over the other's networks whose accuracy is
    /// reached, and at least so many where the own fastest network is more accurate; none where none is reached.
    pub speed_up: Option<Estimate>,
    /// How much more accurate at equal latency, as a share; none where the other has no network as fast.
    pub gain: Option<Estimate>,
    /// The networks within each budget that both have networks for.
    pub budgets: Vec<PairedNetworks>,
}

/// The networks of both spaces within one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairedNetworks {
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// How much larger the own network's share of right answers is.
    pub difference: Estimate,
    /// Probability of a difference as large between the networks of the first trainings if they were equally good:
    /// McNemar's exact test (Psychometrika 12, 1947), two-sided.
    pub p: f64,
    /// How many times faster the own space reaches the accuracy of the other's network; none where it does not.
    pub speed_up: Option<Estimate>,
}

/// A figure, and how surely it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// As measured.
    pub value: f64,
    /// From where to where it lies with 95 % certainty: of draws, with replacement, of test images and trainings.
    pub interval: Interval,
    /// Share of the draws that have such a figure: some may not reach an accuracy.
    pub known: f64,
    /// What it says of the own space.
    pub verdict: Verdict,
}

/// What a figure says of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is better in 97.5 % of all draws.
    Better,
    /// It is worse in 97.5 % of all draws.
    Worse,
    /// Neither: no difference is shown.
    NoDifference,
}

impl Verdict {
    /// What two figures say of a space, in words.
    pub fn in_words(speed_up: Option<&Estimate>, gain: Option<&Estimate>) -> &'static str {
        let verdict = |estimate: Option<&Estimate>| estimate.map(|estimate| estimate.verdict);
        match (verdict(speed_up), verdict(gain)) {
            (Some(Self::Better), Some(Self::Better)) => "faster, more accurate",
            (Some(Self::Better), _) => "faster",
            (_, Some(Self::Better)) => "more accurate",
            (Some(Self::Worse), Some(Self::Worse)) => "slower, less accurate",
            (Some(Self::Worse), _) => "slower",
            (_, Some(Self::Worse)) => "less accurate",
            _ => "no difference shown",
        }
    }
}

impl Certainty {
    /// Of the networks of each training, in the order of the budgets. All were judged on the same images.
    pub(crate) fn new(own: &[Vec<TestedNetwork>], other: &[Vec<TestedNetwork>], seed: u64) -> Self {
        let images = own.iter().chain(other).flatten().map(|network| network.right.len()).max();
        let images = images.unwrap_or(0);
        let budgets = budgets(own, other);
        let every = |trained: &[Vec<TestedNetwork>]| (0..trained.len()).collect::<Vec<_>>();
        let once = Draw { own: every(own), other: every(other), times: vec![1; images] };
        let measured = Figures::of(own, other, &budgets, &once);
        let mut rng = random::generator(seed, &["bootstrap"]);
        let mut draws = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS {
            let draw = Draw::new(own.len(), other.len(), images, &mut rng);
            draws.push(Figures::of(own, other, &budgets, &draw));
        }
        let estimate = |neutral: f64, figure: &dyn Fn(&Figures) -> Option<f64>| {
            Estimate::new(figure(&measured)?, neutral, draws.iter().map(figure))
        };
        let of_budget = |(index, &budget_ms): (usize, &f64)| {
            let [first, second] = [own, other].map(|trained| network(&trained[0], budget_ms));
            Some(PairedNetworks {
                budget_ms,
                difference: estimate(0.0, &|figures| Some(figures.budgets[index].0))?,
                p: mcnemar(&first?.right, &second?.right),
                speed_up: estimate(1.0, &|figures| figures.budgets[index].1),
            })
        };
        Self {
            own_trainings: own.len(),
            other_trainings: other.len(),
            speed_up: estimate(1.0, &|figures| figures.speed_up),
            gain: estimate(0.0, &|figures| figures.gain),
            budgets: budgets.iter().enumerate().filter_map(of_budget).collect(),
        }
    }
}

impl Estimate {
    /// Of the figure as measured, what it would be if both were equally good, and what it is in each draw.
    fn new(value: f64, neutral: f64, draws: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let all: Vec<Option<f64>> = draws.collect();
        let mut known: Vec<f64> = all.iter().copied().flatten().collect();
        known.sort_unstable_by(f64::total_cmp);
        let share = |count: usize| count as f64 / all.len().max(1) as f64;
        let above = share(known.iter().filter(|value| **value > neutral).count());
        let below = share(known.iter().filter(|value| **value < neutral).count());
        let verdict = match () {
            () if above >= ENDS[1] => Verdict::Better,
            () if below >= ENDS[1] => Verdict::Worse,
            () => Verdict::NoDifference,
        };
        let [low, high] = ENDS.map(|end| quantile(&known, end));
        let interval = Interval { low, high };
        (!known.is_empty()).then(|| Self { value, interval, known: share(known.len()), verdict })
    }
}

/// Trainings of each space, and how often each image counts.
struct Draw {
    own: Vec<usize>,
    other: Vec<usize>,
    times: Vec<u32>,
}

impl Draw {
    fn new(own: usize, other: usize, images: usize, rng: &mut impl Rng) -> Self {
        let mut times = vec![0; images];
        for _ in 0..images {
            times[rng.random_range(0..images)] += 1;
        }
        let mut some = |all: usize| (0..all).map(|_| rng.random_range(0..all)).collect();
        Self { own: some(own), other: some(other), times }
    }

    fn accuracy(&self, network: &TestedNetwork) -> f64 {
        let times = self.times.iter().zip(&network.right);
        let right: u32 = times.map(|(times, right)| times * u32::from(*right)).sum();
        f64::from(right) / self.times.len().max(1) as f64
    }
}

/// What one draw says.
struct Figures {
    speed_up: Option<f64>,
    gain: Option<f64>,
    /// Difference and speed-up of each budget.
    budgets: Vec<(f64, Option<f64>)>,
}

impl Figures {
    fn of(
        own: &[Vec<TestedNetwork>],
        other: &[Vec<TestedNetwork>],
        budgets: &[f64],
        draw: &Draw,
    ) -> Self {
        let points = |trained: &[Vec<TestedNetwork>], drawn: &[usize]| -> Vec<Vec<Point>> {
            let judged: Vec<Vec<Point>> = trained
                .iter()
                .map(|networks| networks.iter().map(|n| (n.ms, draw.accuracy(n))).collect())
                .collect();
            drawn.iter().map(|&training| judged[training].clone()).collect()
        };
        let (own_points, other_points) = (points(own, &draw.own), points(other, &draw.other));
        let front = |points: &Vec<Point>| Front::new(points.clone());
        let own_fronts: Vec<Front> = own_points.iter().map(front).collect();
        let other_fronts: Vec<Front> = other_points.iter().map(front).collect();
        let pairs = || own_fronts.iter().flat_map(|o| other_fronts.iter().map(move |p| (o, p)));
        let compared: Vec<Comparison> = pairs().map(|(o, p)| Comparison::new(o, p)).collect();
        let of_budget = |&budget_ms: &f64| {
            let at = |trained: &[Vec<TestedNetwork>], drawn: &[usize], points: &[Vec<Point>]| {
                let point = |(&training, points): (&usize, &Vec<Point>)| {
                    let place = trained[training].iter().position(|n| n.budget_ms == budget_ms)?;
                    Some(points[place])
                };
                drawn.iter().zip(points).filter_map(point).collect::<Vec<Point>>()
            };
            let own = at(own, &draw.own, &own_points);
            let other = at(other, &draw.other, &other_points);
            let accuracy = |points: &[Point]| mean(points.iter().map(|point| point.1));
            let difference = accuracy(&own).zip(accuracy(&other)).map_or(0.0, |(a, b)| a - b);
            let against = own_fronts.iter().flat_map(|own| {
                other.iter().map(|network| AgainstNetwork::new(own, *network).speed_up)
            });
            (difference, mean(against.flatten().map(f64::ln)).map(f64::exp))
        };
        let speed_ups = compared.iter().filter_map(|c| c.mean_speed_up);
        Self {
            speed_up: mean(speed_ups.map(f64::ln)).map(f64::exp),
            gain: mean(compared.iter().filter_map(|c| c.mean_gain)),
            budgets: budgets.iter().map(of_budget).collect(),
        }
    }
}

/// Budgets that every training of both has a network for.
fn budgets(own: &[Vec<TestedNetwork>], other: &[Vec<TestedNetwork>]) -> Vec<f64> {
    let Some(first) = own.first().filter(|_| !other.is_empty()) else { return Vec::new() };
    let of_all =
        |budget: &f64| own.iter().chain(other).all(|networks| network(networks, *budget).is_some());
    first.iter().map(|network| network.budget_ms).filter(of_all).collect()
}

fn network(networks: &[TestedNetwork], budget_ms: f64) -> Option<&TestedNetwork> {
    networks.iter().find(|network| network.budget_ms == budget_ms)
}

/// Of images that one network alone gets right, each falls to either with a probability of one half.
fn mcnemar(own: &[bool], other: &[bool]) -> f64 {
    let alone = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let (first, second) = (alone(own, other), alone(other, own));
    let (all, fewer) = (first + second, first.min(second));
    // Binomial terms by their logarithms, as 2 to the power of some thousands is no number.
    let mut term = -(all as f64) * std::f64::consts::LN_2;
    let mut tail = term.exp();
    for k in 1..=fewer {
        term += ((all - k + 1) as f64 / k as f64).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Right answers of a network: `base` of ten images, shifted so that errors differ between networks.
    fn tested(budget_ms: f64, ms: f64, base: usize, images: usize, shift: usize) -> TestedNetwork {
        let right = (0..images).map(|image| (image * 7 + shift) % 10 < base).collect();
        TestedNetwork { budget_ms, ms, right }
    }

    #[test]
    fn what_is_clearly_better_is_said_to_be() {
        let own = [vec![tested(1.0, 1.0, 8, 2000, 0), tested(2.0, 2.0, 9, 2000, 0)]];
        let other = [vec![tested(1.0, 1.0, 6, 2000, 0), tested(2.0, 2.0, 8, 2000, 3)]];
        let certainty = Certainty::new(&own, &other, 1);
        let speed_up = certainty.speed_up.unwrap();
        assert_eq!((speed_up.verdict, speed_up.known), (Verdict::Better, 1.0));
        assert!(speed_up.interval.low > 1.0 && speed_up.interval.high >= speed_up.value);
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

    /// One training is better by five points and one is worse: images alone would call the first one better.
    #[test]
    fn trainings_that_differ_widen_the_interval() {
        let of = |base: usize| vec![tested(1.0, 1.0, base, 4000, 0)];
        let other = [of(8)];
        let once = Certainty::new(&[of(9)], &other, 1);
        assert_eq!(once.budgets[0].difference.verdict, Verdict::Better);
        let twice = Certainty::new(&[of(9), of(7)], &other, 1);
        assert_eq!((twice.own_trainings, twice.other_trainings), (2, 1));
        assert_eq!(twice.budgets[0].difference.verdict, Verdict::NoDifference);
        assert!(twice.budgets[0].difference.interval.low < -0.05);
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

    /// 2 (1 + 12 + 66) / 2¹² for 2 and 10 images that one network alone gets right.
    #[test]
    fn the_paired_test_is_that_of_mcnemar() {
        let networks = |right: fn(usize) -> bool| (0..100).map(right).collect::<Vec<bool>>();
        let (own, other) = (networks(|image| image < 80), networks(|image| image >= 10));
        let other: Vec<bool> = other
            .iter()
            .enumerate()
            .map(|(image, right)| *right && !(82..).contains(&image))
            .collect();
        assert!((mcnemar(&own, &other) - 158.0 / 4096.0).abs() < 1e-12);
        assert_eq!(mcnemar(&own, &own), 1.0);
        let many = mcnemar(&vec![true; 10_000], &vec![false; 10_000]);
        assert!((0.0..1e-300).contains(&many));
    }
}
