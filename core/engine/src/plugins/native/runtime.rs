//! The runtime of a library's target.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use spacewright_core::{
    call::CallError,
    quant::{FloatNetwork, IntegerNetwork},
    target::{LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, TargetError},
};
use spacewright_plugin::native::protocol::{Answer, Handle, Request};

use super::{
    super::items::shown_fingerprint,
    library::{Library, ask},
};

#[derive(Clone)]
pub(super) struct NativeRuntime {
    library: Arc<Library>,
    target: String,
}

impl NativeRuntime {
    pub fn new(library: &Arc<Library>, target: &str) -> Result<Self, CallError> {
        ask!(library, Request::Runtime, Answer::Done => ())?;
        Ok(Self { library: library.clone(), target: target.to_owned() })
    }

    fn error(&self, error: CallError) -> TargetError {
        TargetError::new(&self.target, error)
    }

    fn model(&self, request: Request<'_>) -> Result<Vec<u8>, TargetError> {
        ask!(self.library, request, Answer::Model(model) => model)
            .map_err(|error| self.error(error))
    }
}

impl Runtime for NativeRuntime {
    /// Empty for a library that does not know the question: its file's hash stands in keys anyway.
    fn fingerprint(&self) -> String {
        let request = Request::RuntimeFingerprint;
        let answer =
            ask!(self.library, request, Answer::RuntimeFingerprint(fingerprint) => fingerprint);
        answer.map(|fingerprint| shown_fingerprint(&fingerprint)).unwrap_or_default()
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        self.model(Request::WriteFloat(Cow::Borrowed(network), Cow::Borrowed(info)))
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        self.model(Request::WriteInteger(Cow::Borrowed(network), Cow::Borrowed(info), outputs))
    }

    fn load(&self, model: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        let request = Request::Load(Cow::Borrowed(model));
        let handle = ask!(self.library, request, Answer::Handle(handle) => handle)
            .map_err(|error| self.error(error))?;
        Ok(Box::new(NativeModel { runtime: self.clone(), handle }))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        let request = Request::Measure(Cow::Borrowed(model));
        ask!(self.library, request, Answer::Measured(measured) => measured)
            .map_err(|error| self.error(error))
    }
}

/// A model that the library keeps, for this thread.
struct NativeModel {
    runtime: NativeRuntime,
    handle: Handle,
}

impl LoadedModel for NativeModel {
    fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError> {
        let request = Request::Run(self.handle, Cow::Borrowed(image));
        ask!(self.runtime.library, request, Answer::Output(output) => output)
            .map_err(|error| self.runtime.error(error))
    }

    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        let request = Request::RunIntegers(self.handle, Cow::Borrowed(image));
        ask!(self.runtime.library, request, Answer::Integers(integers) => integers)
            .map_err(|error| self.runtime.error(error))
    }

    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        let request = Request::FloatOperators(self.handle);
        ask!(self.runtime.library, request, Answer::Operators(operators) => operators)
            .map_err(|error| self.runtime.error(error))
    }
}

impl Drop for NativeModel {
    fn drop(&mut self) {
        let _ = self.runtime.library.ask(&Request::Release(self.handle));
    }
}
