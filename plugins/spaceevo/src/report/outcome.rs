//! What a study found, as far as it is compared with others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    graph::Graph,
    latency::{LatencyQuery, Position, Precision},
    space::Space,
    study::{StepError, StudyContext},
};

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
    pub(super) study: String,
    pub(super) target: String,
    pub(super) space: Space,
    pub(super) stages: Vec<SpaceStage>,
    pub(super) losses: Vec<TargetLoss>,
    pub(super) networks: Vec<OutcomeNetwork>,
    pub(super) costs: Vec<StepCost>,
}

#[derive(Debug, Clone)]
pub(super) struct OutcomeNetwork {
    /// Position of its budget among all budgets.
    pub(super) budget: usize,
    pub(super) subnet: String,
    pub(super) graph: Graph,
    pub(super) test_images: Option<usize>,
    /// Share of the test images, by the target whose runtime computed it.
    pub(super) accuracies: BTreeMap<String, f64>,
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

/// What a step of a study has cost, all attempts together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepCost {
    /// Name of the step.
    pub step: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Processor time over all cores, in seconds.
    pub core_seconds: f64,
}

impl StudyOutcome {
    /// From what the steps `evolve` and `export` of a study found, and what its steps have cost.
    pub fn new(
        study: &StudyContext,
        evolved: Evolved,
        exported: &[ExportedNetwork],
        costs: Vec<StepCost>,
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
            let subnet = network.chosen.subnet.to_string();
            let test_images = network.verified.test_images;
            Ok(OutcomeNetwork { budget: network.budget, subnet, graph, test_images, accuracies })
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
            costs,
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
