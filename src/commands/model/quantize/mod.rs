//! `spacewright model quantize`: a trained network of another program in the integers of a target, beside what it
//! was.

mod images;
mod text;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use images::Own;
use serde::Serialize;
use spacewright_core::{
    data::Preprocessing,
    graph::{Graph, Shape},
    import::WEIGHTS,
    latency::Precision,
    quantize::{
        QuantizeJob, QuantizeReport, Quantized, ScaleTraining, no_space, outputs_of_classes,
        quantize,
    },
    study::StepError,
    target::{Measurement, Target},
    train::{LearnScalesJob, Monitor, Phase, TrainContext, TrainError, Trainer},
};
use spacewright_engine::{Chosen, EngineError, Threads, import::read_graph};
use tempfile::TempDir;

use super::{
    float_cost::{self, FloatCost},
    folder::NewFolder,
    import, opened,
};
use crate::{
    catalog,
    cli::{Global, QuantizeArgs},
    foreign::{self, OpenTask, Request, Task},
    progress::Shown,
    render::{Failure, Output},
};

/// Images on which each operator is compared with exact integers.
const CHECKED: usize = 2;

#[derive(Serialize)]
struct QuantizedReport<'a> {
    model: String,
    /// The folder that was made.
    folder: String,
    target: String,
    quantizer: &'a str,
    /// How many images chose the scales.
    calibration_images: usize,
    /// How images are prepared.
    preprocessing: Preprocessing,
    /// Whether the images' classes were taken for the network's outputs in their order, as the file names none.
    classes_by_position: bool,
    #[serde(flatten)]
    report: QuantizeReport,
    /// What the operators cost that compute with real numbers.
    float_costs: Vec<FloatCost>,
    /// In floating point; none where files cannot be measured here.
    fp32_latency: Option<Measurement>,
    /// In integers.
    int8_latency: Option<Measurement>,
    /// Why some of it was not measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_measured: Vec<String>,
}

pub fn run(args: &QuantizeArgs, global: &Global) -> Result<Output, Failure> {
    let made = NewFolder::at(&args.out)?;
    let shown = Shown::new(global.quiet);
    let prepared = Prepared::of(args, global, &shown)?;
    let quantized = prepared.quantize(&shown)?;
    drop(shown);
    let files = prepared.write(&quantized, &made)?;
    let measured = prepared.measure(&quantized.report, &files, made.path());
    made.finish()?;
    let report = prepared.report(quantized.report, measured);
    Output::new(text::text(&report, &files), &report)
}

/// A network that was read.
struct Network {
    graph: Graph,
    /// The file of its weights.
    weights: PathBuf,
    /// What a file was read into, which lasts as long as this.
    _read: TempDir,
}

impl Network {
    /// Of a file, or of a folder that an import made.
    fn read(args: &QuantizeArgs, global: &Global) -> Result<Self, Failure> {
        let read = tempfile::tempdir().map_err(Failure::failed)?;
        let folder = match args.model.is_dir() {
            true => args.model.as_path(),
            false => {
                import::read(&args.model, &args.opening, read.path(), global)?;
                read.path()
            }
        };
        let graph = read_graph(folder)?;
        let refused = |hint: &str| {
            let message = format!("{}: images of {}", args.model.display(), graph.input);
            Failure::input(message).hint(hint)
        };
        check_input(graph.input).map_err(refused)?;
        Ok(Self { graph, weights: folder.join(WEIGHTS), _read: read })
    }
}

/// That sets of images can give what a network takes; else what is known.
fn check_input(input: Shape) -> Result<(), &'static str> {
    if input.height != input.width {
        return Err(
            "square images are known; sizes that a file leaves open are chosen with `--size`",
        );
    }
    match input.channels {
        1 | 3 => Ok(()),
        _ => Err("images of 1 channel (grey) or 3 (colours) are known"),
    }
}

/// What the network's outputs stand for.
#[derive(Debug, PartialEq)]
struct Outputs {
    /// What they are called; empty where nobody knows.
    labels: Vec<String>,
    /// The one that stands for each class of the images; none where the network's classes are others.
    of_classes: Option<Vec<u32>>,
    /// Whether the images' classes were taken for them in their order.
    by_position: bool,
}

