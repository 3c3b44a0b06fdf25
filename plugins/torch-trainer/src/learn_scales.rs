//! Training of a network from outside with quantizers: it learns to answer as it does without them.

use std::path::Path;

use spacewright_core::{
    quant::{FloatNetwork, fold_float},
    train::{EvaluateJob, Evaluator, LearnScalesJob, Monitor, TrainError},
};
use tch::Tensor;

use crate::{
    batches::{self, PendingBatch, Sampler, Views},
    calibrate,
    classify::EVALUATION_BATCH,
    context::Context,
    evaluate::{OpenedSupernet, calibration_images, merge},
    fit::Fit,
    interpret::{Norm, Observations, Run, Statistics},
    layout::Layout,
    loader::{Ahead, STEPS_AHEAD},
    losses,
    optim::Rule,
    params::Params,
    plan::Plan,
    stopwatch::{Part, Stopwatch},
};

/// Name of the phase in training curves and seeds.
const PHASE: &str = "int8";

/// Trains the network, and writes it as its graph is after folding: batches of a user's few images have other
/// statistics than those that the network was trained on, which stay as they are that way.
pub fn train(
    context: &Context,
    job: &LearnScalesJob,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<(), TrainError> {
    let FloatNetwork { graph, weights } = folded(context, job)?;
    let tensors = || -> Params {
        let mut params = Params::default();
        for (name, tensor) in &weights {
            let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
            params.insert(name.clone(), Tensor::from_slice(&tensor.data).reshape(shape));
        }
        params.on(context.device)
    };
    let (original, mut params) = (tensors(), tensors());
    let mut layout = Layout::default();
    layout.include(&graph, &context.scheme)?;
    let plan = Plan::new(&graph, &context.scheme)?;
    let (side, factors, none) = (graph.input.height, context.factors(), Statistics::default());
    let images = calibration_images(context, job.calibration_images);
    calibrate::start(&mut params, &layout, context, |params, _| {
        let run = Run { params, quantized: false, dropout: false, factors };
        let (mut observations, mut seen) = (Observations::new(), 0);
        for x in batches::judged(context, &images, EVALUATION_BATCH, side) {
            let x = x?;
            let (new, count) = (run.observe(&plan, &x, &mut Norm::Fixed(&none))?, x.size()[0]);
            merge(&mut observations, seen, new, count as usize);
            seen += count as usize;
        }
        Ok(observations)
    })?;

    let phase = &job.phase;
    let mut sampler = Sampler::new(context.images.train.to_vec(), context.seed, PHASE);
    let views = Views::new(context, &job.augment, 0, PHASE);
    let (watch, mut ahead) = (Stopwatch::new(), Ahead::new(phase.steps, STEPS_AHEAD));
    let fit = Fit {
        what: "network with quantizers",
        name: PHASE,
        phase,
        rule: Rule::Adam,
        slower: 1.0,
        rates: Default::default(),
        seed: context.seed,
        group: None,
        checkpoint: &scratch.join("scales.safetensors"),
        learns_quantizers: true,
        layout: &layout,
        offset: 0,
        total: phase.steps,
        watch: &watch,
    };
    fit.run(&mut params, monitor, |params, step, _| {
        let pending = ahead.take(step, |step| {
            let sampled = sampler.batch(step, phase.batch);
            Ok::<_, TrainError>(PendingBatch::new(context, &views, sampled, [side]))
        })?;
        let batch = watch.time(Part::Data, || pending.wait())?;
        let inputs = batch.inputs(side)?;
        let logits = |params: &Params, quantized| {
            let run = Run { params, quantized, dropout: false, factors };
            run.forward(&plan, inputs, &mut Norm::Fixed(&none))
        };
        let loss = watch.time(Part::Forward, || {
            let wanted = tch::no_grad(|| logits(&original, false))?;
            Ok::<_, TrainError>(losses::divergence(&logits(params, true)?, &wanted))
        })?;
        watch.time(Part::Backward, || loss.backward());
        Ok(loss.double_value(&[]))
    })?;
    watch.tell(fit.what);
    params.save(output)
}

/// The network without batch normalizations.
fn folded(context: &Context, job: &LearnScalesJob) -> Result<FloatNetwork, TrainError> {
    let opened = EvaluateJob {
        stages: Vec::new(),
        weights: job.weights.clone(),
        quantized: false,
        calibration_images: 1,
        judge_images: 1,
    };
    let mut opened = OpenedSupernet::new(context, &opened)?;
    let network = opened.network(&job.graph)?.network()?;
    fold_float(&network.graph, &network.weights).map_err(|error| TrainError::Computation {
        doing: "folding batch normalizations",
        source: error.into(),
    })
}
