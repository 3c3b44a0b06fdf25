//! `spacewright model quantize`: a trained network of another program in the integers of a target, beside what it
//! was.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use serde::Serialize;
use spacewright_core::{
    data::{
        CenterCrop, Flip, LABELS_KEY, Normalize, Preprocessing, Resize, Transform, check_judging,
    },
    foreign::Escaped,
    graph::Graph,
    import::WEIGHTS,
    latency::Precision,
    quantize::{
        BeforeTraining, QuantizeJob, QuantizeReport, ScaleTraining, no_space, outputs_of_classes,
        quantize,
    },
    study::StepError,
    target::{Measurement, Target},
    train::{LearnScalesJob, Monitor, Phase, TrainContext, TrainError},
};
use spacewright_engine::{
    Chosen, DataSettings, EngineError, OnBadImage, StudyData, Threads, default_home,
    import::read_graph,
};

use super::{
    float_cost::{self, FloatCost},
    folder::NewFolder,
    import, opened,
};
use crate::{
    catalog,
    cli::{Global, QuantizeArgs},
    commands::data::held_out_of,
    foreign::{self, Request, Task},
    process, progress,
    render::{Failure, Output, Table, grouped},
    report::percent,
};

/// With which networks for ImageNet are mostly trained and judged: mean and standard deviation of red, green and blue,
/// and the share of an image's shorter side in its middle.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
const CROP_SHARE: f64 = 0.875;

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
    /// Why they were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_measured: Option<String>,
}

