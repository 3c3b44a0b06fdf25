//! Teachers: training, and what the distillation needs of them.

use std::{fs, path::Path};

use spacewright_core::{
    graph::Graph,
    space::{Segment, Subnet, network, subnet_segments},
    train::{FeaturesJob, Monitor, Predictions, TeachJob, TrainContext, TrainError, TrainReport},
};
use tch::{Kind, Tensor};

use crate::{
    batches::{self, Batch, Sampler},
    fit::Fit,
    interpret::{Norm, Run, Statistics},
    layout::{Layout, Plan, other},
    losses,
    optim::Rule,
    params::{self, Params},
};

/// Images whose statistics the teacher's batch normalization keeps.
const STATISTICS_IMAGES: usize = 2048;
/// Images per forward pass without gradients.
pub const EVALUATION_BATCH: usize = 256;

/// The teacher's graph at a resolution, and the names of the values that leave its stages.
fn teacher_graph(
    context: &TrainContext,
    job: &TeachJob,
    resolution: usize,
) -> Result<(Graph, Vec<String>), TrainError> {
    let subnet = Subnet { resolution, ..job.subnet.clone() };
    let segments = subnet_segments(&context.operators, &context.hyperspace, &job.stages, &subnet)
        .map_err(other)?;
    let end = |segment: &Segment| segment.graph.value_name(segment.graph.output).to_owned();
    let ends = segments.iter().take(job.stages.len()).map(end).collect();
    Ok((network(segments).map_err(other)?, ends))
}

