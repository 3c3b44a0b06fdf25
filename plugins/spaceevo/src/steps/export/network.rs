//! One network: written, run on the whole test set, and checked operator by operator.

use std::{collections::BTreeMap, fs, sync::Arc};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    latency::Precision,
    quant::{IntegerNetwork, OperatorCheck, TrainedNetwork, check, fold_float, fold_integer},
    study::{FileError, Referred, StepError, StudyContext, TaskFiles},
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{EvaluateJob, Monitor, Predictions, RecalibratedSubnet, TrainContext, Trainer},
};

use super::{ChosenSubnet, file_name, integer_file_name};
use crate::{error::SpaceEvoError, settings::ExportSettings};

/// A verified network. Shares are fractions of the test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifiedNetwork {
    /// Encoding of the subnet.
    pub encoding: String,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// As the target's runtime computes it.
    pub int8_accuracy: f64,
    /// As training computes it.
    pub fake_quant_accuracy: f64,
    /// Images to which both give the same class.
    pub identical_predictions: f64,
    /// The FP32 file: the same subnet after the FP32 phase, on the runtime.
    pub fp32_accuracy: f64,
    /// The same subnet after the FP32 phase, quantized without training, on the runtime.
    pub ptq_accuracy: f64,
    /// Operators that the runtime executes in floating point.
    pub float_operators: Vec<String>,
    /// Integers that were compared with the integer executor.
    pub checked_integers: usize,
    /// Those that differ by one step at a rounding tie.
    pub rounding_ties: usize,
    /// Operators with any other difference.
    pub wrong_operators: Vec<String>,
    /// Size of the INT8 file.
    pub bytes: usize,
    /// The same network in other formats.
    pub translated: Vec<TranslatedNetwork>,
}

/// The trained integers of a network in another format, as another runtime computes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranslatedNetwork {
    /// Extension of the file.
    pub format: String,
    /// Whose runtime ran it.
    pub target: String,
    /// Share of the test images.
    pub int8_accuracy: f64,
    /// Share of the test images to which training gives the same class.
    pub identical_predictions: f64,
    /// Operators that run in floating point.
    pub float_operators: Vec<String>,
    /// Size of the file.
    pub bytes: usize,
}

/// Who writes and runs another format.
pub struct OtherRuntime {
    /// Extension of the files.
    pub format: String,
    /// Name of the target.
    pub target: String,
    /// The target's runtime.
    pub runtime: Arc<dyn Runtime>,
}

/// Writes and verifies networks of one supernet.
pub struct Verifier<'a> {
    /// The study.
    pub study: &'a StudyContext,
    /// How much is checked.
    pub settings: &'a ExportSettings,
    /// Opens supernets.
    pub trainer: &'a dyn Trainer,
    /// Images.
    pub train: &'a TrainContext,
    /// Of the study's target.
    pub runtime: &'a dyn Runtime,
    /// Those of other formats that are asked for.
    pub others: Vec<OtherRuntime>,
    /// The supernet after the phase without quantizers.
    pub float: EvaluateJob,
    /// The supernet after the phase with quantizers.
    pub quantized: EvaluateJob,
    /// Encoding of the space.
    pub space: String,
}

