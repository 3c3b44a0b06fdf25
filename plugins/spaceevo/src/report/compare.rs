//! What several studies found, side by side: their spaces, and every network on every target.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    graph::Graph,
    latency::{Latency, LatencyQuery, Position, Precision},
    space::Space,
    study::{StepError, StudyContext},
};

use super::fronts::{Comparison, Front};
use crate::{
    network_parts::{query, whole_network},
    steps::{
        evolve::{Evolved, TargetLoss},
        export::ExportedNetwork,
    },
};

/// What a study found, as far as it is compared.
#[derive(Debug, Clone)]
pub struct StudyOutcome {
    study: String,
    target: String,
    space: Space,
    stages: Vec<SpaceStage>,
    losses: Vec<TargetLoss>,
    networks: Vec<OutcomeNetwork>,
}

#[derive(Debug, Clone)]
struct OutcomeNetwork {
    subnet: String,
    graph: Graph,
    /// Share of the test images, by the target whose runtime computed it.
    accuracies: BTreeMap<String, f64>,
}

/// A stage of a space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceStage {
    /// Its name.
    pub stage: String,
    /// Its block type.
    pub block: String,
    /// Its output widths, in channels.
    pub widths: Vec<usize>,
}

impl StudyOutcome {
    /// From what the steps `evolve` and `export` of a study found.
    pub fn new(
        study: &StudyContext,
        evolved: Evolved,
        exported: &[ExportedNetwork],
    ) -> Result<Self, StepError> {
        let space = evolved.space().clone();
        let elastic = space.elastic_stages(&study.hyperspace);
        let target = study.target.description().name;
        let network = |network: &ExportedNetwork| {
            let others = network.verified.translated.iter();
            let mut accuracies: BTreeMap<String, f64> =
                others.map(|other| (other.target.clone(), other.int8_accuracy)).collect();
            accuracies.insert(target.clone(), network.verified.int8_accuracy);
            let graph = whole_network(study, &elastic, &network.chosen.subnet)?;
            Ok(OutcomeNetwork { subnet: network.chosen.subnet.to_string(), graph, accuracies })
        };
        let networks = exported.iter().map(network).collect::<Result<_, StepError>>()?;
        let stem = study.hyperspace.stem.len();
        let stages = elastic[stem..].iter().map(|stage| SpaceStage {
            stage: stage.name.clone(),
            block: stage.candidate.block.clone(),
            widths: stage.widths.clone(),
        });
        Ok(Self {
            study: study.name.clone(),
            target,
            stages: stages.collect(),
            space,
            losses: evolved.devices,
            networks,
        })
    }

    /// Name of the target that it was designed for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Its networks, as questions to a latency source.
    pub fn queries(&self) -> impl Iterator<Item = LatencyQuery> {
        let query = |network: &OutcomeNetwork| {
            query(network.graph.clone(), Position::Whole, Precision::Int8)
        };
        self.networks.iter().map(query)
    }
}

/// Several studies, each on the targets of all: what `spacewright --json study compare` prints. Shares and accuracies
/// are from 0 to 1, latencies are milliseconds for one image, in INT8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudiesReport {
    /// The targets, in the order of the studies.
    pub targets: Vec<String>,
    /// The studies, in the order that was asked for.
    pub studies: Vec<ComparedStudy>,
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
}

/// A network on every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkOnTargets {
    /// Its encoding.
    pub subnet: String,
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
    /// `latencies` holds, for each target, the answers to the queries of all outcomes in order.
    pub fn new(outcomes: &[StudyOutcome], latencies: &[Vec<Latency>]) -> Self {
        let targets = targets(outcomes);
        let mut first = 0;
        let mut studies = Vec::new();
        for outcome in outcomes {
            studies.push(row(outcome, &targets, latencies, first));
            first += outcome.networks.len();
        }
        let fronts: Vec<Vec<Front>> = studies
            .iter()
            .map(|row| (0..targets.len()).map(|target| front(row, target)).collect())
            .collect();
        for (study, own) in studies.iter_mut().zip(&fronts) {
            for (at, target) in targets.iter().enumerate() {
                let Some(native) = native(outcomes, target) else { continue };
                let compared = Comparison::new(&own[at], &fronts[native][at]);
                study.deployed.push(AgainstNative {
                    target: target.clone(),
                    native: outcomes[native].study.clone(),
                    speed_up: compared.mean_speed_up,
                    gain: compared.mean_gain,
                });
            }
        }
        Self { targets, studies }
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
    latencies: &[Vec<Latency>],
    first: usize,
) -> ComparedStudy {
    let network = |(index, network): (usize, &OutcomeNetwork)| {
        let on = targets.iter().zip(latencies).map(|(target, latencies)| {
            let Latency { ms, spread_ms, .. } = latencies[first + index];
            let own = network.accuracies[&outcome.target];
            let here = network.accuracies.get(target);
            let (accuracy, verified) = (*here.unwrap_or(&own), here.is_some());
            OnTarget { ms, spread_ms, accuracy, verified }
        });
        NetworkOnTargets { subnet: network.subnet.clone(), on: on.collect() }
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
    }
}

fn front(row: &ComparedStudy, target: usize) -> Front {
    let point = |network: &NetworkOnTargets| (network.on[target].ms, network.on[target].accuracy);
    Front::new(row.networks.iter().map(point).collect())
}

#[cfg(test)]
mod tests {
    use spacewright_core::space::Subnet;

    use super::*;
    use crate::hyperspaces::built_in;

    fn outcome(study: &str, target: &str, accuracies: &[f64]) -> StudyOutcome {
        let hyperspace = built_in("mini").unwrap();
        let space = Space::parse("mini-0000-0000", &hyperspace).unwrap();
        let stages = space.elastic_stages(&hyperspace);
        let network = |accuracy: &f64| OutcomeNetwork {
            subnet: Subnet::largest(&stages, &hyperspace.resolutions).to_string(),
            graph: Graph::identity(spacewright_core::graph::Shape::square(1, 1)),
            accuracies: BTreeMap::from([(target.to_owned(), *accuracy)]),
        };
        let networks = accuracies.iter().map(network).collect();
        StudyOutcome {
            study: study.into(),
            target: target.into(),
            space,
            stages: Vec::new(),
            losses: Vec::new(),
            networks,
        }
    }

    #[test]
    fn every_network_stands_beside_those_designed_for_each_target() {
        let outcomes = [outcome("a", "ort", &[0.8, 0.9]), outcome("b", "litert", &[0.8, 0.9])];
        let ms = |values: [f64; 4]| values.map(|ms| Latency::measured(ms, 0.0, 1)).to_vec();
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
    }
}
