//! The traits of `core` on top of a library's answers.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;
use spacewright_core::{
    graph::Graph,
    latency::{GraphColumns, Latency, LatencyError, LatencyQuery, LatencySource, Precision},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet},
    quant::{ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange},
    score::{PreparedScorer, ScoreError, ScoreProblem, Scorer, SpaceScore},
    space::Space,
    target::{Runtime, Target, TargetDescription, TargetError},
};
use spacewright_sdk::{
    native::protocol::{Answer, Handle, Request},
    text::shown,
};

use super::{
    super::claims::{self, item_name},
    library::{Library, ask},
    runtime::NativeRuntime,
};

pub(super) struct NativeOperatorSet {
    library: Arc<Library>,
    name: String,
    block_types: Vec<BlockType>,
}

impl NativeOperatorSet {
    pub fn new(library: &Arc<Library>) -> Result<Self, String> {
        let request = Request::OperatorSet;
        let call = request.call();
        let (name, types) =
            ask!(library, request, Answer::OperatorSet(name, types) => (name, types))?;
        Ok(Self {
            library: library.clone(),
            name: item_name(call, name)?,
            block_types: claims::block_types(call, types)?,
        })
    }
}

impl OperatorSet for NativeOperatorSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.block_types.clone()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let request = Request::Graphs(Cow::Borrowed(requests));
        let call = request.call();
        let texts = ask!(self.library, request, Answer::Graphs(texts) => texts)
            .map_err(OperatorError::Other)?;
        claims::graphs(call, requests, &texts)
    }
}

pub(super) struct NativeQuantizer {
    library: Arc<Library>,
    name: String,
    learnable: bool,
}

impl NativeQuantizer {
    pub fn new(library: &Arc<Library>) -> Result<Self, String> {
        let request = Request::Quantizer;
        let call = request.call();
        let (name, learnable) =
            ask!(library, request, Answer::Quantizer(name, learnable) => (name, learnable))?;
        Ok(Self { library: library.clone(), name: item_name(call, name)?, learnable })
    }

    fn error(&self, reason: String) -> QuantizerError {
        QuantizerError { quantizer: self.name.clone(), reason }
    }
}

impl Quantizer for NativeQuantizer {
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
        let request = Request::Activations(Cow::Borrowed(items));
        ask!(self.library, request, Answer::Affine(answers) => answers)
            .map_err(|reason| self.error(reason))
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let request = Request::Weights(Cow::Borrowed(channels), range);
        ask!(self.library, request, Answer::Scales(scales) => scales)
            .map_err(|reason| self.error(reason))
    }
}

pub(super) struct NativeSource {
    library: Arc<Library>,
    name: String,
    fingerprint: String,
    precisions: Vec<Precision>,
}

impl NativeSource {
    pub fn new(library: &Arc<Library>) -> Result<Self, String> {
        let request = Request::Source;
        let call = request.call();
        let (name, fingerprint, precisions) = ask!(
            library,
            request,
            Answer::Source(name, fingerprint, precisions) => (name, fingerprint, precisions)
        )?;
        Ok(Self {
            library: library.clone(),
            name: item_name(call, name)?,
            fingerprint: shown(&fingerprint),
            precisions: claims::precisions(call, precisions)?,
        })
    }
}

impl LatencySource for NativeSource {
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
            let request = Request::Latencies(Box::new(GraphColumns::of(queries)?));
            ask!(self.library, request, Answer::Latencies(latencies) => latencies)
        };
        ask().map_err(|reason| LatencyError { reason })
    }
}

pub(super) struct NativeScorer {
    library: Arc<Library>,
    name: String,
}

impl NativeScorer {
    pub fn new(library: &Arc<Library>) -> Result<Self, String> {
        let request = Request::Scorer;
        let call = request.call();
        let name = ask!(library, request, Answer::Scorer(name) => name)?;
        Ok(Self { library: library.clone(), name: item_name(call, name)? })
    }
}

impl Scorer for NativeScorer {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(
        &self,
        problem: ScoreProblem,
        options: &Value,
    ) -> Result<Box<dyn PreparedScorer>, ScoreError> {
        let request = Request::Prepare(Box::new(problem), options.to_string());
        let handle = ask!(self.library, request, Answer::Handle(handle) => handle)
            .map_err(|reason| ScoreError { reason })?;
        Ok(Box::new(Prepared { library: self.library.clone(), handle }))
    }
}

/// A problem that the library keeps.
struct Prepared {
    library: Arc<Library>,
    handle: Handle,
}

impl PreparedScorer for Prepared {
    fn score(&self, spaces: &[Space], seed: u64) -> Result<Vec<SpaceScore>, ScoreError> {
        let request = Request::Score(self.handle, Cow::Borrowed(spaces), seed);
        ask!(self.library, request, Answer::Scores(scores) => scores)
            .map_err(|reason| ScoreError { reason })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = self.library.ask(&Request::Release(self.handle));
    }
}

pub(super) struct NativeTarget {
    library: Arc<Library>,
    description: TargetDescription,
    has_runtime: bool,
}

impl NativeTarget {
    pub fn new(library: &Arc<Library>) -> Result<Self, String> {
        let request = Request::Target;
        let call = request.call();
        let (description, has_runtime) =
            ask!(library, request, Answer::Target(description, has) => (description, has))?;
        let description = claims::target(call, *description)?;
        Ok(Self { library: library.clone(), description, has_runtime })
    }

    fn error(&self, reason: String) -> TargetError {
        TargetError { target: self.description.name.clone(), reason }
    }
}

impl Target for NativeTarget {
    fn description(&self) -> TargetDescription {
        self.description.clone()
    }

    fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
        let source = NativeSource::new(&self.library).map_err(|reason| self.error(reason))?;
        Ok(Arc::new(source))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        let runtime = NativeRuntime::new(&self.library, &self.description.name);
        Ok(Arc::new(runtime.map_err(|reason| self.error(reason))?))
    }

    fn has_runtime(&self) -> bool {
        self.has_runtime
    }
}
