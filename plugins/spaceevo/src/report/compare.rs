//! What several studies found, side by side: their spaces, and every network on every target.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{latency::Latency, space::Space};

use super::{
    fronts::{Comparison, Front},
    outcome::OutcomeNetwork,
};

pub use super::{
    matched::{MatchedLimit, MatchedNetwork, MatchedTarget},
    outcome::{SpaceStage, StepCost, StudyOutcome},
};

/// What a target's latency source answers to the queries of all outcomes, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetLatencies {
    /// Hardware, runtime and settings for which they hold.
    pub source: String,
    /// The answers.
    pub latencies: Vec<Latency>,
}

/// Several studies, each on the targets of all: what `spacewright --json study compare` prints. Shares and accuracies
/// are from 0 to 1, latencies are milliseconds for one image, in INT8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudiesReport {
    /// The targets, in the order of the studies.
    pub targets: Vec<String>,
    /// For each target the hardware, runtime and settings for which its latencies hold.
    pub latency_sources: Vec<String>,
    /// The studies, in the order that was asked for.
    pub studies: Vec<ComparedStudy>,
    /// For each target the networks of all studies within the same latency limits.
    pub matched: Vec<MatchedTarget>,
}

/// One study of a [`StudiesReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedStudy {
    /// Its name.
    pub study: String,
    /// The target that it was designed for.
    pub target: String,
    /// Where the space has to suit several targets: by target, the share of the best score that
    /// it loses.
    pub lost: BTreeMap<String, f64>,
    /// Its space.
    pub space: Space,
    /// The space's stages.
    pub stages: Vec<SpaceStage>,
    /// Its networks, in the order of their budgets.
    pub networks: Vec<NetworkOnTargets>,
    /// Its networks on each target, against those of the study that was designed for it.
    pub deployed: Vec<AgainstNative>,
    /// What its steps have cost, in their order, also those that another study has run for it.
    pub costs: Vec<StepCost>,
}

/// A network on every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkOnTargets {
    /// Its number, as in the names of its files: the position of its budget among those of its study.
    pub network: usize,
    /// Its encoding.
    pub subnet: String,
    /// Number of test images of its accuracies; none where an earlier version exported it.
    pub test_images: Option<usize>,
    /// The network on each target, in the order of `targets`.
    pub on: Vec<OnTarget>,
}

/// A network on one target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnTarget {
    /// Measured latency of the whole network, in milliseconds.
    pub ms: f64,
    /// Half of the measured runs take at most this much longer, in milliseconds.
    pub spread_ms: f64,
    /// Share of test images that it classifies correctly in INT8; that of the study's own target where
    /// the network was not exported for this one.
    pub accuracy: f64,
    /// Whether this target's runtime computed the accuracy.
    pub verified: bool,
}

/// The networks of a study on one target, against those that were designed for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgainstNative {
    /// The target.
    pub target: String,
    /// The first study that was designed for it, and for it alone if there is one.
    pub native: String,
    /// How many times as fast at equal accuracy, as a geometric mean; none where it reaches no accuracy of theirs.
    pub speed_up: Option<f64>,
    /// Whether its fastest network is more accurate than some of theirs: the speed-up is at least this, then, and less
    /// than 1 does not mean slower.
    pub at_least: bool,
    /// How many of their accuracies it reaches, of which the speed-up is the mean.
    pub reached: usize,
    /// How many networks they are: those that no other is faster and as accurate as.
    pub of: usize,
    /// By which share of test images more accurate at equal latency, as a mean; none where they have no network
    /// as fast.
    pub gain: Option<f64>,
}

/// The targets of several studies, each once.
pub fn targets(outcomes: &[StudyOutcome]) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    for outcome in outcomes {
        if !targets.contains(&outcome.target) {
            targets.push(outcome.target.clone());
        }
    }
    targets
}

impl StudiesReport {
    /// `measured` holds the latencies of all outcomes for each target, in the order of [`targets`].
    pub fn new(outcomes: &[StudyOutcome], measured: &[TargetLatencies]) -> Self {
        let targets = targets(outcomes);
        let mut first = 0;
        let mut studies = Vec::new();
        for outcome in outcomes {
            studies.push(row(outcome, &targets, measured, first));
            first += outcome.networks.len();
        }
        let fronts: Vec<Vec<Front>> = studies
            .iter()
            .map(|row| (0..targets.len()).map(|target| front(row, target)).collect())
            .collect();
        let mut matched = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let Some(native) = native(outcomes, target) else { continue };
            for (study, own) in studies.iter_mut().zip(&fronts) {
                let compared = Comparison::new(&own[at], &fronts[native][at]);
                study.deployed.push(AgainstNative {
                    target: target.clone(),
                    native: outcomes[native].study.clone(),
                    speed_up: compared.mean_speed_up,
                    at_least: compared.is_at_least(),
                    reached: compared.reached(),
                    of: compared.speed_ups.len(),
                    gain: compared.mean_gain,
                });
            }
            let networks: Vec<(&str, &[NetworkOnTargets])> =
                studies.iter().map(|row| (row.study.as_str(), row.networks.as_slice())).collect();
            matched.push(MatchedTarget::new(target, at, &networks, native));
        }
        let latency_sources = measured.iter().map(|on| on.source.clone()).collect();
        Self { targets, latency_sources, studies, matched }
    }
}