impl Outputs {
    /// So many, of which a file may say the labels, for images of these classes.
    fn of(count: usize, labels: Option<Vec<String>>, classes: Vec<String>) -> Self {
        let labels = labels.filter(|labels| labels.len() == count);
        let of_classes = outputs_of_classes(&classes, labels.as_deref(), count);
        let by_position = labels.is_none() && of_classes.is_some();
        let labels = labels.unwrap_or(if by_position { classes } else { Vec::new() });
        Self { labels, of_classes, by_position }
    }
}

/// All that a network is quantized with.
struct Prepared<'a> {
    args: &'a QuantizeArgs,
    global: &'a Global,
    network: Network,
    outputs: Outputs,
    target: Arc<dyn Target>,
    trainer: Arc<dyn Trainer>,
    /// Its images, its quantizer, and the scheme of the target.
    context: TrainContext,
}

impl<'a> Prepared<'a> {
    /// Reads the network and the images, and finds who quantizes.
    fn of(args: &'a QuantizeArgs, global: &'a Global, shown: &Shown) -> Result<Self, Failure> {
        let network = Network::read(args, global)?;
        let graph = &network.graph;
        let registry = catalog::registry()?;
        let target = catalog::target(&registry, &args.target)?;
        let quantizer = registry.quantizer(&args.quantizer)?;
        let threads = global.threads.map_or_else(rayon::current_num_threads, Into::into);
        let chosen = args.compute.settings().choose(&registry, Threads::InAll(threads));
        let Chosen { trainer, .. } = chosen.map_err(EngineError::from)?;
        let trainer = trainer.ok_or_else(|| Failure::failed("this program has no trainer"))?;
        let Own { preprocessing, labels } = Own::of(args, global);
        let data = images::images(args, preprocessing.as_ref(), graph.input.channels, global)?;
        let data = data.with_threads(threads);
        let looked = |done, total| shown.goes_on(done, total);
        let images = data.images(&[graph.input.height], &[], looked)?;
        let output = graph.output_shape().map_err(|error| Failure::input(error.to_string()))?;
        let outputs = Outputs::of(output.elements(), labels, data.described()?.classes);
        let context = TrainContext {
            operators: registry.operators(),
            images,
            hyperspace: no_space(graph, output.elements()),
            scheme: target.description().scheme,
            quantizer,
            seed: global.seed.unwrap_or_default(),
        };
        Ok(Self { args, global, network, outputs, target, trainer, context })
    }

    fn quantize(&self, monitor: &dyn Monitor) -> Result<Quantized, Failure> {
        let Self { args, network, outputs, context, .. } = self;
        let trained = tempfile::tempdir().map_err(Failure::failed)?;
        let learned = trained.path().join(WEIGHTS);
        let learning = self.learning();
        let name = args.model.file_stem().unwrap_or_default().to_string_lossy();
        let job = QuantizeJob {
            graph: &network.graph,
            weights: &network.weights,
            name: &name,
            target: &*self.target,
            trainer: &*self.trainer,
            context,
            quantizer: &*context.quantizer,
            calibration_images: args.calibration_images as usize,
            check_images: CHECKED,
            labels: &outputs.labels,
            outputs: outputs.of_classes.as_deref(),
            training: learning.as_ref().map(|job| ScaleTraining {
                job,
                output: &learned,
                scratch: trained.path(),
            }),
        };
        quantize(&job, monitor).map_err(nothing_kept)
    }

    /// How scales and weights learn, where that is asked for.
    fn learning(&self) -> Option<LearnScalesJob> {
        let Self { args, network, .. } = self;
        (args.steps > 0).then(|| LearnScalesJob {
            graph: network.graph.clone(),
            weights: network.weights.clone(),
            phase: Phase {
                steps: args.steps,
                batch: args.batch as usize,
                learning_rate: args.learning_rate,
                weight_decay: 0.0,
                warmup: 0.1,
                checkpoint_steps: usize::MAX,
            },
            calibration_images: args.calibration_images as usize,
            augment: Vec::new(),
        })
    }

    /// Writes both files, and gives their names.
    fn write(&self, quantized: &Quantized, made: &NewFolder) -> Result<[String; 2], Failure> {
        let format = self.target.description().model_format;
        let files = [Precision::Fp32, Precision::Int8].map(|p| format!("{}.{format}", p.name()));
        for (file, content) in files.iter().zip([&quantized.fp32, &quantized.int8]) {
            made.write(file, content)?;
        }
        Ok(files)
    }

