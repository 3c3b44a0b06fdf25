//! Networks from outside in the integers of a target: calibrated on images, written, run and checked.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    data::{LABELS_KEY, Preprocessing, label_line, label_lines},
    graph::{Graph, Shape},
    model::SCHEME_KEY,
    quant::{Quantizer, TrainedNetwork, fold_float, fold_integer},
    space::Hyperspace,
    study::StepError,
    target::{ModelInfo, ModelOutputs, Target},
    train::{EvaluateJob, LearnScalesJob, Monitor, Predictions, TrainContext, Trainer},
    verify::TestImages,
};

/// A network that is to be quantized after training.
pub struct QuantizeJob<'a> {
    /// The network, as an import gave it.
    pub graph: &'a Graph,
    /// The file of its weights.
    pub weights: &'a Path,
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
    /// What the network's outputs are called; empty where nobody knows.
    pub labels: &'a [String],
    /// The output that stands for each class of the images, as [`outputs_of_classes`] tells; none where the network's
    /// classes are others.
    pub outputs: Option<&'a [u32]>,
    /// How the network is trained with quantizers; none: its scales are as the quantizer chooses them.
    pub training: Option<ScaleTraining<'a>>,
}

/// A training with quantizers, and where its files go.
pub struct ScaleTraining<'a> {
    /// Of the same network.
    pub job: &'a LearnScalesJob,
    /// The file that it writes.
    pub output: &'a Path,
    /// Folder of its checkpoints.
    pub scratch: &'a Path,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuantizeReport {
    /// Shape of an image.
    pub input: Shape,
    /// Classes that it tells apart.
    pub classes: usize,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Trained scalars.
    pub params: u64,
    /// Number of images on which both files, in floating point and in integers, were run.
    pub images: usize,
    /// Share of images to which both give the same class.
    pub identical_predictions: f64,
    /// Share of images that the network in floating point classifies correctly; none where its classes are not theirs.
    pub fp32_accuracy: Option<f64>,
    /// Share of images that the network in integers classifies correctly; none where its classes are not theirs.
    pub int8_accuracy: Option<f64>,
    /// What the network in integers achieved before it was trained with quantizers; none where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_training: Option<BeforeTraining>,
    /// Operators of the file in integers that the runtime executes in floating point.
    pub float_operators: Vec<String>,
    /// How many integers of the runtime were compared with those of the program's own integer executor.
    pub checked_integers: usize,
    /// How many of them differ by one step at a rounding tie.
    pub rounding_ties: usize,
    /// Operators with any other difference.
    pub wrong_operators: Vec<String>,
    /// Size of the file in floating point, in bytes.
    pub fp32_bytes: usize,
    /// Size of the file in integers, in bytes.
    pub int8_bytes: usize,
}

/// A network in integers with the scales that a quantizer chose. Shares are those of [`QuantizeReport`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BeforeTraining {
    /// Share of images that it classifies correctly; none where its classes are not theirs.
    pub int8_accuracy: Option<f64>,
    /// Share of images to which it gives the same class as the network in floating point.
    pub identical_predictions: f64,
}

