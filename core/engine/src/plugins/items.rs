//! The traits of `core` on top of a carrier's calls. What a carrier has to do for each kind of
//! item stands in one trait; all that is the same for every carrier stands here.

use std::sync::Arc;

use serde_json::Value;
use spacewright_core::{
    call::CallError,
    graph::Graph,
    latency::{GraphColumns, Latency, LatencyError, LatencyQuery, LatencySource, Precision},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
    quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer},
    target::{LatencyKind, Runtime, Target, TargetDescription, TargetError},
};
use spacewright_plugin::text::{LONGEST_TEXT, shown};

use super::claims::{self, item_name};
use crate::hash;

/// Result of a call.
pub(super) type Called<T> = Result<T, CallError>;

/// What is called of an operator set.
pub(super) trait OperatorSetCalls: Send + Sync + 'static {
    /// Its name, and its block types.
    fn describe(&self) -> Called<(String, Vec<BlockType>)>;
    /// One graph per request, in text form.
    fn graphs(&self, requests: &[BlockRequest]) -> Called<Vec<String>>;
}

/// The operator set behind these calls.
pub(super) fn operator_set(calls: impl OperatorSetCalls) -> Called<Arc<dyn OperatorSet>> {
    let (name, block_types) = calls.describe()?;
    let name = item_name("name", name)?;
    let block_types = claims::block_types("block-types", block_types)?;
    Ok(Arc::new(LoadedOperatorSet { calls, name, block_types }))
}

struct LoadedOperatorSet<C> {
    calls: C,
    name: String,
    block_types: Vec<BlockType>,
}

impl<C: OperatorSetCalls> OperatorSet for LoadedOperatorSet<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.block_types.clone()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let texts = self.calls.graphs(requests).map_err(OperatorError::other)?;
        claims::graphs("graphs", requests, &texts).map_err(OperatorError::other)
    }
}

/// What is called of a quantizer.
pub(super) trait QuantizerCalls: Send + Sync + 'static {
    /// Its name, and whether its answers are only where training starts.
    fn describe(&self) -> Called<(String, bool)>;
    /// Scale and offset of each activation.
    fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Called<Vec<(f32, f32)>>;
    /// The scale of each channel.
    fn weights(&self, channels: &[TensorStats], range: WeightRange) -> Called<Vec<f32>>;
}

/// The quantizer behind these calls.
pub(super) fn quantizer(calls: impl QuantizerCalls) -> Called<Arc<dyn Quantizer>> {
    let (name, learnable) = calls.describe()?;
    Ok(Arc::new(LoadedQuantizer { calls, name: item_name("name", name)?, learnable }))
}

struct LoadedQuantizer<C> {
    calls: C,
    name: String,
    learnable: bool,
}

impl<C: QuantizerCalls> Quantizer for LoadedQuantizer<C> {
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
        self.calls.activations(items).map_err(|error| QuantizerError::new(&self.name, error))
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        self.calls.weights(channels, range).map_err(|error| QuantizerError::new(&self.name, error))
    }
}

/// What is called of a latency source.
pub(super) trait SourceCalls: Send + Sync + 'static {
    /// Its name, fingerprint and precisions.
    fn describe(&self) -> Called<(String, String, Vec<Precision>)>;
    /// Whether it measures, where it is not that of a target.
    fn measures(&self) -> bool;
    /// One latency per graph.
    fn latencies(&self, graphs: GraphColumns) -> Called<Vec<Latency>>;
}

/// The latency source behind these calls.
pub(super) fn source(calls: impl SourceCalls) -> Called<Arc<dyn LatencySource>> {
    let measures = calls.measures();
    LoadedSource::described(calls, measures)
}

/// A fingerprint as it stands in keys: what is too long to be shown is told apart by its hash.
pub(super) fn shown_fingerprint(text: &str) -> String {
    let shown = shown(text);
    match shown.len() < LONGEST_TEXT {
        true => shown,
        false => format!("{shown} {}", hash::of_bytes(text.as_bytes())),
    }
}

struct LoadedSource<C> {
    calls: C,
    name: String,
    fingerprint: String,
    precisions: Vec<Precision>,
    measures: bool,
}

impl<C: SourceCalls> LoadedSource<C> {
    /// A source of which the plugin has said what it is.
    fn described(calls: C, measures: bool) -> Called<Arc<dyn LatencySource>> {
        let (name, fingerprint, precisions) = calls.describe()?;
        let name = item_name("name", name)?;
        let precisions = claims::precisions("precisions", precisions)?;
        let fingerprint = shown_fingerprint(&fingerprint);
        Ok(Arc::new(Self { calls, name, fingerprint, precisions, measures }))
    }
}

impl<C: SourceCalls> LatencySource for LoadedSource<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn precisions(&self) -> Vec<Precision> {
        self.precisions.clone()
    }

    fn measures(&self) -> bool {
        self.measures
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        let graphs = GraphColumns::of(queries)?;
        self.calls.latencies(graphs).map_err(LatencyError::new)
    }
}

/// What is called of a scorer.
pub(super) trait ScorerCalls: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> Called<String>;
    /// Hands a problem over.
    fn prepare(&self, problem: ScoreProblem, options: &Value) -> Called<Box<dyn PreparedScorer>>;
}

/// The scorer behind these calls.
pub(super) fn scorer(calls: impl ScorerCalls) -> Called<Arc<dyn Scorer>> {
    let name = item_name("name", calls.name()?)?;
    Ok(Arc::new(LoadedScorer { calls, name }))
}

struct LoadedScorer<C> {
    calls: C,
    name: String,
}

impl<C: ScorerCalls> Scorer for LoadedScorer<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        self.calls.prepare(problem, options).map_err(ScoreError::new)
    }
}

/// What is called of a target.
pub(super) trait TargetCalls: Send + Sync + 'static {
    /// Who it is, and whether it has a runtime.
    fn describe(&self) -> Called<(TargetDescription, bool)>;
    /// The calls of its latency source.
    fn source(&self) -> Called<impl SourceCalls>;
    /// Its runtime; asked for where there is one.
    fn runtime(&self, target: &str) -> Called<Arc<dyn Runtime>>;
}

/// The target behind these calls.
pub(super) fn target(calls: impl TargetCalls) -> Called<Arc<dyn Target>> {
    let (description, has_runtime) = calls.describe()?;
    let description = claims::target("describe", description)?;
    Ok(Arc::new(LoadedTarget { calls, description, has_runtime }))
}

struct LoadedTarget<C> {
    calls: C,
    description: TargetDescription,
    has_runtime: bool,
}

impl<C: TargetCalls> Target for LoadedTarget<C> {
    fn description(&self) -> TargetDescription {
        self.description.clone()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        let measures = self.description.latency == LatencyKind::Measured;
        let source = self.calls.source().and_then(|calls| LoadedSource::described(calls, measures));
        source.map_err(|error| TargetError::new(&self.description.name, error))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        let name = &self.description.name;
        match self.has_runtime {
            true => self.calls.runtime(name).map_err(|error| TargetError::new(name, error)),
            false => Err(TargetError::no_runtime(name)),
        }
    }

    fn has_runtime(&self) -> bool {
        self.has_runtime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_fingerprints_differ_where_their_ends_do() {
        assert_eq!(shown_fingerprint("driver\t5"), "driver 5");
        let [first, second] = [1, 2].map(|end| format!("{}{end}", "x".repeat(2 * LONGEST_TEXT)));
        assert_ne!(shown_fingerprint(&first), shown_fingerprint(&second));
    }
}