pub fn run(args: &QuantizeArgs, global: &Global) -> Result<Output, Failure> {
    let made = NewFolder::at(&args.out)?;
    let read = tempfile::tempdir().map_err(Failure::failed)?;
    let folder = match args.model.is_dir() {
        true => args.model.as_path(),
        false => {
            import::read(&args.model, &args.opening, (read.path(), true), global)?;
            read.path()
        }
    };
    let graph = read_graph(folder)?;
    let refused = |hint: &str| {
        let message = format!("{}: images of {}", args.model.display(), graph.input);
        Err(Failure::input(message).hint(hint))
    };
    if graph.input.height != graph.input.width {
        return refused(
            "square images are known; sizes that a file leaves open are chosen with `--size`",
        );
    }
    if ![1, 3].contains(&graph.input.channels) {
        return refused("images of 1 channel (grey) or 3 (colours) are known");
    }
    let registry = catalog::registry()?;
    let target = catalog::target(&registry, &args.target)?;
    let quantizer = registry.quantizer(&args.quantizer)?;
    let threads = global.threads.map_or_else(rayon::current_num_threads, Into::into);
    let chosen = args.compute.settings().choose(&registry, Threads::InAll(threads));
    let Chosen { trainer, .. } = chosen.map_err(EngineError::from)?;
    let trainer = trainer.ok_or_else(|| Failure::failed("this program has no trainer"))?;

    let bar = &progress::bar(0, global.quiet);
    let cancel = process::cancelled_by_signal();
    let own = Own::of(args, global);
    let preprocessing = own.preprocessing.as_ref();
    let data = images(args, preprocessing, graph.input.channels, global)?.with_threads(threads);
    let looked = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        !cancel.load(Ordering::Relaxed)
    };
    let images = data.images(&[graph.input.height], &[], looked)?;
    let classes = data.described()?.classes;
    let given = graph.output_shape().map_err(|error| Failure::input(error.to_string()))?.elements();
    let names = own.labels.as_deref().filter(|names| names.len() == given);
    let outputs = outputs_of_classes(&classes, names, given);
    let by_position = names.is_none() && outputs.is_some();
    let context = TrainContext {
        operators: registry.operators(),
        images,
        hyperspace: no_space(&graph, given),
        scheme: target.description().scheme,
        quantizer: quantizer.clone(),
        seed: global.seed.unwrap_or_default(),
    };
    let training = (args.steps > 0).then(|| LearnScalesJob {
        graph: graph.clone(),
        weights: folder.join(WEIGHTS),
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
    });
    let trained = tempfile::tempdir().map_err(Failure::failed)?;
    let learned = trained.path().join(WEIGHTS);
    let stem = args.model.file_stem().unwrap_or_default().to_string_lossy();
    let job = QuantizeJob {
        graph: &graph,
        weights: &folder.join(WEIGHTS),
        name: &stem,
        target: &*target,
        trainer: &*trainer,
        context: &context,
        quantizer: &*quantizer,
        calibration_images: args.calibration_images as usize,
        check_images: CHECKED,
        labels: names.unwrap_or(if by_position { &classes } else { &[] }),
        outputs: outputs.as_deref(),
        training: training.as_ref().map(|job| ScaleTraining {
            job,
            output: &learned,
            scratch: trained.path(),
        }),
    };
    let quantized = quantize(&job, &Shown(bar));
    bar.finish_and_clear();
    let quantized = quantized.map_err(|error| {
        let hint = match &error {
            StepError::Cancelled => Some("nothing was kept: the command begins anew"),
            StepError::Train(TrainError::Worker { .. }) => {
                Some("nothing was kept; --verbose shows what the process said")
            }
            _ => None,
        };
        let failure = Failure::from(EngineError::from(error));
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    let format = target.description().model_format;
    let names = [Precision::Fp32, Precision::Int8].map(|p| format!("{}.{format}", p.name()));
    for (name, content) in names.iter().zip([&quantized.fp32, &quantized.int8]) {
        made.write(name, content)?;
    }
    let mut not_measured = None;
    let mut latency = |name: &str| match measured(&made.path().join(name), args, global) {
        Ok(measurement) => Some(measurement),
        Err(failure) => {
            not_measured = Some(failure.in_one_line());
            None
        }
    };
    let [fp32_latency, int8_latency] = [&names[0], &names[1]].map(|name| latency(name));
    let operators = &quantized.report.float_operators;
    let float_costs = float_costs(&graph, operators, &target, global).unwrap_or_else(|failure| {
        not_measured = Some(failure.in_one_line());
        Vec::new()
    });
    made.finish()?;
    let report = QuantizedReport {
        model: args.model.display().to_string(),
        folder: args.out.display().to_string(),
        target: args.target.clone(),
        quantizer: &args.quantizer,
        calibration_images: context.images.train.len().min(args.calibration_images as usize),
        preprocessing: context.images.preprocessing(graph.input.height),
        classes_by_position: by_position,
        report: quantized.report,
        float_costs,
        fp32_latency,
        int8_latency,
        not_measured,
    };
    Output::new(text(&report, &names), &report)
}

/// What operators in floating point cost, measured with as many threads as the files.
fn float_costs(
    graph: &Graph,
    operators: &[String],
    target: &Arc<dyn Target>,
    global: &Global,
) -> Result<Vec<FloatCost>, Failure> {
    if operators.is_empty() {
        return Ok(Vec::new());
    }
    let target = match global.threads.map_or(1, usize::from) {
        1 => target.clone(),
        threads => target.with_threads(threads).map_err(Failure::failed)?,
    };
    let source = target.latency_source().map_err(Failure::failed)?;
    float_cost::costs(graph, operators, &*source, global.quiet)
}

/// What a file of Spacewright's says of itself.
#[derive(Default)]
struct Own {
    /// How images are prepared, where nothing else is asked for.
    preprocessing: Option<Preprocessing>,
    /// What its outputs are called.
    labels: Option<Vec<String>>,
}

impl Own {
    fn of(args: &QuantizeArgs, global: &Global) -> Self {
        if args.model.is_dir() {
            return Self::default();
        }
        let task = Task::Inspect { measures: false };
        let found = foreign::ask(&opened(&args.model, &args.opening, task, global), false);
        let Some(summary) = found.ok().and_then(|found| found.summary) else {
            return Self::default();
        };
        let text = |key: &str| summary.metadata.get(key).map(String::as_str);
        let is_given = args.mean.is_some() || args.std.is_some() || args.crop_share.is_some();
        let said = text(Preprocessing::KEY).filter(|_| !is_given);
        let preprocessing = said.and_then(|text| serde_json::from_str(text).ok());
        let can_judge = |own: &Preprocessing| check_judging(&own.transforms).is_ok();
        Self {
            preprocessing: preprocessing.filter(can_judge),
            labels: text(LABELS_KEY).map(|text| text.lines().map(str::to_owned).collect()),
        }
    }
}

/// Images as the network was trained on them.
fn images(
    args: &QuantizeArgs,
    own: Option<&Preprocessing>,
    channels: usize,
    global: &Global,
) -> Result<StudyData, Failure> {
    if own.is_none() && channels == 1 && (args.mean.is_none() || args.std.is_none()) {
        let message = "images are grey, and ImageNet's mean and deviation are of three channels";
        return Err(Failure::input(message).hint("give `--mean` and `--std`, a number each"));
    }
    let mean = args.mean.clone().unwrap_or_else(|| IMAGENET_MEAN.to_vec());
    let std = args.std.clone().unwrap_or_else(|| IMAGENET_STD.to_vec());
    let given = [("--mean", &mean), ("--std", &std)];
    for (option, values) in given.into_iter().filter(|_| own.is_none()) {
        if values.len() != channels {
            let message =
                format!("{option}: {} numbers, and images have {channels} channels", values.len());
            return Err(
                Failure::input(message).hint("give one for each channel, such as 0.5,0.5,0.5")
            );
        }
    }
    let resize = Resize { crop_share: args.crop_share.unwrap_or(CROP_SHARE), ..Resize::default() };
    let usual = || {
        vec![
            Transform::Resize(resize),
            Transform::CenterCrop(CenterCrop::default()),
            Transform::Normalize(Normalize { mean, std }),
        ]
    };
    let transforms = own.map_or_else(usual, |own| own.transforms.clone());
    // Values are normalized after that as they are for judging.
    let seen = transforms.iter().filter(|each| !matches!(each, Transform::Normalize(_)));
    let augment = seen.cloned().chain([Transform::Flip(Flip::default())]).collect();
    let path = std::path::absolute(&args.data).unwrap_or_else(|_| args.data.clone());
    let settings = DataSettings {
        path: path.display().to_string(),
        channels,
        transforms,
        augment,
        test_images: args.test_images,
        on_bad_image: if args.skip_bad_images { OnBadImage::Skip } else { OnBadImage::Stop },
        ..DataSettings::default()
    };
    let catalog = spacewright_data::open(&[path], None)?;
    let settings = DataSettings { held_out: held_out_of(&catalog, None)?, ..settings };
    let seed = global.seed.unwrap_or_default();
    Ok(StudyData::new(settings, "".into(), &default_home()?, seed))
}

fn measured(file: &Path, args: &QuantizeArgs, global: &Global) -> Result<Measurement, Failure> {
    let request = Request {
        model: file.to_owned(),
        target: Some(args.target.clone()),
        task: Task::Measure,
        threads: global.threads.unwrap_or(1).into(),
        sizes: Default::default(),
        seconds: args.opening.limit,
        memory_gib: args.opening.memory,
    };
    let found = foreign::ask(&request, global.verbose)?;
    found.measured.ok_or_else(|| {
        Failure::failed(found.not_measured.unwrap_or_else(|| "there is no measurement".into()))
    })
}

struct Shown<'a>(&'a indicatif::ProgressBar);

