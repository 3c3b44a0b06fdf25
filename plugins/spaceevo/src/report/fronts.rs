//! What accuracies a space reaches at what latencies, and how two spaces compare.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A latency in milliseconds with the accuracy that is had for it, as a share.
pub type Point = (f64, f64);

/// The points of a space that no other beats, from the fastest to the most accurate.
#[derive(Debug, Clone, PartialEq)]
pub struct Front(Vec<Point>);

/// The latency at which a front reaches an accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reached {
    /// Between its points, in proportion.
    At(f64),
    /// Its fastest point is more accurate than that.
    Within(f64),
}

impl Front {
    /// Of any points.
    pub fn new(mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut best = f64::NEG_INFINITY;
        points.retain(|point| {
            let better = point.1 > best;
            best = best.max(point.1);
            better
        });
        Self(points)
    }

    /// `None` where no point is as accurate.
    fn reaches(&self, accuracy: f64) -> Option<Reached> {
        let above = self.0.iter().position(|point| point.1 >= accuracy)?;
        let (ms, reached) = self.0[above];
        let Some(before) = above.checked_sub(1) else {
            let exact = reached == accuracy;
            return Some(if exact { Reached::At(ms) } else { Reached::Within(ms) });
        };
        let (faster_ms, worse) = self.0[before];
        Some(Reached::At(faster_ms + (ms - faster_ms) * (accuracy - worse) / (reached - worse)))
    }

    /// The accuracy at a latency, between its points in proportion, and that of its last point
    /// beyond; `None` where no point is as fast.
    fn accuracy_at(&self, ms: f64) -> Option<f64> {
        let before = self.0.iter().rposition(|point| point.0 <= ms)?;
        let (faster_ms, worse) = self.0[before];
        let Some((slower_ms, better)) = self.0.get(before + 1) else { return Some(worse) };
        Some(worse + (better - worse) * (ms - faster_ms) / (slower_ms - faster_ms))
    }
}

/// One space against another, where it can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// How much faster, for each network of the other's front.
    pub speed_ups: Vec<SpeedUp>,
    /// Geometric mean of the speed-ups that are known; none where no accuracy of the other is reached.
    pub mean_speed_up: Option<f64>,
    /// How much more accurate, for each network of the own front.
    pub gains: Vec<Gain>,
    /// Mean of the gains that are known, as a share; none where the other has no network as fast.
    pub mean_gain: Option<f64>,
}

/// How much faster the space is at the accuracy of one of the other's networks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpeedUp {
    /// The accuracy of the other's network, as a share.
    pub accuracy: f64,
    /// The other's latency in milliseconds.
    pub other_ms: f64,
    /// The own latency at that accuracy in milliseconds; none where it is not reached.
    pub ms: Option<f64>,
    /// `other_ms / ms`; none where the accuracy is not reached.
    pub speed_up: Option<f64>,
    /// Whether the own fastest network is more accurate: the speed-up is at least this, then.
    pub at_least: bool,
}

/// How much more accurate the space is at the latency of one of its networks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gain {
    /// Latency of the own network in milliseconds.
    pub ms: f64,
    /// Its accuracy, as a share.
    pub accuracy: f64,
    /// The other's accuracy at that latency; none where it has no network as fast.
    pub other_accuracy: Option<f64>,
    /// `accuracy − other_accuracy`.
    pub gain: Option<f64>,
}

impl Comparison {
    /// `own` against `other`.
    pub fn new(own: &Front, other: &Front) -> Self {
        let speed_up = |&(other_ms, accuracy): &Point| {
            let reached = own.reaches(accuracy);
            let ms = reached.map(|reached| match reached {
                Reached::At(ms) | Reached::Within(ms) => ms,
            });
            SpeedUp {
                accuracy,
                other_ms,
                ms,
                speed_up: ms.map(|ms| other_ms / ms),
                at_least: matches!(reached, Some(Reached::Within(_))),
            }
        };
        let gain = |&(ms, accuracy): &Point| {
            let other_accuracy = other.accuracy_at(ms);
            Gain {
                ms,
                accuracy,
                other_accuracy,
                gain: other_accuracy.map(|other| accuracy - other),
            }
        };
        let speed_ups: Vec<SpeedUp> = other.0.iter().map(speed_up).collect();
        let gains: Vec<Gain> = own.0.iter().map(gain).collect();
        let logs = speed_ups.iter().filter_map(|point| point.speed_up).map(f64::ln);
        let mean_speed_up = mean(logs).map(f64::exp);
        let mean_gain = mean(gains.iter().filter_map(|point| point.gain));
        Self { speed_ups, mean_speed_up, gains, mean_gain }
    }

