//! Model files on test images: which classes they give, and whether each operator computes what exact integers say.

use thiserror::Error;

use crate::{
    data::StudyImages,
    quant::{IntegerNetwork, check},
    study::StepError,
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{Predictions, TrainError},
};

/// What a runtime says is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No list of logits.
    #[error("the runtime gave {found} numbers for an image; there are {classes} classes")]
    Logits {
        /// Numbers that it gave.
        found: usize,
        /// Classes of the network.
        classes: usize,
    },
}

/// Test images, as a network gets them.
#[derive(Clone, Copy)]
pub struct TestImages<'a> {
    /// All images.
    pub images: &'a StudyImages,
    /// Side of the network's input, in pixels.
    pub side: usize,
    /// Classes that it tells apart.
    pub classes: usize,
}

/// How the operators of a network in integers compare with the integer executor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckedOperators {
    /// Integers that were compared.
    pub integers: usize,
    /// Those that differ by one step at a rounding tie.
    pub ties: usize,
    /// Operators with any other difference, once for each image.
    pub wrong: Vec<String>,
}

impl TestImages<'_> {
    /// Classes of the images by a model file; `goes_on` is told how many are done, and says whether to go on.
    ///
    /// # Errors
    ///
    /// The file or an image cannot be read, there is not one number for each class, or a request to stop.
    pub fn predictions(
        &self,
        runtime: &dyn Runtime,
        model: &[u8],
        mut goes_on: impl FnMut(usize) -> bool,
    ) -> Result<Predictions, StepError> {
        let (images, classes) = (self.images.test.len(), self.classes);
        let mut loaded = runtime.load(model)?;
        let mut predicted = Vec::with_capacity(images);
        for index in 0..images {
            if !goes_on(index) {
                return Err(StepError::Cancelled);
            }
            let logits = loaded.run(&self.image(index)?)?;
            if logits.len() != classes {
                return Err(StepError::method(VerifyError::Logits {
                    found: logits.len(),
                    classes,
                }));
            }
            predicted.extend(Predictions::from_logits(&logits, classes).classes);
        }
        Ok(Predictions { classes: predicted })
    }

    /// Compares every operator with the integer executor, fed with the runtime's own integers, on the first
    /// `count` images; with none of them the runtime is not asked for such a file.
    ///
    /// # Errors
    ///
    /// The network cannot be written or run, or the integer executor cannot follow it.
    pub fn check(
        &self,
        runtime: &dyn Runtime,
        (network, info): (&IntegerNetwork, &ModelInfo),
        count: usize,
    ) -> Result<CheckedOperators, StepError> {
        let mut checked = CheckedOperators::default();
        if count == 0 {
            return Ok(checked);
        }
        let model = runtime.write_integer(network, info, ModelOutputs::Integers)?;
        let mut loaded = runtime.load(&model)?;
        for index in 0..count.min(self.images.test.len()) {
            let observed = loaded.run_integers(&self.image(index)?)?;
            for operator in check(network, &observed)? {
                checked.integers += operator.elements;
                checked.ties += operator.ties;
                checked.wrong.extend((operator.wrong > 0).then_some(operator.value));
            }
        }
        Ok(checked)
    }

    fn image(&self, index: usize) -> Result<Vec<f32>, StepError> {
        let judged = self.images.judged(&self.images.test[index..=index], self.side);
        judged.map_err(|error| TrainError::Image(error).into())
    }
}
