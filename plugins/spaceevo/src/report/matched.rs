//! Networks of several studies within the same latency limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Interval, compare::NetworkOnTargets};

/// The networks of all studies within the same latency limits on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchedTarget {
    /// The target.
    pub target: String,
    /// The study that the others are compared with: that whose networks were designed for the target.
    pub reference: String,
    /// The limits, from the strictest.
    pub limits: Vec<MatchedLimit>,
}

/// The networks of all studies within one latency limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchedLimit {
    /// The limit in milliseconds: what one of the networks takes.
    pub limit_ms: f64,
    /// The most accurate network of each study within it, in the order of the studies; none where it has no network
    /// as fast.
    pub networks: Vec<Option<MatchedNetwork>>,
}

/// The most accurate network of a study within a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchedNetwork {
    /// Its position among the study's networks.
    pub network: usize,
    /// Its latency in milliseconds.
    pub ms: f64,
    /// Share of test images that it classifies correctly in INT8.
    pub accuracy: f64,
    /// By how much more than the network of the reference, as a share; none for the reference itself, and where it
    /// has no network as fast.
    pub difference: Option<f64>,
    /// From where to where that difference lies with 95 % certainty, as if the networks had been judged on different
    /// images; none where the number of test images is not known.
    pub interval: Option<Interval>,
}

/// Latency limits closer than 2 % are merged: one network measured twice differs by as much.
const EQUAL: f64 = 0.02;

impl MatchedTarget {
    /// `studies` holds the networks of each, `at` the position of the target among theirs, `reference` the position
    /// of the study that the others are compared with.
    pub(super) fn new(
        target: &str,
        at: usize,
        studies: &[(&str, &[NetworkOnTargets])],
        reference: usize,
    ) -> Self {
        let latencies = studies.iter().flat_map(|(_, networks)| networks.iter());
        let limits = limits(latencies.map(|network| network.on[at].ms).collect());
        let limit = |limit_ms: f64| {
            let best: Vec<Option<(usize, &NetworkOnTargets)>> =
                studies.iter().map(|(_, networks)| best(networks, at, limit_ms)).collect();
            let matched = best.iter().enumerate().map(|(study, found)| {
                let (network, own) = (*found)?;
                let other = best[reference].filter(|_| study != reference);
                let accuracy = |network: &NetworkOnTargets| network.on[at].accuracy;
                Some(MatchedNetwork {
                    network,
                    ms: own.on[at].ms,
                    accuracy: accuracy(own),
                    difference: other.map(|(_, other)| accuracy(own) - accuracy(other)),
                    interval: other.and_then(|(_, other)| {
                        let sample = |of: &NetworkOnTargets| Some((accuracy(of), of.test_images?));
                        Some(Interval::of_difference(sample(own)?, sample(other)?))
                    }),
                })
            });
            MatchedLimit { limit_ms, networks: matched.collect() }
        };
        Self {
            target: target.to_owned(),
            reference: studies[reference].0.to_owned(),
            limits: limits.into_iter().map(limit).collect(),
        }
    }
}

/// Latencies in order, of nearly equal ones the largest.
fn limits(mut latencies: Vec<f64>) -> Vec<f64> {
    latencies.sort_by(|a, b| b.total_cmp(a));
    let mut limits: Vec<f64> = Vec::new();
    for ms in latencies {
        if limits.last().is_none_or(|larger| ms < (1.0 - EQUAL) * larger) {
            limits.push(ms);
        }
    }
    limits.reverse();
    limits
}

/// The most accurate network within a limit; of equal ones the fastest.
fn best(
    networks: &[NetworkOnTargets],
    at: usize,
    limit_ms: f64,
) -> Option<(usize, &NetworkOnTargets)> {
    let within = networks.iter().enumerate().filter(|(_, network)| network.on[at].ms <= limit_ms);
    within.max_by(|(_, a), (_, b)| {
        let (a, b) = (a.on[at], b.on[at]);
        a.accuracy.total_cmp(&b.accuracy).then(b.ms.total_cmp(&a.ms))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::compare::OnTarget;

    fn network(ms: f64, accuracy: f64) -> NetworkOnTargets {
        let on = vec![OnTarget { ms, spread_ms: 0.0, accuracy, verified: true }];
        NetworkOnTargets { network: 0, subnet: String::new(), test_images: Some(1000), on }
    }

    #[test]
    fn nearly_equal_limits_are_one() {
        assert_eq!(limits(vec![2.0, 1.0, 1.99, 3.0]), [1.0, 2.0, 3.0]);
        assert!(limits(Vec::new()).is_empty());
    }

    #[test]
    fn the_best_network_within_each_limit_stands_beside_those_of_the_others() {
        let own = [network(1.0, 0.80), network(2.0, 0.90)];
        // The slower of the other's networks is the worse one.
        let other = [network(1.5, 0.85), network(3.0, 0.84)];
        let matched = MatchedTarget::new("ort", 0, &[("a", &own), ("b", &other)], 0);
        assert_eq!((matched.target.as_str(), matched.reference.as_str()), ("ort", "a"));
        let ms: Vec<f64> = matched.limits.iter().map(|limit| limit.limit_ms).collect();
        assert_eq!(ms, [1.0, 1.5, 2.0, 3.0]);
        let found = |limit: usize, study: usize| matched.limits[limit].networks[study];
        assert_eq!(found(0, 1), None, "no network is as fast");
        let second = found(1, 1).unwrap();
        assert!((second.difference.unwrap() - 0.05).abs() < 1e-12);
        assert!(!second.interval.unwrap().has_zero());
        let last = found(3, 1).unwrap();
        assert_eq!((last.network, last.ms), (0, 1.5), "a larger limit has no worse network");
        assert!((last.difference.unwrap() + 0.05).abs() < 1e-12);
        let reference = found(3, 0).unwrap();
        assert_eq!((reference.difference, reference.interval), (None, None));
    }
}
