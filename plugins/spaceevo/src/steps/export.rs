//! Model files of the chosen subnets, verified by the target's runtime on the whole test set.

mod formats;

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::ImageSet,
    latency::{Position, Precision},
    method::{Parts, StepContext, StepError, Task, TaskFiles},
    quant::{IntegerNetwork, OperatorCheck, QuantParams, check, fold_float, fold_integer},
    target::{ModelInfo, ModelOutputs, Runtime},
    train::{EvaluateJob, Evaluator, Monitor, Predictions, TrainContext, Trainer},
};

use formats::{Other, Translated};

use super::{
    evolve::Evolved,
    search::{self, Chosen},
    train,
};
use crate::{
    parts,
    settings::{self, ExportSettings},
};

/// A verified network. Shares are fractions of the test set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verified {
    pub encoding: String,
    pub macs: u64,
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
    pub translated: Vec<Translated>,
}

/// Latency of a whole network as measured, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Deployed {
    pub int8_ms: f64,
    pub int8_spread_ms: f64,
    /// `None` where the target's latencies are known in integers only.
    pub fp32_ms: Option<f64>,
    pub fp32_spread_ms: Option<f64>,
}

struct Export<'a> {
    study: &'a Parts,
    settings: &'a ExportSettings,
    trainer: &'a dyn Trainer,
    train: &'a TrainContext,
    runtime: &'a dyn Runtime,
    others: Vec<Other>,
    /// Weights after the FP32 phase, and after the INT8 phase.
    jobs: [EvaluateJob; 2],
    space: String,
}

pub fn run(context: &dyn StepContext) -> Result<(), StepError> {
    let settings: ExportSettings = settings::of(context, "export")?;
    let evolved: Evolved = super::result(context, "evolve/space")?;
    let study = context.parts();
    let trainer = super::trainer(context)?;
    let train = context.train_context()?;
    let runtime = study.target.runtime()?;
    let space = &evolved.best[0].space;
    let weights = context.path("train/supernet")?;
    let job = |file: &str, quantized| EvaluateJob {
        stages: space.elastic_stages(&study.hyperspace),
        weights: weights.join(file),
        quantized,
        calibration_images: settings.calibration_images,
        judge_images: 1,
    };
    let export = Export {
        study,
        settings: &settings,
        trainer: trainer.as_ref(),
        train: &train,
        runtime: runtime.as_ref(),
        others: formats::others(study, &settings.formats)?,
        jobs: [job(train::FP32, false), job(train::INT8, true)],
        space: space.to_string(),
    };
    let found = search::found(context)?;
    let export = &export;
    let task = |(index, chosen): &(usize, Chosen)| {
        let (index, chosen) = (*index, chosen.clone());
        Task::new(format!("network-{index}"), move |files: &TaskFiles, monitor: &dyn Monitor| {
            Ok(serde_json::to_value(export.verify(&chosen, index, files, monitor)?)?)
        })
    };
    context.tasks(found.iter().map(task).collect(), study.threads)?;
    let measure =
        Task::new("latency", |_, _| Ok(serde_json::to_value(deployed(context, export, &found)?)?));
    context.tasks(vec![measure], 1)?;
    for (index, _) in found {
        let verified: Verified = super::result(context, &format!("export/network-{index}"))?;
        let folder = context.path(&format!("export/network-{index}"))?;
        let own = [Precision::Int8, Precision::Fp32].map(|p| file_name(study, index, p));
        let others = export.others.iter().map(|other| integer_name(index, &other.format));
        for name in own.into_iter().chain(others) {
            let bytes =
                fs::read(folder.join(&name)).map_err(|e| StepError::Failed(e.to_string()))?;
            context.publish(&name, &bytes)?;
        }
        context.say(&format!(
            "{}: {:.2} % of test images on the runtime, {:.2} % in training, {:.2} % identical",
            file_name(study, index, Precision::Int8),
            100.0 * verified.int8_accuracy,
            100.0 * verified.fake_quant_accuracy,
            100.0 * verified.identical_predictions
        ));
        for Translated { format, target, int8_accuracy, identical_predictions, .. } in
            verified.translated
        {
            context.say(&format!(
                "{}: {:.2} % of test images on {target}, {:.2} % identical to training",
                integer_name(index, &format),
                100.0 * int8_accuracy,
                100.0 * identical_predictions
            ));
        }
    }
    Ok(())
}

