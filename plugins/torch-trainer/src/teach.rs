//! Training of teachers, in floating point.

use std::path::Path;

use spacewright_core::train::{Monitor, TeachJob, TeachReport, TrainError};

use crate::{
    batches::{self, PendingBatch, Sampler, Views},
    classify::{EVALUATION_BATCH, classify},
    context::Context,
    fit::{Fit, Fitted},
    interpret::{Norm, Run},
    layout::Layout,
    loader::{Ahead, STEPS_AHEAD},
    losses,
    optim::Rule,
    params::Params,
    plan::Plan,
    recalibrate::recalibrate,
    stopwatch::{Part, Stopwatch},
    teacher::teacher_graph,
};

/// Images whose statistics the teacher's batch normalization keeps. Twice as many as supernets
/// take between phases: all features rest on them.
const STATISTICS_IMAGES: usize = 2048;

/// Trains the weights from their initial values.
fn fit(
    context: &Context,
    job: &TeachJob,
    (layout, plan): (&Layout, &Plan),
    params: &mut Params,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<Fitted, TrainError> {
    let mut sampler = Sampler::new(context.images.train.to_vec(), context.seed, "teach");
    let views = Views::new(context, &job.augment, 0, "teach");
    let (side, mut ahead) = (job.subnet.resolution, Ahead::new(job.phase.steps, STEPS_AHEAD));
    let watch = Stopwatch::new();
    let fit = Fit {
        what: "teacher",
        name: "fp32",
        phase: &job.phase,
        rule: Rule::Sgd,
        slower: 1.0,
        seed: context.seed,
        group: context.group.as_deref(),
        checkpoint: &scratch.join("teacher.safetensors"),
        learns_quantizers: false,
        layout,
        offset: 0,
        total: job.phase.steps,
        watch: &watch,
    };
    let fitted = fit.run(params, monitor, |params, step, _| {
        let pending = ahead.take(step, |step| {
            let sampled = sampler.batch(step, job.phase.batch);
            Ok::<_, TrainError>(PendingBatch::new(context, &views, sampled, [side]))
        })?;
        let batch = watch.time(Part::Data, || pending.wait())?;
        let run = Run { params, quantized: false, dropout: true, factors: context.factors() };
        let loss = watch.time(Part::Forward, || {
            let logits = run.forward(plan, batch.inputs(side)?, &mut Norm::Batch)?;
            Ok::<_, TrainError>(losses::cross_entropy(&logits, &batch.labels, job.label_smoothing))
        })?;
        watch.time(Part::Backward, || loss.backward());
        Ok(loss.double_value(&[]))
    })?;
    watch.tell("teacher");
    Ok(fitted)
}

/// Trains a teacher, or takes over its weights; adds the statistics of its batch normalization. Of several
/// processes the first one judges it, and writes it.
pub fn teach(
    context: &Context,
    job: &TeachJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<TeachReport, TrainError> {
    let side = job.subnet.resolution;
    let (graph, _) = teacher_graph(context, (&job.stages, &job.subnet), side)?;
    let mut layout = Layout::default();
    layout.include(&graph, &context.scheme)?;
    let plan = Plan::new(&graph, &context.scheme)?;
    let mut params = Params::init(&layout, context.seed).on(context.device);
    let fitted = match &job.weights {
        Some(file) => {
            params.replace_from(file)?;
            None
        }
        None => Some(fit(context, job, (&layout, &plan), &mut params, scratch, monitor)?),
    };
    let loss = fitted.as_ref().map(|fitted| fitted.loss);
    if !context.is_first() {
        return Ok(TeachReport { held_out_accuracy: f64::NAN, test_accuracy: f64::NAN, loss });
    }

    let calibration = batches::fixed_sample(context, "teacher", STATISTICS_IMAGES);
    let inputs = batches::judged(context, &calibration, EVALUATION_BATCH, side);
    let run = Run { params: &params, quantized: false, dropout: false, factors: context.factors() };
    let statistics = recalibrate(&run, &plan, inputs)?;
    let accuracy = |images: &[usize]| {
        let predictions = classify(context, &run, &plan, &statistics, images, side)?;
        Ok::<_, TrainError>(predictions.accuracy(&context.images.labels(images)))
    };
    let held_out_accuracy = accuracy(&context.images.held_out)?;
    let test_accuracy = accuracy(&context.images.test)?;
    if let Some(fitted) = &fitted {
        fitted.judged(monitor, held_out_accuracy);
    }
    for (node, (mean, var)) in statistics.values {
        params.insert(format!("{node}.mean"), mean);
        params.insert(format!("{node}.var"), var);
    }
    params.save(output)?;
    Ok(TeachReport { held_out_accuracy, test_accuracy, loss })
}
