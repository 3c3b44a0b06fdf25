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
            run.logits(&plan, inputs, &mut Norm::Fixed(&none))
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

#[cfg(test)]
mod tests {
    use spacewright_core::{
        space::{Space, Subnet},
        train::{Phase, TeachJob, TeacherStart},
    };

    use super::*;
    use crate::{
        plan::subnet_graph,
        teach,
        testing::{self, Curves, Unwatched},
    };

    /// A network with normalizations and its trained weights, in `folder`.
    fn job(context: &Context, folder: &Path, steps: usize) -> LearnScalesJob {
        let name = context.hyperspace.name.clone();
        let space = Space { hyperspace: name, blocks: vec![1, 3], windows: vec![0, 0] };
        let stages = space.elastic_stages(&context.hyperspace);
        let graph = subnet_graph(context, &stages, &Subnet::largest(&stages, &[16])).unwrap();
        let (weights, scratch) = (folder.join("weights"), folder.join("teach"));
        let taught = TeachJob {
            graph: graph.clone(),
            start: TeacherStart::Random,
            phase: Some(testing::phase(4)),
            augment: Vec::new(),
            label_smoothing: 0.0,
        };
        teach::teach(context, &taught, &weights, &scratch, &Unwatched).unwrap();
        let phase = Phase { learning_rate: 1e-3, ..testing::phase(steps) };
        LearnScalesJob { graph, weights, phase, calibration_images: 16, augment: Vec::new() }
    }

    #[test]
    fn a_network_learns_to_answer_as_without_quantizers() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let job = job(&context, folder.path(), 60);
        let output = folder.path().join("scales");
        let curves = Curves::default();
        train(&context, &job, &output, &folder.path().join("scratch"), &curves).unwrap();
        let losses: Vec<f64> =
            curves.0.into_inner().unwrap().into_iter().filter_map(|point| point.loss).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = losses.split_at(losses.len() / 2);
        assert!(mean(last) < mean(first), "{losses:?}");
        let params = Params::load(&output).unwrap();
        assert!(params.0.keys().all(|name| !name.ends_with(".gamma")), "it is folded");
        // What is written is the network of the folded graph.
        let graph = folded(&context, &job).unwrap().graph;
        let evaluate = EvaluateJob {
            stages: Vec::new(),
            weights: output,
            quantized: true,
            calibration_images: 1,
            judge_images: 1,
        };
        let mut opened = OpenedSupernet::new(&context, &evaluate).unwrap();
        assert!(opened.network(&graph).unwrap().network().unwrap().quant.is_some());
    }

    #[test]
    fn the_divergence_from_itself_is_zero() {
        let logits = testing::randn("logits", &[4, 10]);
        assert!(losses::divergence(&logits, &logits).double_value(&[]).abs() < 1e-5);
        let other = testing::randn("other", &[4, 10]);
        assert!(losses::divergence(&logits, &other).double_value(&[]) > 0.01);
    }
}