/// Whether the quantizer exists that the trained one is compared with.
pub fn check_settings(parts: &Parts, settings: &ExportSettings) -> Result<(), StepError> {
    super::named("[export] post_training", &settings.post_training, &parts.quantizers)?;
    formats::check(parts, &settings.formats)
}

/// Name of a model file.
pub fn file_name(study: &Parts, index: usize, precision: Precision) -> String {
    let format = study.target.description().model_format;
    format!("network-{index}.{}.{format}", precision.name())
}

fn integer_name(index: usize, format: &str) -> String {
    format!("network-{index}.{}.{format}", Precision::Int8.name())
}

impl Export<'_> {
    fn verify(
        &self,
        chosen: &Chosen,
        index: usize,
        files: &TaskFiles,
        monitor: &dyn Monitor,
    ) -> Result<Verified, StepError> {
        const STAGES: usize = 5;
        let at = |done: usize, note: &str| {
            monitor.progress(done, STAGES, note);
            if monitor.cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
        };
        let test = &self.train.data.test;
        let scheme = self.study.target.description().scheme;
        let info = self.info(chosen, index);
        at(0, "recalibrating")?;
        let mut evaluator = self.trainer.evaluator(self.train, &self.jobs[1])?;
        let network = evaluator.extract(&chosen.subnet)?;
        let no_quantizers = || StepError::Failed("the trained network has no quantizers".into());
        let quant: &QuantParams = network.quant.as_ref().ok_or_else(no_quantizers)?;
        let integer = fold_integer(&network.graph, &network.weights, quant, &scheme)?;
        let model = self.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
        let mut unquantized = self.trainer.evaluator(self.train, &self.jobs[0])?;
        let float = unquantized.extract(&chosen.subnet)?;
        let float = fold_float(&float.graph, &float.weights)?;
        let float_model = self.runtime.write_float(&float, &info)?;
        let failed =
            |e: std::io::Error| StepError::Failed(format!("{}: {e}", files.output.display()));
        fs::create_dir_all(&files.output).map_err(failed)?;
        for (precision, bytes) in [(Precision::Int8, &model), (Precision::Fp32, &float_model)] {
            fs::write(files.output.join(file_name(self.study, index, precision)), bytes)
                .map_err(failed)?;
        }
        at(1, "test set, as trained")?;
        let trained = evaluator.test_predictions(&chosen.subnet)?;
        at(2, "test set, on the runtime")?;
        let resolution = chosen.subnet.resolution;
        let deployed = self.predictions(self.runtime, &model, resolution)?;
        let mut translated = Vec::new();
        for other in &self.others {
            let file = other.runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
            fs::write(files.output.join(integer_name(index, &other.format)), &file)
                .map_err(failed)?;
            let predictions = self.predictions(other.runtime.as_ref(), &file, resolution)?;
            translated.push(Translated {
                format: other.format.clone(),
                target: other.target.clone(),
                int8_accuracy: predictions.accuracy(&test.labels),
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
        let ptq = self.post_training(unquantized.as_mut(), chosen, &info)?;
        at(STAGES, "verified")?;
        Ok(Verified {
            encoding: chosen.subnet.to_string(),
            macs: network.graph.macs()?,
            params: network.graph.params()?,
            int8_accuracy: deployed.accuracy(&test.labels),
            fake_quant_accuracy: trained.accuracy(&test.labels),
            identical_predictions: deployed.identical(&trained),
            fp32_accuracy: fp32.accuracy(&test.labels),
            ptq_accuracy: ptq.accuracy(&test.labels),
            float_operators,
            checked_integers: checks.iter().map(|check| check.elements).sum(),
            rounding_ties: checks.iter().map(|check| check.ties).sum(),
            wrong_operators: checks.into_iter().filter(|c| c.wrong > 0).map(|c| c.value).collect(),
            bytes: model.len(),
            translated,
        })
    }

    fn info(&self, chosen: &Chosen, index: usize) -> ModelInfo {
        let mut metadata = vec![
            ("spacewright.study", self.study.study.clone()),
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

    fn predictions(
        &self,
        runtime: &dyn Runtime,
        model: &[u8],
        resolution: usize,
    ) -> Result<Predictions, StepError> {
        let test = &self.train.data.test;
        let mut loaded = runtime.load(model)?;
        let mut classes = Vec::with_capacity(test.len());
        for index in 0..test.len() {
            let logits = loaded.run(&self.image(test, index, resolution))?;
            if logits.len() != self.study.hyperspace.classes {
                return Err(StepError::Failed(format!(
                    "the runtime gave {} numbers for an image; there are {} classes",
                    logits.len(),
                    self.study.hyperspace.classes
                )));
            }
            classes.extend(Predictions::from_logits(&logits, logits.len()).classes);
        }
        Ok(Predictions { classes })
    }

    fn image(&self, set: &ImageSet, index: usize, resolution: usize) -> Vec<f32> {
        set.inputs(&[index], self.train.canvas, resolution)
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
        let test = &self.train.data.test;
        for index in 0..self.settings.check_images.min(test.len()) {
            let observed = loaded.run_integers(&self.image(test, index, resolution))?;
            checks.extend(check(network, &observed).map_err(|e| StepError::Failed(e.to_string()))?);
        }
        Ok(checks)
    }

    fn post_training(
        &self,
        evaluator: &mut dyn Evaluator,
        chosen: &Chosen,
        info: &ModelInfo,
    ) -> Result<Predictions, StepError> {
        let name = &self.settings.post_training;
        let quantizer = super::named("[export] post_training", name, &self.study.quantizers)?;
        let network = evaluator.post_training(&chosen.subnet, quantizer.as_ref())?;
        let quant = network.quant.unwrap_or_default();
        let scheme = self.study.target.description().scheme;
        let integer = fold_integer(&network.graph, &network.weights, &quant, &scheme)?;
        let model = self.runtime.write_integer(&integer, info, ModelOutputs::Result)?;
        self.predictions(self.runtime, &model, chosen.subnet.resolution)
    }
}

fn deployed(
    context: &dyn StepContext,
    export: &Export<'_>,
    found: &[(usize, Chosen)],
) -> Result<Vec<Deployed>, StepError> {
    let study = export.study;
    let known = study.target.latency_source()?.precisions();
    let mut precisions = vec![Precision::Int8];
    precisions.extend(known.contains(&Precision::Fp32).then_some(Precision::Fp32));
    let mut queries = Vec::new();
    for (_, chosen) in found {
        let stages = &export.jobs[1].stages;
        let graph = parts::whole(study, stages, &chosen.subnet)?;
        for &precision in &precisions {
            queries.push(parts::query(graph.clone(), Position::Whole, precision));
        }
    }
    let latencies = context.latencies(&queries)?;
    let pair = |pair: &[spacewright_core::latency::Latency]| Deployed {
        int8_ms: pair[0].ms,
        int8_spread_ms: pair[0].spread_ms,
        fp32_ms: pair.get(1).map(|fp32| fp32.ms),
        fp32_spread_ms: pair.get(1).map(|fp32| fp32.spread_ms),
    };
    Ok(latencies.chunks_exact(precisions.len()).map(pair).collect())
}