impl Monitor for Shown<'_> {
    fn progress(&self, done: usize, total: usize, note: &str) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
        self.0.set_message(note.to_owned());
    }

    fn cancelled(&self) -> bool {
        process::cancelled_by_signal().load(Ordering::Relaxed)
    }
}

/// Transforms in words.
fn prepared(transforms: &[Transform]) -> String {
    let numbers = |values: &[f64]| {
        values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(",")
    };
    let named = transforms.iter().map(|transform| match transform {
        Transform::Normalize(Normalize { mean, std }) => {
            format!("{}, mean {}, std {}", transform.name(), numbers(mean), numbers(std))
        }
        Transform::Resize(Resize { crop_share, .. }) => {
            format!("{}, crop share {crop_share}", transform.name())
        }
        other => other.name().to_owned(),
    });
    named.collect::<Vec<_>>().join("; ")
}

fn text(report: &QuantizedReport<'_>, files: &[String; 2]) -> String {
    let QuantizeReport { input, classes, macs, params, images, .. } = report.report;
    let mut text = format!(
        "{}: images of {input}, {classes} classes; {} parameters, {:.1} MMACs\n\
         images   {}\n\
         scales   {} of {} images\n\n",
        report.model,
        grouped(&params.to_string()),
        macs as f64 / 1e6,
        prepared(&report.preprocessing.transforms),
        report.quantizer,
        report.calibration_images
    );
    let milliseconds = |measured: &Option<Measurement>| {
        measured.as_ref().map_or("-".into(), |measured| format!("{:.3}", measured.min_ms))
    };
    let shares = |share: Option<f64>| share.map_or("-".into(), percent);
    let [fp32, int8] = [&report.fp32_latency, &report.int8_latency];
    let figures = &report.report;
    let rows = [
        ("FP32", fp32, figures.fp32_accuracy, figures.fp32_bytes),
        ("INT8", int8, figures.int8_accuracy, figures.int8_bytes),
    ];
    let mut table = Table::new(&["", "ms", "accuracy", "bytes", "file"]);
    for ((name, latency, accuracy, bytes), file) in rows.into_iter().zip(files) {
        let bytes = grouped(&bytes.to_string());
        table.row([name.into(), milliseconds(latency), shares(accuracy), bytes, file.clone()]);
    }
    text += &table.render();
    let _ = writeln!(text);
    if let (Some(fp32), Some(int8)) = (fp32, int8) {
        let _ = writeln!(text, "speed-up {:.2}x", fp32.min_ms / int8.min_ms);
    }
    let same = percent(figures.identical_predictions);
    let _ = writeln!(text, "classes  both give the same one to {same} of {images} test images");
    if let Some(BeforeTraining { int8_accuracy, identical_predictions }) = figures.before_training {
        let right = int8_accuracy.map(|share| format!(", {} are right", percent(share)));
        let (same, right) = (percent(identical_predictions), right.unwrap_or_default());
        let _ = writeln!(text, "before it was trained with quantizers: {same}{right}");
    }
    let QuantizeReport { checked_integers, rounding_ties, .. } = figures;
    let _ = writeln!(
        text,
        "checked  {} integers, {rounding_ties} of them one off at a rounding tie",
        grouped(&checked_integers.to_string())
    );
    let named = |operators: &[String]| {
        operators.iter().map(|name| Escaped(name).to_string()).collect::<Vec<_>>().join(", ")
    };
    if report.classes_by_position {
        let _ = writeln!(
            text,
            "the file names no classes: its outputs are taken for the images' in their order"
        );
    }
    match &figures.wrong_operators[..] {
        [] => {}
        wrong => {
            let _ = writeln!(text, "wrong    {}", named(wrong));
        }
    }
    match &figures.float_operators[..] {
        [] => {
            let _ = writeln!(text, "all of it computes with integers");
        }
        float => {
            let _ = writeln!(text, "with real numbers: {}", named(float));
            let whole_ms = int8.as_ref().map(|measured| measured.min_ms);
            text += &float_cost::text(&report.float_costs, whole_ms);
        }
    }
    if let Some(reason) = &report.not_measured {
        let _ = writeln!(text, "not measured: {reason}");
    }
    let _ = write!(text, "wrote {}", report.folder);
    text
}