    /// Whether the mean speed-up is a lower bound, as one of its speed-ups is.
    pub fn is_at_least(&self) -> bool {
        self.speed_ups.iter().any(|point| point.at_least)
    }

    /// How many of the other's accuracies are reached.
    pub fn reached(&self) -> usize {
        self.speed_ups.iter().filter(|point| point.speed_up.is_some()).count()
    }
}

/// A front against one network: between its points, in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgainstNetwork {
    /// The network's latency over that of the front at its accuracy; none where the front does not reach it.
    pub speed_up: Option<f64>,
    /// Whether the front's fastest point is more accurate: the speed-up is at least this, then.
    pub at_least: bool,
    /// The front's accuracy at the network's latency less the network's, as a share; none where no point is as
    /// fast.
    pub gain: Option<f64>,
}

impl AgainstNetwork {
    /// `own` against a network.
    pub fn new(own: &Front, (network_ms, accuracy): Point) -> Self {
        let reached = own.reaches(accuracy);
        let speed_up = reached.map(|reached| match reached {
            Reached::At(ms) | Reached::Within(ms) => network_ms / ms,
        });
        let at_least = matches!(reached, Some(Reached::Within(_)));
        let gain = own.accuracy_at(network_ms).map(|own| own - accuracy);
        Self { speed_up, at_least, gain }
    }
}

/// `None` of no values.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, wanted: f64) {
        assert!((found.unwrap() - wanted).abs() < 1e-9, "{found:?}, not {wanted}");
    }

    #[test]
    fn beaten_points_are_no_part_of_a_front() {
        let points = vec![(3.0, 0.8), (1.0, 0.7), (2.0, 0.9), (2.0, 0.6), (4.0, 0.9), (5.0, 0.95)];
        assert_eq!(Front::new(points).0, [(1.0, 0.7), (2.0, 0.9), (5.0, 0.95)]);
    }

    #[test]
    fn between_points_latency_and_accuracy_are_in_proportion() {
        let front = Front::new(vec![(1.0, 0.8), (2.0, 0.9)]);
        assert_eq!(front.reaches(0.8), Some(Reached::At(1.0)));
        assert_eq!(front.reaches(0.7), Some(Reached::Within(1.0)));
        assert_eq!(front.reaches(0.91), None);
        let Some(Reached::At(ms)) = front.reaches(0.825) else { panic!("between the points") };
        assert!((ms - 1.25).abs() < 1e-9);
        close(front.accuracy_at(1.25), 0.825);
        close(front.accuracy_at(7.0), 0.9);
        assert_eq!(front.accuracy_at(0.9), None);
    }

    #[test]
    fn a_space_that_is_twice_as_fast_has_a_speed_up_of_two() {
        let other = Front::new(vec![(2.0, 0.8), (3.0, 0.85), (4.0, 0.9)]);
        let own = Front::new(vec![(1.0, 0.8), (2.0, 0.9)]);
        let compared = Comparison::new(&own, &other);
        close(compared.mean_speed_up, 2.0);
        close(compared.gains[1].gain, 0.1);
        assert_eq!(compared.gains[0].gain, None, "the other has no network of 1 ms");
        close(compared.mean_gain, 0.1);
        let reverse = Comparison::new(&other, &own);
        close(reverse.mean_speed_up, 0.5);
    }

    #[test]
    fn what_is_not_reached_is_not_counted_and_bounds_are_marked() {
        let own = Front::new(vec![(1.0, 0.8)]);
        let other = Front::new(vec![(1.5, 0.7), (2.0, 0.9)]);
        let compared = Comparison::new(&own, &other);
        assert!(compared.speed_ups[0].at_least && !compared.speed_ups[1].at_least);
        assert_eq!(compared.speed_ups[1].speed_up, None);
        close(compared.mean_speed_up, 1.5);
        assert!(compared.is_at_least());
        assert_eq!(compared.reached(), 1);
        assert!(!Comparison::new(&own, &own).is_at_least());
        let nothing = Comparison::new(&Front::new(Vec::new()), &other);
        assert_eq!((nothing.mean_speed_up, nothing.mean_gain), (None, None));
    }

    #[test]
    fn a_front_stands_against_one_network() {
        let own = Front::new(vec![(1.0, 0.8), (2.0, 0.9)]);
        let against = |network| AgainstNetwork::new(&own, network);
        let between = against((3.0, 0.85));
        close(between.speed_up, 2.0);
        close(between.gain, 0.05);
        assert!(!between.at_least);
        let worse = against((1.5, 0.7));
        close(worse.speed_up, 1.5);
        assert!(worse.at_least);
        let beyond = against((0.5, 0.95));
        assert_eq!((beyond.speed_up, beyond.gain), (None, None));
    }
}
