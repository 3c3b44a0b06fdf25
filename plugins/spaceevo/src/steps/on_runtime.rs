//! Networks as the target's runtime computes them.

use std::collections::BTreeMap;

use spacewright_core::{
    quant::{IntegerNetwork, Quantizer, TrainedNetwork, fold_integer},
    study::{Referred, StepError, StudyContext},
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{Predictions, TrainContext, TrainError},
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
        let images = self.train.images.test.len();
        let classes = self.study.hyperspace.classes;
        let mut loaded = runtime.load(model)?;
        let mut predicted = Vec::with_capacity(images);
        for index in 0..images {
            let logits = loaded.run(&self.image(index, resolution)?)?;
            if logits.len() != classes {
                return Err(SpaceEvoError::Logits { found: logits.len(), classes }.into());
            }
            predicted.extend(Predictions::from_logits(&logits, logits.len()).classes);
        }
        Ok(Predictions { classes: predicted })
    }

    /// A test image as a network of this resolution gets it.
    pub fn image(&self, index: usize, resolution: usize) -> Result<Vec<f32>, StepError> {
        let images = &self.train.images;
        let judged = images.judged(&images.test[index..=index], resolution);
        judged.map_err(|error| TrainError::Image(error).into())
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
