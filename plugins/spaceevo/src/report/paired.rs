//! How surely the networks of one space are better than those of another: both are judged on the same test images,
//! and were trained one or several times.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::random;

use super::{
    Interval,
    certainty::student,
    fronts::{AgainstNetwork, Comparison, Front, Point, mean},
};

/// Draws of test images, with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
const DRAWS: usize = 1000;
/// Share of cases that have to have a figure before it says something.
const MOST: f64 = 0.975;

/// A network on the test images.
#[derive(Debug, Clone)]
pub(crate) struct TestedNetwork {
    /// The latency limit that it was chosen for, in milliseconds.
    pub budget_ms: f64,
    /// Its measured latency in milliseconds.
    pub ms: f64,
    /// Half of the measured runs take at most this much longer, in milliseconds.
    pub spread_ms: f64,
    /// Whether it classifies each test image correctly.
    pub right: Vec<bool>,
}

/// How surely one space is better than another. Each training of the one is compared with each of the other. No
/// allowance is made for how many spaces and budgets are compared: of twenty figures without a difference, one may
/// seem to have one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certainty {
    /// How often the supernet of the own space was trained.
    pub own_trainings: usize,
    /// How often that of the other one was trained. What was trained once is taken to vary from one training to the
    /// next as the space that was trained more often does.
    pub other_trainings: usize,
    /// Whether intervals hold how one training differs from the next: where both were trained once, they are over
    /// images and latencies alone, and verdicts are of these two trainings, not of the spaces.
    pub over_trainings: bool,
    /// How many times faster at equal accuracy, as the geometric mean over the other's networks whose accuracy is
    /// reached; none where none is reached.
    pub speed_up: Option<Estimate>,
    /// How much more accurate at equal latency, as a share, as the mean over the own networks for which the other has
    /// one as fast; none where it has none.
    pub gain: Option<Estimate>,
    /// The networks within each budget that both have networks for.
    pub budgets: Vec<PairedNetworks>,
}

/// The networks of both spaces within one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairedNetworks {
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// How much larger the own network's share of right answers is, as the mean over all trainings.
    pub difference: Estimate,
    /// Probability of a difference as large between the networks of the first trainings alone if they were equally
    /// good: McNemar's exact test (Psychometrika 12, 1947), two-sided.
    pub p: f64,
    /// How many times faster the own space reaches the accuracy of the other's network; none where it does not.
    pub speed_up: Option<Estimate>,
}

/// A figure, and how surely it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// As measured.
    pub value: f64,
    /// From where to where it lies with 95 % certainty: by Student's distribution, with the variance over draws of
    /// test images and of latencies within their spread, and that between trainings (degrees of freedom after
    /// Satterthwaite, 1946).
    pub interval: Interval,
    /// For which share of the networks, trainings and draws there is such a figure: some accuracies may not be
    /// reached, some latencies may be too short for the other.
    pub known: f64,
    /// Whether a speed-up is at least this, as the own fastest network is more accurate than some of the other's.
    pub at_least: bool,
    /// What it says of the own space.
    pub verdict: Verdict,
}

/// What a figure says of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is better; of speed-ups: and 97.5 % of the other's accuracies are reached.
    Better,
    /// The whole interval is worse; of speed-ups: and it is no lower bound; of gains: and the other has a network as
    /// fast in 97.5 % of the cases.
    Worse,
    /// Neither, or only one of several trainings has the figure: no difference is shown.
    NoDifference,
}

impl Verdict {
    /// What two figures say of a space, in words.
    pub fn in_words(speed_up: Option<&Estimate>, gain: Option<&Estimate>) -> &'static str {
        let verdict = |estimate: Option<&Estimate>| {
            estimate.map_or(Self::NoDifference, |estimate| estimate.verdict)
        };
        match (verdict(speed_up), verdict(gain)) {
            (Self::Better, Self::Better) => "faster, more accurate",
            (Self::Better, Self::Worse) => "faster, but less accurate",
            (Self::Better, Self::NoDifference) => "faster",
            (Self::Worse, Self::Better) => "more accurate, but slower",
            (Self::Worse, Self::Worse) => "slower, less accurate",
            (Self::Worse, Self::NoDifference) => "slower",
            (Self::NoDifference, Self::Better) => "more accurate",
            (Self::NoDifference, Self::Worse) => "less accurate",
            (Self::NoDifference, Self::NoDifference) => "no difference shown",
        }
    }
}

