//! Training of teachers, in floating point.

use std::path::Path;

use spacewright_core::{
    graph::Graph,
    space::{Segment, Subnet, network, subnet_segments},
    train::{Monitor, TeachJob, TrainContext, TrainError, TrainReport},
};

use crate::{
    batches::{self, Batch, Sampler},
    classify::{EVALUATION_BATCH, classify},
    fit::{Fit, Fitted},
    interpret::{Norm, Run},
    layout::Layout,
    losses,
    optim::Rule,
    params::Params,
    plan::Plan,
    recalibrate::recalibrate,
};

/// Images whose statistics the teacher's batch normalization keeps. Twice as many as supernets
/// take between phases: all features rest on them.
const STATISTICS_IMAGES: usize = 2048;

/// The teacher's graph at a resolution, and the names of the values that leave its stages.
pub fn teacher_graph(
    context: &TrainContext,
    job: &TeachJob,
    resolution: usize,
) -> Result<(Graph, Vec<String>), TrainError> {
    let subnet = Subnet { resolution, ..job.subnet.clone() };
    let segments = subnet_segments(&context.operators, &context.hyperspace, &job.stages, &subnet)?;
    let end = |segment: &Segment| segment.graph.value_name(segment.graph.output).to_owned();
    let ends = segments.iter().take(job.stages.len()).map(end).collect();
    Ok((network(segments)?, ends))
}

/// Trains the weights from their initial values.
fn fit(
    context: &TrainContext,
    job: &TeachJob,
    (layout, plan): (&Layout, &Plan),
    params: &mut Params,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<Fitted, TrainError> {
    let mut sampler = Sampler::new(batches::trainable(context), context.seed, "teach");
    let fit = Fit {
        what: "teacher",
        name: "fp32",
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

/// Trains a teacher, or takes over its weights; adds the statistics of its batch normalization.
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
    let fitted = match &job.weights {
        Some(file) => {
            params.replace_from(file)?;
            None
        }
        None => Some(fit(context, job, (&layout, &plan), &mut params, scratch, monitor)?),
    };

    let train = &context.data.train;
    let calibration = batches::fixed_sample(context, "teacher", STATISTICS_IMAGES);
    let batches = calibration
        .chunks(EVALUATION_BATCH)
        .map(|indices| batches::inputs(train, indices, context.canvas, context.canvas));
    let run = Run { params: &params, quantized: false, dropout: false };
    let statistics = recalibrate(&run, &plan, batches)?;
    let held_out = (train, context.held_out.as_slice());
    let predictions = classify(context, &run, &plan, &statistics, held_out, context.canvas)?;
    let held_out_accuracy = predictions.accuracy(&train.select(&context.held_out).labels);
    if let Some(fitted) = &fitted {
        fitted.judged(monitor, held_out_accuracy);
    }
    for (node, (mean, var)) in statistics.values {
        params.insert(format!("{node}.mean"), mean);
        params.insert(format!("{node}.var"), var);
    }
    params.save(output)?;
    Ok(TrainReport { held_out_accuracy, loss: fitted.map(|fitted| fitted.loss) })
}
