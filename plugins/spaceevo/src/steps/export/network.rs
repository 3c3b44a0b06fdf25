//! One network: written, run on the whole test set, and checked operator by operator.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::{LABELS_KEY, Preprocessing, label_lines},
    latency::Precision,
    model::{SCHEME_KEY, SPACE_KEY, STUDY_KEY, SUBNET_KEY},
    network_files::files_of_trained,
    quant::{TrainedNetwork, fold_float},
    space::Subnet,
    study::{FileError, StepError, TaskFiles},
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{EvaluateJob, Monitor, Trainer},
};

use super::{file_name, folder_name, integer_file_name};
use crate::{
    settings::ExportSettings,
    steps::on_runtime::{OnRuntime, quantizer},
};

/// A verified network. Shares are fractions of the test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedNetwork {
    /// Encoding of the subnet.
    pub encoding: String,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// Share of test images that the INT8 file classifies correctly on the target's runtime.
    pub int8_accuracy: f64,
    /// Share of test images that the same network classifies correctly as training computes it.
    pub fake_quant_accuracy: f64,
    /// Share of test images to which both give the same class.
    pub identical_predictions: f64,
    /// Number of test images; reports of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// INT8 accuracy of the same subnet with the supernet's weights, on the runtime; none where it has no others.
    pub as_searched_accuracy: Option<f64>,
    /// Share of test images that the FP32 file classifies correctly on the runtime: the same subnet after the FP32
    /// phase of training.
    pub fp32_accuracy: f64,
    /// Share of test images that the same subnet classifies correctly on the runtime where it is quantized after the
    /// FP32 phase, without training in INT8.
    pub ptq_accuracy: f64,
    /// Operators of the INT8 file that the runtime executes in floating point.
    pub float_operators: Vec<String>,
    /// How many integers of the runtime were compared with those of the program's own integer executor.
    pub checked_integers: usize,
    /// How many of them differ by one step at a rounding tie.
    pub rounding_ties: usize,
    /// Operators with any other difference.
    pub wrong_operators: Vec<String>,
    /// Size of the INT8 file in bytes.
    pub bytes: usize,
    /// The same network as files of other formats, where the study asks for them.
    pub translated: Vec<TranslatedNetwork>,
}

/// The trained integers of a network in another format, as another runtime computes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranslatedNetwork {
    /// Extension of the file, such as `tflite`.
    pub format: String,
    /// Name of the target whose runtime ran it.
    pub target: String,
    /// Share of test images that it classifies correctly there.
    pub int8_accuracy: f64,
    /// Share of the test images to which training gives the same class.
    pub identical_predictions: f64,
    /// Operators that run in floating point.
    pub float_operators: Vec<String>,
    /// Size of the file in bytes.
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

/// A network that is to be verified.
pub struct Candidate {
    /// Position of its budget among all budgets.
    pub index: usize,
    /// The subnet.
    pub subnet: Subnet,
    /// Its weights after the phase without quantizers.
    pub float: EvaluateJob,
    /// Its weights after the phase with quantizers.
    pub quantized: EvaluateJob,
    /// The supernet's weights after the phase with quantizers, where the subnet has others.
    pub as_searched: Option<EvaluateJob>,
}

/// Writes and verifies networks of one space.
pub struct Verifier<'a> {
    /// The study, its images and its runtime.
    pub on: OnRuntime<'a>,
    /// How much is checked.
    pub settings: &'a ExportSettings,
    /// Opens trained weights.
    pub trainer: &'a dyn Trainer,
    /// Those of other formats that are asked for.
    pub others: Vec<OtherRuntime>,
    /// Encoding of the space.
    pub space: String,
}

