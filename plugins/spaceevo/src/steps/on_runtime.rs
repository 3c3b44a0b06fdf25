//! Networks as the target's runtime computes them.

use std::collections::BTreeMap;

use spacewright_core::{
    quant::{IntegerNetwork, Quantizer, TrainedNetwork, fold_integer},
    study::{Referred, StepError, StudyContext},
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{Predictions, TrainContext},
    verify::TestImages,
};

use crate::error::SpaceEvoError;

/// What runs networks of a study on its test images.
#[derive(Clone, Copy)]
pub(crate) struct OnRuntime<'a> {
    /// The study.
    pub study: &'a StudyContext,
    /// Images.
    pub train: &'a TrainContext,
    /// Of the study's target.
    pub runtime: &'a dyn Runtime,
}

impl OnRuntime<'_> {
    /// A network in the integers of the target's scheme.
    pub fn fold(&self, network: &TrainedNetwork) -> Result<IntegerNetwork, StepError> {
        Ok(fold_integer(network, &self.study.target.description().scheme)?)
    }

    /// Classes of the test images by a quantized network.
    pub fn classify(
        &self,
        network: &TrainedNetwork,
        resolution: usize,
        info: &ModelInfo,
    ) -> Result<Predictions, StepError> {
        let integer = self.fold(network)?;
        let model = self.runtime.write_integer(&integer, info, ModelOutputs::Result)?;
        self.predictions(self.runtime, &model, resolution)
    }

    /// That the runtime takes a quantized network, before more is spent on others like it.
    pub fn accepts(&self, network: &TrainedNetwork) -> Result<(), StepError> {
        let info = ModelInfo { name: "first".into(), metadata: BTreeMap::new() };
        let integer = self.fold(network)?;
        let model = self.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
        self.runtime.load(&model)?;
        Ok(())
    }

    /// Classes of the test images by a model file, on this or another runtime.
    pub fn predictions(
        &self,
        runtime: &dyn Runtime,
        model: &[u8],
        resolution: usize,
    ) -> Result<Predictions, StepError> {
        self.images(resolution).predictions(runtime, model, |_| true)
    }

    /// The test images as a network of this resolution gets them.
    pub fn images(&self, resolution: usize) -> TestImages<'_> {
        let classes = self.study.hyperspace.classes;
        TestImages { images: &self.train.images, side: resolution, classes }
    }

    /// The classes of the test images.
    pub fn test_labels(&self) -> Vec<u32> {
        self.train.images.labels(&self.train.images.test)
    }
}

/// The quantizer of this name.
pub(crate) fn quantizer<'a>(
    study: &'a StudyContext,
    name: &str,
) -> Result<&'a dyn Quantizer, SpaceEvoError> {
    let not_there = || SpaceEvoError::NotThere(Referred::Quantizer(name.to_owned()));
    study.quantizers.get(name).map(AsRef::as_ref).ok_or_else(not_there)
}
