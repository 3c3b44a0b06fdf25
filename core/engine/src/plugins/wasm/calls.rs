//! What is called of each kind of item that a component offers. Each item has an instance of its
//! own.

use std::sync::Arc;

use serde_json::Value;
use spacewright_core::{
    call::CallError,
    latency::{GraphColumns, Latency, LatencySource, Precision},
    operators::{BlockRequest, BlockType, OperatorSet},
    quant::{ActivationRange, Quantizer, TensorStats, WeightRange},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
    target::{LatencyKind, Runtime, Target, TargetDescription},
};
use spacewright_plugin::{
    LoadItems,
    text::{items_of, name_of},
};

use super::{
    super::{
        claims::{self, bad},
        error::LoadError,
        items::{
            self, Called, OperatorSetCalls, QuantizerCalls, ScorerCalls, SourceCalls, TargetCalls,
        },
    },
    convert,
    instance::{Guest, Host, Size},
    wit::exports::spacewright::plugin as wit,
};

/// Bytes of an answer that is a few numbers.
const NUMBERS_BYTES: usize = 64;

/// A component, of which items are loaded.
pub(super) struct Items<'a>(pub &'a Arc<Host>);

impl LoadItems for Items<'_> {
    type Error = LoadError;

    fn operator_set(&self) -> Result<Arc<dyn OperatorSet>, LoadError> {
        Ok(items::operator_set(Guest::new(self.0, wit::operator_set::GuestIndices::new))?)
    }

    fn hyperspaces(&self) -> Result<Vec<String>, LoadError> {
        let guest = Guest::new(self.0, wit::hyperspace::GuestIndices::new);
        let ask = || guest.start("hyperspaces", |store, guest| guest.call_hyperspaces(store));
        let all = self.0.said.hyperspaces.or_ask(ask)?;
        Ok(claims::hyperspaces("hyperspaces", all)?)
    }

    fn quantizer(&self) -> Result<Arc<dyn Quantizer>, LoadError> {
        Ok(items::quantizer(Guest::new(self.0, wit::quantizer::GuestIndices::new))?)
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, LoadError> {
        Ok(items::source(Guest::new(self.0, wit::latency_source::GuestIndices::new))?)
    }

    fn scorer(&self) -> Result<Arc<dyn Scorer>, LoadError> {
        Ok(items::scorer(ComponentScorer(self.0.clone()))?)
    }

    fn target(&self) -> Result<Arc<dyn Target>, LoadError> {
        Ok(items::target(ComponentTarget(self.0.clone()))?)
    }
}

impl OperatorSetCalls for Guest<wit::operator_set::GuestIndices> {
    fn describe(&self) -> Called<(String, Vec<BlockType>)> {
        self.said().operator_set.or_ask(|| {
            let name = self.start("name", |store, guest| guest.call_name(store))?;
            let types = self.start("block-types", |store, guest| guest.call_block_types(store))?;
            let types = types.into_iter().map(convert::operator_set::block_type_from_wit);
            Ok((name, types.collect()))
        })
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Called<Vec<String>> {
        let asked: Vec<_> = requests.iter().map(convert::operator_set::request_to_wit).collect();
        let size = Size { items: requests.len(), item_bytes: claims::MOST_GRAPH_BYTES };
        self.call("graphs", size, |store, guest| guest.call_graphs(store, &asked))
    }
}

impl QuantizerCalls for Guest<wit::quantizer::GuestIndices> {
    fn describe(&self) -> Called<(String, bool)> {
        self.said().quantizer.or_ask(|| {
            let name = self.start("name", |store, guest| guest.call_name(store))?;
            let learnable = self.start("learnable", |store, guest| guest.call_learnable(store))?;
            Ok((name, learnable))
        })
    }

    fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Called<Vec<(f32, f32)>> {
        const CALL: &str = "activations";
        let statistics = convert::quantizer::statistics_to_wit(items.iter().map(|item| &item.0));
        let ranges = convert::quantizer::ranges_to_wit(items.iter().map(|item| &item.1));
        let size = Size { items: items.len(), item_bytes: NUMBERS_BYTES };
        let affine = self
            .call(CALL, size, |store, guest| guest.call_activations(store, &statistics, &ranges))?;
        convert::quantizer::affine_from_wit(affine).map_err(|error| bad(CALL, error))
    }