impl Verifier<'_> {
    /// Writes the files of a network below `files.output` and verifies them.
    pub fn verify(
        &self,
        candidate: &Candidate,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<VerifiedNetwork, StepError> {
        const STAGES: usize = 6;
        let at = |done: usize, note: &str| {
            monitor.progress(done, STAGES, note);
            if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
        };
        let labels = &self.on.test_labels();
        let Candidate { index, ref subnet, .. } = *candidate;
        let resolution = subnet.resolution;
        let info = self.info(subnet, index)?;
        at(0, "recalibrating")?;
        let mut evaluator = self.trainer.evaluator(self.on.train, &candidate.quantized)?;
        let quantized = evaluator.recalibrate(subnet)?;
        let network = quantized.network()?;
        let integer = self.on.fold(&network)?;
        let model = self.on.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
        let mut unquantized = self.trainer.evaluator(self.on.train, &candidate.float)?;
        let float_subnet = unquantized.recalibrate(subnet)?;
        let float_network = float_subnet.network()?;
        let float = fold_float(&float_network.graph, &float_network.weights)?;
        let float_model = self.on.runtime.write_float(&float, &info)?;
        fs::create_dir_all(&files.output).map_err(FileError::at(&files.output))?;
        let keep = |name: String, bytes: &[u8]| {
            let path = files.output.join(name);
            fs::write(&path, bytes).map_err(FileError::at(&path))
        };
        keep(file_name(self.on.study, index, Precision::Int8), &model)?;
        keep(file_name(self.on.study, index, Precision::Fp32), &float_model)?;
        keep_files(&files.output.join(folder_name(index, Precision::Int8)), &network)?;
        keep_files(&files.output.join(folder_name(index, Precision::Fp32)), &float_network)?;
        at(1, "test set, as trained")?;
        let trained = quantized.test_predictions()?;
        at(2, "test set, on the runtime")?;
        let deployed = self.on.predictions(self.on.runtime, &model, resolution)?;
        let mut translated = Vec::new();
        for other in &self.others {
            let file = other.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
            keep(integer_file_name(index, &other.format), &file)?;
            let predictions = self.on.predictions(other.runtime.as_ref(), &file, resolution)?;
            translated.push(TranslatedNetwork {
                format: other.format.clone(),
                target: other.target.clone(),
                int8_accuracy: predictions.accuracy(labels),
                identical_predictions: predictions.identical(&trained),
                float_operators: other.runtime.load(&file)?.float_operators()?,
                bytes: file.len(),
            });
        }
        let images = self.on.images(resolution);
        let checked =
            images.check(self.on.runtime, (&integer, &info), self.settings.check_images)?;
        let float_operators = self.on.runtime.load(&model)?.float_operators()?;
        at(3, "test set, without quantization")?;
        let fp32 = self.on.predictions(self.on.runtime, &float_model, resolution)?;
        at(4, "test set, post-training quantization")?;
        let post_training = quantizer(self.on.study, &self.settings.post_training)?;
        let ptq = float_subnet.post_training(post_training)?;
        let ptq = self.on.classify(&ptq, resolution, &info)?;
        at(5, "test set, as searched")?;
        let with_supernet = |supernet: &EvaluateJob| {
            let mut evaluator = self.trainer.evaluator(self.on.train, supernet)?;
            let network = evaluator.recalibrate(subnet)?.network()?;
            self.on.classify(&network, resolution, &info)
        };
        let as_searched = candidate.as_searched.as_ref().map(with_supernet).transpose()?;
        at(STAGES, "verified")?;
        Ok(VerifiedNetwork {
            encoding: subnet.to_string(),
            macs: network.graph.macs()?,
            params: network.graph.params()?,
            int8_accuracy: deployed.accuracy(labels),
            fake_quant_accuracy: trained.accuracy(labels),
            identical_predictions: deployed.identical(&trained),
            test_images: Some(labels.len()),
            as_searched_accuracy: as_searched.map(|predictions| predictions.accuracy(labels)),
            fp32_accuracy: fp32.accuracy(labels),
            ptq_accuracy: ptq.accuracy(labels),
            float_operators,
            checked_integers: checked.integers,
            rounding_ties: checked.ties,
            wrong_operators: checked.wrong,
            bytes: model.len(),
            translated,
        })
    }

    fn info(&self, subnet: &Subnet, index: usize) -> Result<ModelInfo, StepError> {
        let preprocessing = self.on.train.images.preprocessing(subnet.resolution);
        let mut metadata = vec![
            (STUDY_KEY, self.on.study.name.clone()),
            (SPACE_KEY, self.space.clone()),
            (SUBNET_KEY, subnet.to_string()),
            (SCHEME_KEY, self.on.study.target.description().scheme.name),
            (Preprocessing::KEY, serde_json::to_string(&preprocessing)?),
        ];
        metadata.push((LABELS_KEY, label_lines(&self.on.study.labels)));
        let metadata: BTreeMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(ModelInfo { name: format!("network-{index}"), metadata })
    }
}

/// Writes graph, weights and quantizers of a network into a folder.
fn keep_files(folder: &Path, network: &TrainedNetwork) -> Result<(), StepError> {
    fs::create_dir_all(folder).map_err(FileError::at(folder))?;
    for (name, content) in files_of_trained(network).map_err(StepError::method)? {
        let path = folder.join(name);
        fs::write(&path, content).map_err(FileError::at(&path))?;
    }
    Ok(())
}