impl Certainty {
    /// Of the networks of each training, in the order of the budgets. All were judged on the same images.
    pub(crate) fn new(own: &[Vec<TestedNetwork>], other: &[Vec<TestedNetwork>], seed: u64) -> Self {
        let images = own.iter().chain(other).flatten().map(|network| network.right.len()).max();
        let images = images.unwrap_or(0);
        let budgets = budgets(own, other);
        let figures = |draw: &Draw, rng: &mut dyn FnMut() -> f64| {
            let mut points = |trained: &[Vec<TestedNetwork>]| -> Vec<Judged> {
                trained.iter().map(|networks| Judged::new(networks, draw, rng)).collect()
            };
            let (own, other) = (points(own), points(other));
            let pairs =
                |own| other.iter().map(|other| Figures::new(own, other, &budgets)).collect();
            own.iter().map(pairs).collect::<Vec<Vec<Figures>>>()
        };
        let measured = figures(&Draw(vec![1; images]), &mut || 0.0);
        let mut rng = random::generator(seed, &["bootstrap"]);
        let mut draws = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS {
            let draw = Draw::new(images, &mut rng);
            draws.push(figures(&draw, &mut || rng.random_range(0.0..1.0)));
        }
        let estimate = |scale: Scale, of: &dyn Fn(&Figures) -> Figure| {
            let of_draw = |draw: &Vec<Vec<Figures>>| {
                let pairs = || draw.iter().flatten().map(of);
                (mean(pairs().filter_map(|figure| figure.mean())), Figure::sum(pairs()))
            };
            let table = measured.iter().map(|row| row.iter().map(|f| of(f).mean()).collect());
            Estimate::new(scale, &table.collect::<Vec<_>>(), draws.iter().map(of_draw))
        };
        let of_budget = |(index, &budget_ms): (usize, &f64)| {
            let [first, second] = [own, other].map(|trained| network(&trained[0], budget_ms));
            Some(PairedNetworks {
                budget_ms,
                difference: estimate(Scale::Points, &|figures| figures.budgets[index].0)?,
                p: mcnemar(&first?.right, &second?.right),
                speed_up: estimate(Scale::Times, &|figures| figures.budgets[index].1),
            })
        };
        Self {
            own_trainings: own.len(),
            other_trainings: other.len(),
            over_trainings: own.len().max(other.len()) > 1,
            speed_up: estimate(Scale::Times, &|figures| figures.speed_up),
            gain: estimate(Scale::Points, &|figures| figures.gain),
            budgets: budgets.iter().enumerate().filter_map(of_budget).collect(),
        }
    }
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// A factor, of which the logarithm is computed with.
    Times,
    /// A difference of shares.
    Points,
}

impl Estimate {
    /// Of the figure by own training and other training, and in each draw: its mean over these, and its sums.
    fn new(
        scale: Scale,
        measured: &[Vec<Option<f64>>],
        draws: impl Iterator<Item = (Option<f64>, Figure)>,
    ) -> Option<Self> {
        let value = mean(measured.iter().flatten().copied().flatten())?;
        let (means, figures): (Vec<Option<f64>>, Vec<Figure>) = draws.unzip();
        let (_, over_images) = spread(means.into_iter().flatten());
        let own = spread(measured.iter().filter_map(|row| mean(row.iter().copied().flatten())));
        let columns = (0..measured.first().map_or(0, Vec::len))
            .filter_map(|column| mean(measured.iter().filter_map(|row| row[column])));
        let other = spread(columns);
        // Variances of the mean with their degrees of freedom.
        let between: Vec<(f64, f64)> = match (own, other) {
            ((0 | 1, _), (0 | 1, _)) => Vec::new(),
            ((0 | 1, _), (n, variance)) | ((n, variance), (0 | 1, _)) => {
                vec![(variance * (1.0 + 1.0 / n as f64), n as f64 - 1.0)]
            }
            (own, other) => {
                [own, other].map(|(n, variance)| (variance / n as f64, n as f64 - 1.0)).into()
            }
        };
        let variance = over_images + between.iter().map(|part| part.0).sum::<f64>();
        let inverse: f64 = between.iter().map(|(part, degrees)| part * part / degrees).sum();
        let degrees = if inverse > 0.0 { variance * variance / inverse } else { f64::INFINITY };
        let half = student(degrees.max(1.0)) * variance.sqrt();
        let all = Figure::sum(figures.into_iter());
        let known = all.known as f64 / all.wanted.max(1) as f64;
        let at_least = all.bounds as f64 > (1.0 - MOST) * all.known as f64;
        let (low, high) = (value - half, value + half);
        let (may_be_better, may_be_worse) = match scale {
            Scale::Times => (known >= MOST, !at_least),
            Scale::Points => (true, known >= MOST),
        };
        let trainings = measured.len().max(measured.first().map_or(0, Vec::len));
        // Two trainings without the figure, of three, say that it varies, not how much.
        let is_shown = trainings == 1 || !between.is_empty();
        let verdict = match () {
            () if !is_shown => Verdict::NoDifference,
            () if low > 0.0 && may_be_better => Verdict::Better,
            () if high < 0.0 && may_be_worse => Verdict::Worse,
            () => Verdict::NoDifference,
        };
        let shown = |value: f64| if scale == Scale::Times { value.exp() } else { value };
        let interval = Interval { low: shown(low), high: shown(high) };
        Some(Self { value: shown(value), interval, known, at_least, verdict })
    }
}

