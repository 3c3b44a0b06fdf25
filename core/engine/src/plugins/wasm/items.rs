//! The traits of `core` on top of a component's exports.

use std::sync::Arc;

use serde_json::Value;
use spacewright_core::{
    graph::Graph,
    latency::{Latency, LatencyError, LatencyQuery, LatencySource, Precision},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
    quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
    target::{Target, TargetDescription, TargetError},
};
use spacewright_sdk::text::{items_of, name_of, shown};

use super::{
    super::claims::{self, item_name},
    convert,
    instance::{Guest, Host, Indices},
    wit::exports::spacewright::plugin as wit,
};

type Of<I> = Guest<I, <I as Indices>::Guest>;

pub(super) struct WasmOperatorSet {
    guest: Of<wit::operator_set::GuestIndices>,
    name: String,
    block_types: Vec<BlockType>,
}

impl WasmOperatorSet {
    pub fn new(host: &Arc<Host>) -> Result<Self, String> {
        let guest = Guest::new(host, wit::operator_set::GuestIndices::new)?;
        let name = guest.start("name", |store, guest| guest.call_name(store))?;
        let types = guest.start("block-types", |store, guest| guest.call_block_types(store))?;
        let types = types.into_iter().map(convert::operator_set::block_type_from_wit).collect();
        let block_types = claims::block_types("block-types", types)?;
        Ok(Self { guest, name: item_name("name", name)?, block_types })
    }
}

impl OperatorSet for WasmOperatorSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.block_types.clone()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let asked: Vec<_> = requests.iter().map(convert::operator_set::request_to_wit).collect();
        let texts = self
            .guest
            .call("graphs", |store, guest| guest.call_graphs(store, &asked))
            .map_err(OperatorError::Other)?;
        claims::graphs("graphs", requests, &texts)
    }
}

pub(super) struct Hyperspaces;

impl Hyperspaces {
    pub fn all(host: &Arc<Host>) -> Result<Vec<String>, String> {
        let guest = Guest::new(host, wit::hyperspace::GuestIndices::new)?;
        let all = guest.start("hyperspaces", |store, guest| guest.call_hyperspaces(store))?;
        claims::hyperspaces("hyperspaces", all)
    }
}

pub(super) struct WasmQuantizer {
    guest: Of<wit::quantizer::GuestIndices>,
    name: String,
    learnable: bool,
}

impl WasmQuantizer {
    pub fn new(host: &Arc<Host>) -> Result<Self, String> {
        let guest = Guest::new(host, wit::quantizer::GuestIndices::new)?;
        let name = guest.start("name", |store, guest| guest.call_name(store))?;
        let learnable = guest.start("learnable", |store, guest| guest.call_learnable(store))?;
        Ok(Self { guest, name: item_name("name", name)?, learnable })
    }

    fn error(&self, reason: String) -> QuantizerError {
        QuantizerError { quantizer: self.name.clone(), reason }
    }
}

impl Quantizer for WasmQuantizer {
    fn name(&self) -> &str {
        &self.name
    }

    fn learnable(&self) -> bool {
        self.learnable
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        let statistics = convert::quantizer::statistics_to_wit(items.iter().map(|item| &item.0));
        let ranges = convert::quantizer::ranges_to_wit(items.iter().map(|item| &item.1));
        self.guest
            .call("activations", |store, guest| guest.call_activations(store, &statistics, &ranges))
            .and_then(convert::quantizer::affine_from_wit)
            .map_err(|reason| self.error(reason))
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let statistics = convert::quantizer::statistics_to_wit(channels.iter());
        let integers = name_of(&range);
        self.guest
            .call("weights", |store, guest| guest.call_weights(store, &statistics, &integers))
            .map_err(|reason| self.error(reason))
    }
}

pub(super) struct WasmSource {
    guest: Of<wit::latency_source::GuestIndices>,
    name: String,
    fingerprint: String,
    precisions: Vec<Precision>,
}