fn native(outcomes: &[StudyOutcome], target: &str) -> Option<usize> {
    let own = |outcome: &StudyOutcome| outcome.target == target;
    let alone = outcomes.iter().position(|outcome| own(outcome) && outcome.losses.is_empty());
    alone.or_else(|| outcomes.iter().position(own))
}

fn row(
    outcome: &StudyOutcome,
    targets: &[String],
    measured: &[TargetLatencies],
    first: usize,
) -> ComparedStudy {
    let network = |(index, network): (usize, &OutcomeNetwork)| {
        let on = targets.iter().zip(measured).map(|(target, measured)| {
            let Latency { ms, spread_ms, .. } = measured.latencies[first + index];
            let own = network.accuracies[&outcome.target];
            let here = network.accuracies.get(target);
            let (accuracy, verified) = (*here.unwrap_or(&own), here.is_some());
            OnTarget { ms, spread_ms, accuracy, verified }
        });
        NetworkOnTargets {
            network: network.budget,
            subnet: network.subnet.clone(),
            test_images: network.test_images,
            on: on.collect(),
        }
    };
    let lost = outcome.losses.iter().map(|loss| (loss.target.clone(), loss.lost));
    ComparedStudy {
        study: outcome.study.clone(),
        target: outcome.target.clone(),
        lost: lost.collect(),
        space: outcome.space.clone(),
        stages: outcome.stages.clone(),
        networks: outcome.networks.iter().enumerate().map(network).collect(),
        deployed: Vec::new(),
        costs: outcome.costs.clone(),
    }
}

fn front(row: &ComparedStudy, target: usize) -> Front {
    let point = |network: &NetworkOnTargets| (network.on[target].ms, network.on[target].accuracy);
    Front::new(row.networks.iter().map(point).collect())
}

#[cfg(test)]
mod tests {
    use spacewright_core::{graph::Graph, space::Subnet};

    use super::*;
    use crate::hyperspaces::built_in;

    fn outcome(study: &str, target: &str, accuracies: &[f64]) -> StudyOutcome {
        let hyperspace = built_in("mini").unwrap();
        let space = Space::parse("mini-0000-0000", &hyperspace).unwrap();
        let stages = space.elastic_stages(&hyperspace);
        let network = |(budget, accuracy): (usize, &f64)| OutcomeNetwork {
            budget,
            subnet: Subnet::largest(&stages, &hyperspace.resolutions).to_string(),
            graph: Graph::identity(spacewright_core::graph::Shape::square(1, 1)),
            test_images: Some(100),
            accuracies: BTreeMap::from([(target.to_owned(), *accuracy)]),
        };
        let networks = accuracies.iter().enumerate().map(network).collect();
        StudyOutcome {
            study: study.into(),
            target: target.into(),
            space,
            stages: Vec::new(),
            losses: Vec::new(),
            networks,
            costs: Vec::new(),
        }
    }

    #[test]
    fn every_network_stands_beside_those_designed_for_each_target() {
        let outcomes = [outcome("a", "ort", &[0.8, 0.9]), outcome("b", "litert", &[0.8, 0.9])];
        let ms = |values: [f64; 4]| TargetLatencies {
            source: "a machine".into(),
            latencies: values.map(|ms| Latency::measured(ms, 0.0, 1)).to_vec(),
        };
        let on_ort = ms([1.0, 2.0, 2.0, 4.0]);
        let on_litert = ms([3.0, 6.0, 1.0, 2.0]);
        let report = StudiesReport::new(&outcomes, &[on_ort, on_litert]);
        assert_eq!(report.targets, ["ort", "litert"]);
        let speed_up = |study: usize, target: usize| {
            let found = report.studies[study].deployed[target].speed_up.unwrap();
            (found * 1e6).round() / 1e6
        };
        assert_eq!([speed_up(0, 0), speed_up(1, 1)], [1.0, 1.0]);
        assert_eq!(speed_up(1, 0), 0.5, "half as fast on the first target");
        assert_eq!(speed_up(0, 1), 0.333333, "a third as fast on the second");
        let network = &report.studies[0].networks[0];
        assert!(network.on[0].verified && !network.on[1].verified);
        assert_eq!(network.on[1].accuracy, 0.8);
        assert_eq!(report.latency_sources, ["a machine"; 2]);
        // Within 2 ms, the second study has its worse network on the first target.
        let matched = &report.matched[0];
        assert_eq!(matched.reference, "a");
        let second = matched.limits[1].networks[1].unwrap();
        assert_eq!((matched.limits[1].limit_ms, second.accuracy), (2.0, 0.8));
        assert!((second.difference.unwrap() + 0.1).abs() < 1e-12);
        assert!(second.interval.unwrap().low < -0.1);
    }
}