/// Trains the weights from their initial values; the loss at the end.
fn fit(
    context: &TrainContext,
    job: &TeachJob,
    layout: &Layout,
    plan: &Plan,
    params: &mut Params,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<f64, TrainError> {
    let mut sampler = Sampler::new(batches::trainable(context), context.seed, "teach");
    let fit = Fit {
        what: "teacher",
        phase: &job.phase,
        rule: Rule::Sgd,
        slower: 1.0,
        seed: context.seed,
        checkpoint: &scratch.join("teacher.safetensors"),
        learns_quantizers: false,
        layout,
        offset: 0,
        total: job.phase.steps,
    };
    fit.run(params, monitor, |params, step, rng| {
        let indices = sampler.batch(step, job.phase.batch);
        let batch = Batch::draw(context, indices, job.augmentation, rng);
        let run = Run { params, quantized: false, dropout: true };
        let logits = run.forward(plan, &batch.inputs(context.canvas), &mut Norm::Batch)?;
        let loss = losses::cross_entropy(&logits, &batch.labels, job.label_smoothing);
        loss.backward();
        Ok(loss.double_value(&[]))
    })
}

/// Trains a teacher in floating point, or takes over its weights.
pub fn teach(
    context: &TrainContext,
    job: &TeachJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<TrainReport, TrainError> {
    let (graph, _) = teacher_graph(context, job, context.canvas)?;
    let mut layout = Layout::default();
    layout.include(&graph, &context.scheme)?;
    let plan = Plan::new(&graph, &context.scheme)?;
    let mut params = Params::init(&layout, context.seed);
    let loss = match &job.weights {
        Some(file) => {
            params.replace_from(file)?;
            None
        }
        None => Some(fit(context, job, &layout, &plan, &mut params, scratch, monitor)?),
    };

    let calibration = batches::fixed_sample(context, "teacher", STATISTICS_IMAGES);
    let run = Run { params: &params, quantized: false, dropout: false };
    let mut statistics = Statistics::default();
    tch::no_grad(|| {
        calibration.chunks(EVALUATION_BATCH).try_for_each(|indices| {
            let x = batches::inputs(&context.data.train, indices, context.canvas, context.canvas);
            run.forward(&plan, &x, &mut Norm::Record(&mut statistics)).map(drop)
        })
    })?;
    let train = &context.data.train;
    let predictions =
        predict(context, &run, &plan, &statistics, train, &context.held_out, context.canvas)?;
    let labels = train.select(&context.held_out).labels;
    let report = TrainReport { held_out_accuracy: predictions.accuracy(&labels), loss };
    for (node, (mean, var)) in statistics.values {
        params.insert(format!("{node}.mean"), mean);
        params.insert(format!("{node}.var"), var);
    }
    params.save(output)?;
    Ok(report)
}

/// Classes of images.
pub fn predict(
    context: &TrainContext,
    run: &Run<'_>,
    plan: &Plan,
    statistics: &Statistics,
    set: &spacewright_core::data::ImageSet,
    indices: &[usize],
    resolution: usize,
) -> Result<Predictions, TrainError> {
    let mut classes = Vec::with_capacity(indices.len());
    tch::no_grad(|| {
        indices.chunks(EVALUATION_BATCH).try_for_each(|indices| {
            let x = batches::inputs(set, indices, context.canvas, resolution);
            let logits = run.forward(plan, &x, &mut Norm::Fixed(statistics))?;
            let values: Vec<f32> = Vec::try_from(logits.flatten(0, -1)).map_err(other)?;
            classes.extend(Predictions::from_logits(&values, logits.size()[1] as usize).classes);
            Ok(())
        })
    })
    .map(|()| Predictions { classes })
}

/// File of the cached features at a resolution, below the features' folder.
pub fn features_file(folder: &Path, resolution: usize) -> std::path::PathBuf {
    folder.join(format!("features-{resolution}.safetensors"))
}

/// File of the cached logits, below the features' folder.
pub fn logits_file(folder: &Path) -> std::path::PathBuf {
    folder.join("logits.safetensors")
}

/// Caches the teacher's stage outputs (`s<i>`: half precision, training images then judging
/// images; `v<i>`: variance per channel over the training images) and logits.
pub fn features(
    context: &TrainContext,
    job: &FeaturesJob,
    output: &Path,
    monitor: &dyn Monitor,
) -> Result<f64, TrainError> {
    let file = |error: std::io::Error| TrainError::File {
        path: output.to_owned(),
        reason: error.to_string(),
    };
    fs::create_dir_all(output).map_err(file)?;
    let (params, statistics) = load_teacher(&job.weights)?;
    let run = Run { params: &params, quantized: false, dropout: false };
    let train = &context.data.train;
    let mut images = batches::fixed_sample(context, "distil", job.train_images);
    let distilled = images.len();
    images.extend(context.held_out.iter().take(job.judge_images));
    let resolutions = context.hyperspace.table_resolutions.clone();
    let total = images.len() * resolutions.len() + 2 * train.len() + context.data.test.len();
    let mut done = 0;

    for &resolution in &resolutions {
        let (graph, ends) = teacher_graph(context, &job.teacher, resolution)?;
        let plan = Plan::new(&graph, &context.scheme)?;
        let ends = ends.iter().map(|name| plan.value(name)).collect::<Result<Vec<_>, _>>()?;
        let mut stages: Vec<Vec<Tensor>> = ends.iter().map(|_| Vec::new()).collect();
        for indices in images.chunks(EVALUATION_BATCH) {
            let x = batches::inputs(train, indices, context.canvas, resolution);
            let outputs = tch::no_grad(|| {
                run.execute(&plan, &x, &mut Norm::Fixed(&statistics), &ends, None)
            })?;
            for (stage, tensor) in stages.iter_mut().zip(&outputs[1..]) {
                stage.push(tensor.contiguous());
            }
            done += indices.len();
            checkpoint(monitor, done, total, "features")?;
        }
        let first = context.hyperspace.stem.len() - 1;
        let mut tensors = Vec::new();
        for (index, parts) in stages.into_iter().skip(first).enumerate() {
            let all = Tensor::cat(&parts, 0);
            let variance =
                all.narrow(0, 0, distilled as i64).var_dim([0i64, 2, 3].as_slice(), true, false);
            tensors.push((format!("s{index}"), all.to_kind(Kind::Half)));
            tensors.push((format!("v{index}"), variance));
        }
        tensors.push(("train_images".into(), Tensor::from_slice(&[distilled as i64])));
        params::save(&features_file(output, resolution), &tensors)?;
    }

    let (graph, _) = teacher_graph(context, &job.teacher, context.canvas)?;
    let plan = Plan::new(&graph, &context.scheme)?;
    let mut tensors = Vec::new();
    let all: Vec<usize> = (0..train.len()).collect();
    for (name, mirrored) in [("plain", false), ("mirrored", true)] {
        let mut logits = Vec::new();
        for indices in all.chunks(EVALUATION_BATCH) {
            let mut x = batches::inputs(train, indices, context.canvas, context.canvas);
            if mirrored {
                x = x.flip([3i64].as_slice());
            }
            logits.push(tch::no_grad(|| run.forward(&plan, &x, &mut Norm::Fixed(&statistics)))?);
            done += indices.len();
            checkpoint(monitor, done, total, "logits")?;
        }
        tensors.push((name, Tensor::cat(&logits, 0)));
    }
    params::save(&logits_file(output), &tensors)?;
    let test = &context.data.test;
    let indices: Vec<usize> = (0..test.len()).collect();
    let predictions = predict(context, &run, &plan, &statistics, test, &indices, context.canvas)?;
    Ok(predictions.accuracy(&test.labels))
}

fn checkpoint(
    monitor: &dyn Monitor,
    done: usize,
    total: usize,
    note: &str,
) -> Result<(), TrainError> {
    monitor.progress(done, total, note);
    if monitor.cancelled() { Err(TrainError::Cancelled) } else { Ok(()) }
}

fn load_teacher(path: &Path) -> Result<(Params, Statistics), TrainError> {
    let mut params = Params::load(path)?;
    let mut statistics = Statistics::default();
    let means: Vec<String> =
        params.0.keys().filter_map(|name| name.strip_suffix(".mean").map(str::to_owned)).collect();
    for node in means {
        let mut take = |role: &str| params.0.remove(&format!("{node}.{role}"));
        if let (Some(mean), Some(var)) = (take("mean"), take("var")) {
            statistics.values.insert(node, (mean.detach(), var.detach()));
        }
    }
    Ok((params, statistics))
}