impl Verifier<'_> {
    /// Writes the files of a network below `files.output` and verifies them.
    pub fn verify(
        &self,
        chosen: &ChosenSubnet,
        index: usize,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<VerifiedNetwork, StepError> {
        const STAGES: usize = 5;
        let at = |done: usize, note: &str| {
            monitor.progress(done, STAGES, note);
            if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
        };
        let labels = &self.train.data.test.labels;
        let resolution = chosen.subnet.resolution;
        let info = self.info(chosen, index);
        at(0, "recalibrating")?;
        let mut evaluator = self.trainer.evaluator(self.train, &self.quantized)?;
        let subnet = evaluator.recalibrate(&chosen.subnet)?;
        let network = subnet.network()?;
        let integer = self.fold(&network)?;
        let model = self.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
        let mut unquantized = self.trainer.evaluator(self.train, &self.float)?;
        let float_subnet = unquantized.recalibrate(&chosen.subnet)?;
        let float = float_subnet.network()?;
        let float = fold_float(&float.graph, &float.weights)?;
        let float_model = self.runtime.write_float(&float, &info)?;
        fs::create_dir_all(&files.output).map_err(FileError::at(&files.output))?;
        let keep = |name: String, bytes: &[u8]| {
            let path = files.output.join(name);
            fs::write(&path, bytes).map_err(FileError::at(&path))
        };
        keep(file_name(self.study, index, Precision::Int8), &model)?;
        keep(file_name(self.study, index, Precision::Fp32), &float_model)?;
        at(1, "test set, as trained")?;
        let trained = subnet.test_predictions()?;
        at(2, "test set, on the runtime")?;
        let deployed = self.predictions(self.runtime, &model, resolution)?;
        let mut translated = Vec::new();
        for other in &self.others {
            let file = other.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
            keep(integer_file_name(index, &other.format), &file)?;
            let predictions = self.predictions(other.runtime.as_ref(), &file, resolution)?;
            translated.push(TranslatedNetwork {
                format: other.format.clone(),
                target: other.target.clone(),
                int8_accuracy: predictions.accuracy(labels),
                identical_predictions: predictions.identical(&trained),
                float_operators: other.runtime.load(&file)?.float_operators()?,
                bytes: file.len(),
            });
        }
        let checks = self.check(&integer, &info, resolution)?;
        let float_operators = self.runtime.load(&model)?.float_operators()?;
        at(3, "test set, without quantization")?;
        let fp32 = self.predictions(self.runtime, &float_model, resolution)?;
        at(4, "test set, post-training quantization")?;
        let ptq = self.post_training(float_subnet.as_ref(), resolution, &info)?;
        at(STAGES, "verified")?;
        Ok(VerifiedNetwork {
            encoding: chosen.subnet.to_string(),
            macs: network.graph.macs()?,
            params: network.graph.params()?,
            int8_accuracy: deployed.accuracy(labels),
            fake_quant_accuracy: trained.accuracy(labels),
            identical_predictions: deployed.identical(&trained),
            fp32_accuracy: fp32.accuracy(labels),
            ptq_accuracy: ptq.accuracy(labels),
            float_operators,
            checked_integers: checks.iter().map(|check| check.elements).sum(),
            rounding_ties: checks.iter().map(|check| check.ties).sum(),
            wrong_operators: checks.into_iter().filter(|c| c.wrong > 0).map(|c| c.value).collect(),
            bytes: model.len(),
            translated,
        })
    }

    fn info(&self, chosen: &ChosenSubnet, index: usize) -> ModelInfo {
        let mut metadata = vec![
            ("spacewright.study", self.study.name.clone()),
            ("spacewright.space", self.space.clone()),
            ("spacewright.subnet", chosen.subnet.to_string()),
            ("spacewright.scheme", self.study.target.description().scheme.name),
            ("spacewright.input", "pixels divided by 255, centred on a black square".into()),
        ];
        if !self.study.labels.is_empty() {
            metadata.push(("spacewright.labels", self.study.labels.join("\n")));
        }
        let metadata: BTreeMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        ModelInfo { name: format!("network-{index}"), metadata }
    }

    fn fold(&self, network: &TrainedNetwork) -> Result<IntegerNetwork, StepError> {
        Ok(fold_integer(network, &self.study.target.description().scheme)?)
    }

    fn predictions(
        &self,
        runtime: &dyn Runtime,
        model: &[u8],
        resolution: usize,
    ) -> Result<Predictions, StepError> {
        let images = self.train.data.test.len();
        let classes = self.study.hyperspace.classes;
        let mut loaded = runtime.load(model)?;
        let mut predicted = Vec::with_capacity(images);
        for index in 0..images {
            let logits = loaded.run(&self.image(index, resolution))?;
            if logits.len() != classes {
                return Err(SpaceEvoError::Logits { found: logits.len(), classes }.into());
            }
            predicted.extend(Predictions::from_logits(&logits, logits.len()).classes);
        }
        Ok(Predictions { classes: predicted })
    }

    /// A test image as a network of this resolution gets it.
    fn image(&self, index: usize, resolution: usize) -> Vec<f32> {
        self.train.data.test.inputs(&[index], self.train.canvas, resolution)
    }

    /// Compares every operator with the integer executor, fed with the runtime's own integers.
    fn check(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        resolution: usize,
    ) -> Result<Vec<OperatorCheck>, StepError> {
        let model = self.runtime.write_integer(network, info, ModelOutputs::Integers)?;
        let mut loaded = self.runtime.load(&model)?;
        let mut checks = Vec::new();
        for index in 0..self.settings.check_images.min(self.train.data.test.len()) {
            let observed = loaded.run_integers(&self.image(index, resolution))?;
            checks.extend(check(network, &observed)?);
        }
        Ok(checks)
    }

    fn post_training(
        &self,
        subnet: &dyn RecalibratedSubnet,
        resolution: usize,
        info: &ModelInfo,
    ) -> Result<Predictions, StepError> {
        let name = &self.settings.post_training;
        let not_there = || SpaceEvoError::NotThere(Referred::Quantizer(name.clone()));
        let quantizer = self.study.quantizers.get(name).ok_or_else(not_there)?;
        let integer = self.fold(&subnet.post_training(quantizer.as_ref())?)?;
        let model = self.runtime.write_integer(&integer, info, ModelOutputs::Result)?;
        self.predictions(self.runtime, &model, resolution)
    }
}