/// Which of a network's outputs stands for each class of the images: by name where the outputs have `names`, by position
/// where they have none and are as many. `None` where the network has other classes.
pub fn outputs_of_classes(
    classes: &[String],
    names: Option<&[String]>,
    outputs: usize,
) -> Option<Vec<u32>> {
    let Some(names) = names else {
        return (classes.len() == outputs).then(|| (0..outputs as u32).collect());
    };
    let output = |class: &String| {
        let line = label_line(class);
        names.iter().position(|name| *name == line).map(|output| output as u32)
    };
    classes.iter().map(output).collect()
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

/// Chooses the scales, trains with them where that is asked for, writes both files, and runs them on the test images.
///
/// # Errors
///
/// Quantizers cannot be placed in the network, the target has no runtime here, or something fails on the way.
pub fn quantize(job: &QuantizeJob<'_>, monitor: &dyn Monitor) -> Result<Quantized, StepError> {
    let QuantizeJob { graph, trainer, context, .. } = *job;
    let runtime = job.target.runtime()?;
    let images = &context.images.test;
    let judged = images.len();
    let files = if job.training.is_some() { 3 } else { 2 };
    monitor.progress(0, files * judged, "calibrating");
    let evaluator = |weights: &Path, quantized: bool| {
        let job = EvaluateJob {
            stages: Vec::new(),
            weights: weights.to_owned(),
            quantized,
            calibration_images: job.calibration_images,
            judge_images: 1,
        };
        trainer.evaluator(context, &job)
    };
    let (float, chosen) = {
        let mut opened = evaluator(job.weights, false)?;
        let network = opened.network(graph)?;
        (network.network()?, network.post_training(job.quantizer)?)
    };
    let float = fold_float(&float.graph, &float.weights)?;
    let info = info(job)?;
    let (side, classes) = (graph.input.height, graph.output_shape()?.elements());
    let tested = TestImages { images: &context.images, side, classes };
    let predictions = |model: &[u8], before: usize, note: &str| {
        tested.predictions(&*runtime, model, |done| {
            monitor.progress(before + done, files * judged, note);
            !monitor.cancelled()
        })
    };
    let fp32 = runtime.write_float(&float, &info)?;
    let by_fp32 = predictions(&fp32, 0, "floating point")?;
    let integer = |network: &TrainedNetwork| {
        let integer = fold_integer(network, &job.target.description().scheme)?;
        let file = runtime.write_integer(&integer, &info, ModelOutputs::Result)?;
        Ok::<_, StepError>((integer, file))
    };
    let (mut network, mut int8) = integer(&chosen)?;
    let mut by_int8 = predictions(&int8, judged, "integers")?;
    let right = |outputs: &[u32]| -> Vec<u32> {
        context.images.labels(images).iter().map(|&class| outputs[class as usize]).collect()
    };
    let labels = job.outputs.map(right);
    let accuracy = |of: &Predictions| labels.as_deref().map(|labels| of.accuracy(labels));
    let mut before_training = None;
    if let Some(ScaleTraining { job: training, output, scratch }) = &job.training {
        before_training = Some(BeforeTraining {
            int8_accuracy: accuracy(&by_int8),
            identical_predictions: by_int8.identical(&by_fp32),
        });
        trainer.learn_scales(context, training, output, scratch, monitor)?;
        let learned = evaluator(output, true)?.network(&float.graph)?.network()?;
        (network, int8) = integer(&learned)?;
        by_int8 = predictions(&int8, 2 * judged, "integers, as trained")?;
    }
    let checked = tested.check(&*runtime, (&network, &info), job.check_images)?;
    let report = QuantizeReport {
        input: graph.input,
        classes,
        macs: graph.macs()?,
        params: graph.params()?,
        images: judged,
        identical_predictions: by_int8.identical(&by_fp32),
        fp32_accuracy: accuracy(&by_fp32),
        int8_accuracy: accuracy(&by_int8),
        before_training,
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
fn info(job: &QuantizeJob<'_>) -> Result<ModelInfo, StepError> {
    let preprocessing = job.context.images.preprocessing(job.graph.input.height);
    let scheme = job.target.description().scheme.name;
    let mut metadata = BTreeMap::from([
        (SCHEME_KEY.to_owned(), scheme),
        (Preprocessing::KEY.to_owned(), serde_json::to_string(&preprocessing)?),
    ]);
    if !job.labels.is_empty() {
        metadata.insert(LABELS_KEY.to_owned(), label_lines(job.labels));
    }
    Ok(ModelInfo { name: job.name.to_owned(), metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_and_without_names_by_position() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let classes = words("bird cat");
        assert_eq!(outputs_of_classes(&classes, None, 2), Some(vec![0, 1]));
        assert_eq!(outputs_of_classes(&classes, None, 3), None);
        let outputs = |names: &str| outputs_of_classes(&classes, Some(&words(names)), 9);
        assert_eq!(outputs("cat bird"), Some(vec![1, 0]));
        assert_eq!(outputs("dog cat fox bird"), Some(vec![3, 1]));
        assert_eq!(outputs("dog cat"), None);
        let in_lines = vec!["a\nb".to_owned()];
        assert_eq!(outputs_of_classes(&in_lines, Some(&["a b".to_owned()]), 1), Some(vec![0]));
    }
}
