//! What is called of each kind of item that a library offers.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;
use spacewright_core::{
    call::CallError,
    latency::{GraphColumns, Latency, LatencySource, Precision},
    operators::{BlockRequest, BlockType, OperatorSet},
    quant::{ActivationRange, Quantizer, TensorStats, WeightRange},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
    target::{Runtime, Target, TargetDescription},
};
use spacewright_plugin::{
    LoadItems,
    native::protocol::{Answer, Handle, Request},
};

use super::{
    super::{
        claims,
        error::LoadError,
        items::{
            self, Called, OperatorSetCalls, QuantizerCalls, ScorerCalls, SourceCalls, TargetCalls,
        },
    },
    library::{Library, ask},
    runtime::NativeRuntime,
};

/// The calls of a library.
#[derive(Clone)]
pub(super) struct Calls(pub Arc<Library>);

impl LoadItems for Calls {
    type Error = LoadError;

    fn operator_set(&self) -> Result<Arc<dyn OperatorSet>, LoadError> {
        Ok(items::operator_set(self.clone())?)
    }

    fn hyperspaces(&self) -> Result<Vec<String>, LoadError> {
        let all = ask!(self.0, Request::Hyperspaces, Answer::Hyperspaces(all) => all)?;
        Ok(claims::hyperspaces("hyperspaces", all)?)
    }

    fn quantizer(&self) -> Result<Arc<dyn Quantizer>, LoadError> {
        Ok(items::quantizer(self.clone())?)
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, LoadError> {
        Ok(items::source(self.clone())?)
    }

    fn scorer(&self) -> Result<Arc<dyn Scorer>, LoadError> {
        Ok(items::scorer(self.clone())?)
    }

    fn target(&self) -> Result<Arc<dyn Target>, LoadError> {
        Ok(items::target(self.clone())?)
    }
}

impl OperatorSetCalls for Calls {
    fn describe(&self) -> Called<(String, Vec<BlockType>)> {
        let request = Request::OperatorSet;
        ask!(self.0, request, Answer::OperatorSet(name, types) => (name, types))
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Called<Vec<String>> {
        let request = Request::Graphs(Cow::Borrowed(requests));
        ask!(self.0, request, Answer::Graphs(texts) => texts)
    }
}

impl QuantizerCalls for Calls {
    fn describe(&self) -> Called<(String, bool)> {
        let request = Request::Quantizer;
        ask!(self.0, request, Answer::Quantizer(name, learnable) => (name, learnable))
    }

    fn activations(&self, items: &[(TensorStats, ActivationRange)]) -> Called<Vec<(f32, f32)>> {
        let request = Request::Activations(Cow::Borrowed(items));
        ask!(self.0, request, Answer::Affine(answers) => answers)
    }

    fn weights(&self, channels: &[TensorStats], range: WeightRange) -> Called<Vec<f32>> {
        let request = Request::Weights(Cow::Borrowed(channels), range);
        ask!(self.0, request, Answer::Scales(scales) => scales)
    }
}

impl SourceCalls for Calls {
    fn describe(&self) -> Called<(String, String, Vec<Precision>)> {
        ask!(
            self.0,
            Request::Source,
            Answer::Source(name, fingerprint, precisions) => (name, fingerprint, precisions)
        )
    }

    /// A library that does not know the question is taken to measure: that costs a place in the
    /// cache of measurements, the opposite mistake would measure again and again.
    fn measures(&self) -> bool {
        ask!(self.0, Request::Measures, Answer::Measures(measures) => measures).unwrap_or(true)
    }

    fn latencies(&self, graphs: GraphColumns) -> Called<Vec<Latency>> {
        let request = Request::Latencies(Box::new(graphs));
        ask!(self.0, request, Answer::Latencies(latencies) => latencies)
    }
}

impl ScorerCalls for Calls {
    fn name(&self) -> Called<String> {
        ask!(self.0, Request::Scorer, Answer::Scorer(name) => name)
    }

    fn prepare(&self, problem: ScoreProblem, options: &Value) -> Called<Box<dyn PreparedScorer>> {
        let request = Request::Prepare(Box::new(problem), options.to_string());
        let handle = ask!(self.0, request, Answer::Handle(handle) => handle)?;
        Ok(Box::new(KeptProblem { library: self.0.clone(), handle }))
    }
}

/// A problem that the library keeps.
struct KeptProblem {
    library: Arc<Library>,
    handle: Handle,
}

impl PreparedScorer for KeptProblem {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let request = Request::Score(self.handle, Cow::Borrowed(spaces), seed);
        ask!(self.library, request, Answer::Scores(scores) => scores).map_err(ScoreError::new)
    }
}

impl Drop for KeptProblem {
    fn drop(&mut self) {
        let _ = self.library.ask(&Request::Release(self.handle));
    }
}

impl TargetCalls for Calls {
    fn describe(&self) -> Called<(TargetDescription, bool)> {
        let request = Request::Target;
        ask!(self.0, request, Answer::Target(description, has) => (*description, has))
    }

    fn source(&self) -> Called<impl SourceCalls> {
        Ok::<_, CallError>(self.clone())
    }

    fn runtime(&self, target: &str) -> Called<Arc<dyn Runtime>> {
        Ok(Arc::new(NativeRuntime::new(&self.0, target)?))
    }
}