/// How many values, and their variance.
fn spread(values: impl Iterator<Item = f64>) -> (usize, f64) {
    let values: Vec<f64> = values.collect();
    let n = values.len();
    let Some(mean) = mean(values.iter().copied()) else { return (0, 0.0) };
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (n, squares / n.saturating_sub(1).max(1) as f64)
}

/// How often each image counts.
struct Draw(Vec<u32>);

impl Draw {
    fn new(images: usize, rng: &mut impl Rng) -> Self {
        let mut times = vec![0; images];
        for _ in 0..images {
            times[rng.random_range(0..images)] += 1;
        }
        Self(times)
    }

    fn accuracy(&self, network: &TestedNetwork) -> f64 {
        let times = self.0.iter().zip(&network.right);
        let right: u32 = times.map(|(times, right)| times * u32::from(*right)).sum();
        f64::from(right) / self.0.len().max(1) as f64
    }
}

/// The networks of one training in one draw.
struct Judged {
    /// With their budgets.
    points: Vec<(f64, Point)>,
    front: Front,
}

impl Judged {
    /// `within` says where between its latency and its spread a network is.
    fn new(networks: &[TestedNetwork], draw: &Draw, within: &mut dyn FnMut() -> f64) -> Self {
        let mut point = |network: &TestedNetwork| {
            let ms = network.ms + within() * network.spread_ms;
            (network.budget_ms, (ms, draw.accuracy(network)))
        };
        let points: Vec<(f64, Point)> = networks.iter().map(&mut point).collect();
        let front = Front::new(points.iter().map(|(_, point)| *point).collect());
        Self { points, front }
    }

    fn at(&self, budget_ms: f64) -> Option<Point> {
        self.points.iter().find(|(budget, _)| *budget == budget_ms).map(|(_, point)| *point)
    }
}

/// A mean over networks, as a sum.
#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    sum: f64,
    /// Values that are known, of those that are wanted.
    known: usize,
    wanted: usize,
    /// Those that are lower bounds.
    bounds: usize,
}

impl Figure {
    fn of(values: impl Iterator<Item = (Option<f64>, bool)>) -> Self {
        let mut figure = Self::default();
        for (value, is_bound) in values {
            figure.wanted += 1;
            if let Some(value) = value {
                figure.sum += value;
                figure.known += 1;
                figure.bounds += usize::from(is_bound);
            }
        }
        figure
    }

    fn mean(&self) -> Option<f64> {
        (self.known > 0).then(|| self.sum / self.known as f64)
    }

    fn sum(figures: impl Iterator<Item = Self>) -> Self {
        figures.fold(Self::default(), |all, Self { sum, known, wanted, bounds }| Self {
            sum: all.sum + sum,
            known: all.known + known,
            wanted: all.wanted + wanted,
            bounds: all.bounds + bounds,
        })
    }
}

/// What one training says against another in one draw. Speed-ups are logarithms.
struct Figures {
    speed_up: Figure,
    gain: Figure,
    /// Difference and speed-up of each budget.
    budgets: Vec<(Figure, Figure)>,
}

impl Figures {
    fn new(own: &Judged, other: &Judged, budgets: &[f64]) -> Self {
        let compared = Comparison::new(&own.front, &other.front);
        let of_budget = |&budget_ms: &f64| {
            let (first, second) = (own.at(budget_ms), other.at(budget_ms));
            let difference = first.zip(second).map(|(first, second)| first.1 - second.1);
            let against = second.map(|network| AgainstNetwork::new(&own.front, network));
            let speed_up = against.map(|against| (against.speed_up.map(f64::ln), against.at_least));
            let one = |value: (Option<f64>, bool)| Figure::of(std::iter::once(value));
            (one((difference, false)), one(speed_up.unwrap_or_default()))
        };
        let speed_ups = compared.speed_ups.iter();
        Self {
            speed_up: Figure::of(speed_ups.map(|s| (s.speed_up.map(f64::ln), s.at_least))),
            gain: Figure::of(compared.gains.iter().map(|gain| (gain.gain, false))),
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
mod tests;