    /// Measures both files, which lie in `folder`, and what computes with real numbers.
    fn measure(&self, report: &QuantizeReport, files: &[String; 2], folder: &Path) -> Measured {
        let mut causes = Vec::new();
        let latency = |file: &String| known(self.latency(&folder.join(file)), &mut causes);
        let latencies = files.each_ref().map(latency);
        let float_costs = known(self.float_costs(&report.float_operators), &mut causes);
        Measured { latencies, float_costs: float_costs.unwrap_or_default(), causes }
    }

    fn latency(&self, file: &Path) -> Result<Measurement, Failure> {
        let Self { args, global, .. } = self;
        let request = Request {
            target: Some(args.target.clone()),
            sizes: Default::default(),
            ..opened(file, &args.opening, Task::Open(OpenTask::Measure), global)
        };
        let found = foreign::ask(&request, global.verbose)?;
        found.measured.ok_or_else(|| {
            Failure::failed(found.not_measured.unwrap_or_else(|| "there is no measurement".into()))
        })
    }

    /// What operators in floating point cost, measured with as many threads as the files.
    fn float_costs(&self, operators: &[String]) -> Result<Vec<FloatCost>, Failure> {
        if operators.is_empty() {
            return Ok(Vec::new());
        }
        let target = match self.global.threads.map_or(1, usize::from) {
            1 => self.target.clone(),
            threads => self.target.with_threads(threads).map_err(Failure::failed)?,
        };
        let source = target.latency_source().map_err(Failure::failed)?;
        float_cost::costs(&self.network.graph, operators, &*source, self.global.quiet)
    }

    fn report(&self, report: QuantizeReport, measured: Measured) -> QuantizedReport<'a> {
        let Self { args, context, .. } = self;
        let Measured { latencies: [fp32_latency, int8_latency], float_costs, causes } = measured;
        QuantizedReport {
            model: args.model.display().to_string(),
            folder: args.out.display().to_string(),
            target: args.target.clone(),
            quantizer: &args.quantizer,
            calibration_images: context.images.train.len().min(args.calibration_images as usize),
            preprocessing: context.images.preprocessing(self.network.graph.input.height),
            classes_by_position: self.outputs.by_position,
            report,
            float_costs,
            fp32_latency,
            int8_latency,
            not_measured: causes,
        }
    }
}

fn nothing_kept(error: StepError) -> Failure {
    let hint = match &error {
        StepError::Cancelled => Some("nothing was kept: the command begins anew"),
        StepError::Train(TrainError::Worker { .. }) => {
            Some("nothing was kept; --verbose shows what the process said")
        }
        _ => None,
    };
    let failure = Failure::from(EngineError::from(error));
    hint.into_iter().fold(failure, Failure::hint)
}

/// What was measured.
struct Measured {
    /// Of the file in floating point, and of that in integers.
    latencies: [Option<Measurement>; 2],
    float_costs: Vec<FloatCost>,
    /// Why the rest was not.
    causes: Vec<String>,
}

/// What was found; why nothing was is added to the causes, unless it is one of them.
fn known<T>(found: Result<T, Failure>, causes: &mut Vec<String>) -> Option<T> {
    let failure = match found {
        Ok(found) => return Some(found),
        Err(failure) => failure.in_one_line(),
    };
    if !causes.contains(&failure) {
        causes.push(failure);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn outputs_stand_for_classes_by_name_or_else_by_position() {
        let outputs = |labels: &[&str], of_classes: Option<&[u32]>, by_position| Outputs {
            labels: names(labels),
            of_classes: of_classes.map(<[u32]>::to_vec),
            by_position,
        };
        let of = |count, labels: Option<&[&str]>| {
            Outputs::of(count, labels.map(names), names(&["cat", "dog"]))
        };
        let labels = ["dog", "cow", "cat"];
        assert_eq!(of(3, Some(&labels)), outputs(&labels, Some(&[2, 0]), false));
        assert_eq!(of(2, None), outputs(&["cat", "dog"], Some(&[0, 1]), true));
        assert_eq!(of(3, None), outputs(&[], None, false));
        // Labels of another number are none.
        assert_eq!(of(2, Some(&labels)), outputs(&["cat", "dog"], Some(&[0, 1]), true));
    }

    #[test]
    fn every_cause_is_told_once() {
        let mut causes = Vec::new();
        assert_eq!(known(Ok(1), &mut causes), Some(1));
        for cause in ["no runtime", "no runtime", "no predictor"] {
            assert_eq!(known::<u8>(Err(Failure::failed(cause)), &mut causes), None);
        }
        assert_eq!(causes, ["no runtime", "no predictor"]);
    }
}
