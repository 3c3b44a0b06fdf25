//! Networks from outside in the integers of a target: calibrated on images, written, run and checked.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use spacewright_core::{
    data::{LABELS_KEY, Preprocessing},
    graph::{Graph, Shape},
    import::WEIGHTS,
    quant::{Quantizer, fold_float, fold_integer},
    space::Hyperspace,
    study::StepError,
    target::{ModelInfo, ModelOutputs, Target},
    train::{EvaluateJob, Monitor, Predictions, TrainContext, Trainer},
    verify::TestImages,
};

use crate::{error::Result, import::read_graph};

/// A network that is to be quantized after training.
pub struct QuantizeJob<'a> {
    /// The folder that an import made.
    pub folder: &'a Path,
    /// What the network is called.
    pub name: &'a str,
    /// Whose integers it gets, and whose runtime writes and runs it.
    pub target: &'a dyn Target,
    /// Who computes what its values are for the calibration images.
    pub trainer: &'a dyn Trainer,
    /// Images, and the scheme of the target; the network is run on the test images.
    pub context: &'a TrainContext,
    /// What chooses the scales.
    pub quantizer: &'a dyn Quantizer,
    /// Training images from which it does.
    pub calibration_images: usize,
    /// Test images on which each operator is compared with the integer executor.
    pub check_images: usize,
    /// What the images' classes are called; none where they are others than the network's.
    pub classes: Option<&'a [String]>,
}

/// A quantized network.
#[derive(Debug)]
pub struct Quantized {
    /// The file in floating point.
    pub fp32: Vec<u8>,
    /// The file in integers.
    pub int8: Vec<u8>,
    /// About both.
    pub report: QuantizeReport,
}

/// What became of a network. Shares are fractions of the images that both files were run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizeReport {
    /// Shape of an image.
    pub input: Shape,
    /// Classes that it tells apart.
    pub classes: usize,
    /// Multiply-adds of one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// Images on which both were run.
    pub images: usize,
    /// Of images to which both give the same class.
    pub identical_predictions: f64,
    /// Of images that the network in floating point classifies correctly; none where classes are others.
    pub fp32_accuracy: Option<f64>,
    /// Of images that the network in integers classifies correctly.
    pub int8_accuracy: Option<f64>,
    /// Operators that the runtime executes in floating point.
    pub float_operators: Vec<String>,
    /// Integers that were compared with the integer executor.
    pub checked_integers: usize,
    /// Those that differ by one step at a rounding tie.
    pub rounding_ties: usize,
    /// Operators with any other difference.
    pub wrong_operators: Vec<String>,
    /// Size of the file in floating point.
    pub fp32_bytes: usize,
    /// Size of the file in integers.
    pub int8_bytes: usize,
}

/// What a trainer is told of a space where there is none.
pub fn no_space(graph: &Graph, classes: usize) -> Hyperspace {
    let side = graph.input.height;
    Hyperspace {
        name: "network".into(),
        summary: String::new(),
        input_channels: graph.input.channels,
        classes,
        fixed_input: true,
        resolutions: vec![side],
        table_resolutions: vec![side],
        fixed_latency_ms: BTreeMap::new(),
        stem: Vec::new(),
        candidates: Vec::new(),
        stages: Vec::new(),
        head: Vec::new(),
    }
}

/// Chooses the scales, writes both files, and runs them on the test images.
///
/// # Errors
///
/// Quantizers cannot be placed in the network, the target has no runtime here, or something fails on the way.
pub fn quantize(job: &QuantizeJob<'_>, monitor: &dyn Monitor) -> Result<Quantized> {
    Ok(run(job, monitor)?)
}

fn run(job: &QuantizeJob<'_>, monitor: &dyn Monitor) -> Result<Quantized, StepError> {
    let graph = read_graph(job.folder)?;
    let runtime = job.target.runtime()?;
    let images = &job.context.images.test;
    monitor.progress(0, 2 * images.len(), "calibrating");
    let mut evaluator = job.trainer.evaluator(
        job.context,
        &EvaluateJob {
            stages: Vec::new(),
            weights: job.folder.join(WEIGHTS),
            quantized: false,
            calibration_images: job.calibration_images,
            judge_images: 1,
        },
    )?;
    let opened = evaluator.network(&graph)?;
    let (float, quantized) = (opened.network()?, opened.post_training(job.quantizer)?);
    let float = fold_float(&float.graph, &float.weights)?;
    let integer = fold_integer(&quantized, &job.target.description().scheme)?;
    let info = info(job, &graph)?;
    let fp32 = runtime.write_float(&float, &info)?;
    let int8 = runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
    let (side, classes) = (graph.input.height, graph.output_shape()?.elements());
    let tested = TestImages { images: &job.context.images, side, classes };
    let predictions = |model: &[u8], before: usize, note: &str| {
        tested.predictions(&*runtime, model, |done| {
            monitor.progress(before + done, 2 * images.len(), note);
            !monitor.cancelled()
        })
    };
    let by_fp32 = predictions(&fp32, 0, "floating point")?;
    let by_int8 = predictions(&int8, images.len(), "integers")?;
    let checked = tested.check(&*runtime, (&integer, &info), job.check_images)?;
    let labels = job.classes.map(|_| job.context.images.labels(images));
    let accuracy = |of: &Predictions| labels.as_deref().map(|labels| of.accuracy(labels));
    let report = QuantizeReport {
        input: graph.input,
        classes,
        macs: graph.macs()?,
        params: graph.params()?,
        images: images.len(),
        identical_predictions: by_int8.identical(&by_fp32),
        fp32_accuracy: accuracy(&by_fp32),
        int8_accuracy: accuracy(&by_int8),
        float_operators: runtime.load(&int8)?.float_operators()?,
        checked_integers: checked.integers,
        rounding_ties: checked.ties,
        wrong_operators: checked.wrong,
        fp32_bytes: fp32.len(),
        int8_bytes: int8.len(),
    };
    Ok(Quantized { fp32, int8, report })
}

/// What the files say of themselves: with it `model run` treats images as they were here.
fn info(job: &QuantizeJob<'_>, graph: &Graph) -> Result<ModelInfo, StepError> {
    let preprocessing = job.context.images.preprocessing(graph.input.height);
    let scheme = job.target.description().scheme.name;
    let mut metadata = BTreeMap::from([
        ("spacewright.scheme".to_owned(), scheme),
        (Preprocessing::KEY.to_owned(), serde_json::to_string(&preprocessing)?),
    ]);
    if let Some(classes) = job.classes {
        let in_lines: Vec<String> =
            classes.iter().map(|class| class.replace(char::is_control, " ")).collect();
        metadata.insert(LABELS_KEY.to_owned(), in_lines.join("\n"));
    }
    Ok(ModelInfo { name: job.name.to_owned(), metadata })
}