impl WasmSource {
    pub fn new(host: &Arc<Host>) -> Result<Self, String> {
        let guest = Guest::new(host, wit::latency_source::GuestIndices::new)?;
        let name = guest.start("name", |store, guest| guest.call_name(store))?;
        let fingerprint =
            guest.start("fingerprint", |store, guest| guest.call_fingerprint(store))?;
        let precisions = guest.start("precisions", |store, guest| guest.call_precisions(store))?;
        let precisions = items_of("`precisions`", &precisions)
            .and_then(|precisions| claims::precisions("precisions", precisions));
        Ok(Self {
            guest,
            name: item_name("name", name)?,
            fingerprint: shown(&fingerprint),
            precisions: precisions.map_err(|reason| shown(&reason))?,
        })
    }
}

impl LatencySource for WasmSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn precisions(&self) -> Vec<Precision> {
        self.precisions.clone()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let ask = || {
            let graphs = convert::latency_source::graphs_to_wit(queries)?;
            let answer = self
                .guest
                .call("latencies", |store, guest| guest.call_latencies_of(store, &graphs))?;
            convert::latency_source::latencies_from_wit(answer)
        };
        ask().map_err(|reason| LatencyError { reason })
    }
}

/// The scorer keeps the component; each problem gets an instance of its own.
pub(super) struct WasmScorer {
    host: Arc<Host>,
    name: String,
}

impl WasmScorer {
    pub fn new(host: &Arc<Host>) -> Result<Self, String> {
        let guest = Guest::new(host, wit::scorer::GuestIndices::new)?;
        let name = guest.start("name", |store, guest| guest.call_name(store))?;
        Ok(Self { host: host.clone(), name: item_name("name", name)? })
    }
}

struct Prepared {
    guest: Of<wit::scorer::GuestIndices>,
    problem: wit::scorer::Problem,
    options: String,
    limits_ms: Vec<f64>,
}

impl Scorer for WasmScorer {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let prepare = || {
            let prepared = Prepared {
                guest: Guest::new(&self.host, wit::scorer::GuestIndices::new)?,
                problem: convert::scorer::problem_to_wit(&problem)?,
                options: options.to_string(),
                limits_ms: problem.constraints_ms.clone(),
            };
            // What is wrong with the problem or the options shows now.
            prepared.ask(&[], 0)?;
            Ok(Box::new(prepared) as Box<dyn PreparedScorer>)
        };
        prepare().map_err(|reason| ScoreError { reason })
    }
}

impl Prepared {
    fn ask(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, String> {
        let columns = convert::scorer::spaces_to_wit(spaces);
        let scores = self.guest.call_prepared(
            "score",
            |store, guest| guest.call_prepare(store, &self.problem, &self.options),
            |store, guest| guest.call_score(store, &columns, seed),
        )?;
        convert::scorer::scores_from_wit(scores, &self.limits_ms)
    }
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        self.ask(spaces, seed).map_err(|reason| ScoreError { reason })
    }
}

pub(super) struct WasmTarget {
    host: Arc<Host>,
    description: TargetDescription,
}

impl WasmTarget {
    pub fn new(host: &Arc<Host>) -> Result<Self, String> {
        let guest = Guest::new(host, wit::target::GuestIndices::new)?;
        let description = guest.start("describe", |store, guest| guest.call_describe(store))?;
        let description = convert::target::from_wit(description)
            .map_err(|reason| format!("`describe`: {}", shown(&reason)))?;
        let description = claims::target("describe", description)?;
        Ok(Self { host: host.clone(), description })
    }
}

impl Target for WasmTarget {
    fn description(&self) -> TargetDescription {
        self.description.clone()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        let source = WasmSource::new(&self.host)
            .map_err(|reason| TargetError { target: self.description.name.clone(), reason })?;
        Ok(Arc::new(source))
    }
}
