//! The runtime of a library's target.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use spacewright_core::{
    quant::{FloatNetwork, IntegerNetwork},
    target::{LoadedModel, Measurement, ModelInfo, ModelOutputs, Runtime, TargetError},
};
use spacewright_sdk::native::protocol::{Answer, Handle, Request};

use super::library::{Library, ask};

#[derive(Clone)]
pub(super) struct NativeRuntime {
    library: Arc<Library>,
    target: String,
}

impl NativeRuntime {
    pub fn new(library: &Arc<Library>, target: &str) -> Result<Self, String> {
        ask!(library, Request::Runtime, Answer::Done => ())?;
        Ok(Self { library: library.clone(), target: target.to_owned() })
    }

    fn error(&self, reason: String) -> TargetError {
        TargetError { target: self.target.clone(), reason }
    }

    fn model(&self, request: Request<'_>) -> Result<Vec<u8>, TargetError> {
        ask!(self.library, request, Answer::Model(model) => model)
            .map_err(|reason| self.error(reason))
    }
}

impl Runtime for NativeRuntime {
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
            .map_err(|reason| self.error(reason))?;
        Ok(Box::new(NativeModel { runtime: self.clone(), handle }))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        let request = Request::Measure(Cow::Borrowed(model));
        ask!(self.library, request, Answer::Measured(measured) => measured)
            .map_err(|reason| self.error(reason))
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
            .map_err(|reason| self.runtime.error(reason))
    }

    fn run_integers(&mut self, image: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        let request = Request::RunIntegers(self.handle, Cow::Borrowed(image));
        ask!(self.runtime.library, request, Answer::Integers(integers) => integers)
            .map_err(|reason| self.runtime.error(reason))
    }

    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        let request = Request::FloatOperators(self.handle);
        ask!(self.runtime.library, request, Answer::Operators(operators) => operators)
            .map_err(|reason| self.runtime.error(reason))
    }
}

impl Drop for NativeModel {
    fn drop(&mut self) {
        let _ = self.runtime.library.ask(&Request::Release(self.handle));
    }
}