    fn weights(&self, channels: &[TensorStats], range: WeightRange) -> Called<Vec<f32>> {
        let statistics = convert::quantizer::statistics_to_wit(channels.iter());
        let integers = name_of(&range);
        let size = Size { items: channels.len(), item_bytes: NUMBERS_BYTES };
        self.call("weights", size, |store, guest| guest.call_weights(store, &statistics, &integers))
    }
}

impl SourceCalls for Guest<wit::latency_source::GuestIndices> {
    fn describe(&self) -> Called<(String, String, Vec<Precision>)> {
        const CALL: &str = "precisions";
        self.said().source.or_ask(|| {
            let name = self.start("name", |store, guest| guest.call_name(store))?;
            let fingerprint =
                self.start("fingerprint", |store, guest| guest.call_fingerprint(store))?;
            let known = self.start(CALL, |store, guest| guest.call_precisions(store))?;
            let precisions = items_of(CALL, &known).map_err(|error| bad(CALL, error.reason))?;
            Ok((name, fingerprint, precisions))
        })
    }

    /// A component has no hardware to measure on.
    fn measures(&self) -> bool {
        false
    }

    fn latencies(&self, graphs: GraphColumns) -> Called<Vec<Latency>> {
        const CALL: &str = "latencies";
        let graphs = convert::latency_source::graphs_to_wit(graphs);
        let size = Size { items: graphs.first_node.len(), item_bytes: NUMBERS_BYTES };
        let answer =
            self.call(CALL, size, |store, guest| guest.call_latencies_of(store, &graphs))?;
        let latencies = convert::latency_source::latencies_from_wit(answer);
        let latencies: Vec<Latency> = latencies.map_err(|error| bad(CALL, error))?;
        match latencies.iter().find(|latency| latency.runs > 0) {
            Some(Latency { runs, .. }) => {
                Err(bad(CALL, format!("{runs} timed runs, but a component cannot measure")))
            }
            None => Ok(latencies),
        }
    }
}

/// The scorer keeps the component; each problem gets an instance of its own.
struct ComponentScorer(Arc<Host>);

impl ScorerCalls for ComponentScorer {
    fn name(&self) -> Called<String> {
        let guest = Guest::new(&self.0, wit::scorer::GuestIndices::new);
        let ask = || guest.start("name", |store, guest| guest.call_name(store));
        self.0.said.scorer.or_ask(ask)
    }

    fn prepare(&self, problem: ScoreProblem, options: &Value) -> Called<Box<dyn PreparedScorer>> {
        let wit = convert::scorer::problem_to_wit(&problem).map_err(|e| bad("prepare", e))?;
        let prepared = ComponentProblem {
            guest: Guest::new(&self.0, wit::scorer::GuestIndices::new),
            problem: wit,
            options: options.to_string(),
            limits_ms: problem.constraints_ms,
        };
        // What is wrong with the problem or the options shows now.
        prepared.ask(&[], 0)?;
        Ok(Box::new(prepared))
    }
}

/// A problem that is handed to every fresh instance.
struct ComponentProblem {
    guest: Guest<wit::scorer::GuestIndices>,
    problem: wit::scorer::Problem,
    options: String,
    limits_ms: Vec<f64>,
}

impl ComponentProblem {
    fn ask(&self, spaces: &[Space], seed: u64) -> Called<Vec<SpaceScore>> {
        const CALL: &str = "score";
        let columns = convert::scorer::spaces_to_wit(spaces);
        let item_bytes = NUMBERS_BYTES * (1 + self.limits_ms.len());
        let scores = self.guest.call_prepared(
            CALL,
            Size { items: spaces.len(), item_bytes },
            self.problem.cells.len(),
            |store, guest| guest.call_prepare(store, &self.problem, &self.options),
            |store, guest| guest.call_score(store, &columns, seed),
        )?;
        convert::scorer::scores_from_wit(scores, &self.limits_ms).map_err(|error| bad(CALL, error))
    }
}

impl PreparedScorer for ComponentProblem {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        self.ask(spaces, seed).map_err(ScoreError::new)
    }
}

/// The target keeps the component; each of its latency sources gets an instance of its own.
struct ComponentTarget(Arc<Host>);

impl TargetCalls for ComponentTarget {
    fn describe(&self) -> Called<(TargetDescription, bool)> {
        const CALL: &str = "describe";
        let guest = Guest::new(&self.0, wit::target::GuestIndices::new);
        let description = self.0.said.target.or_ask(|| {
            let description = guest.start(CALL, |store, guest| guest.call_describe(store))?;
            convert::target::from_wit(description).map_err(|error| bad(CALL, error))
        })?;
        if description.latency == LatencyKind::Measured {
            return Err(bad(CALL, "its latencies are `measured`, but a component cannot measure"));
        }
        Ok((description, false))
    }

    fn source(&self) -> Called<impl SourceCalls> {
        Ok::<_, CallError>(Guest::new(&self.0, wit::latency_source::GuestIndices::new))
    }

    fn runtime(&self, _: &str) -> Called<Arc<dyn Runtime>> {
        Err::<_, CallError>(bad("runtime", "components have no runtimes"))
    }
}
