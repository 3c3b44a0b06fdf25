//! How fast supernets are trained.

use std::fs;

use spacewright_core::train::{
    BenchmarkJob, BenchmarkPlan, BenchmarkReport, Guide, Monitor, Phase, SUBNETS_PER_STEP,
    SupernetJob, TrainError, TrainingSpeed, TwoPhaseFiles,
};
use tch::Device;

use crate::{
    context::Context,
    objective::Keeping,
    optim::{Optimizer, Rule},
    stopwatch::{Part, Stopwatch},
    supernet,
    two_phases::{LoadedStep, Step, Steps, TwoPhaseTraining as _},
};

/// Steps that do not count: memory is not there yet, threads are not started.
const WARM_UP: usize = 3;

/// Measures steps as [`supernet::train`] makes them, each subnet on images of its own, without a teacher; the images
/// of all processes, if there are several.
pub fn benchmark(
    context: &Context,
    asked: &BenchmarkJob,
    monitor: &dyn Monitor,
) -> Result<BenchmarkReport, TrainError> {
    let phase = Phase {
        steps: WARM_UP + asked.steps.max(1),
        batch: asked.batch,
        learning_rate: 0.01,
        weight_decay: 5e-4,
        warmup: 0.0,
        checkpoint_steps: usize::MAX,
    };
    let job = SupernetJob {
        stages: asked.stages.clone(),
        start: Vec::new(),
        guidance: None,
        fp32: phase.clone(),
        int8: phase,
        label_smoothing: 0.0,
        guide: Guide::Teacher,
        augment: Vec::new(),
        micro_batch: asked.micro_batch,
    };
    if let Some(group) = &context.group {
        group.check_batch(asked.batch)?;
    }
    // No network is kept.
    let files = TwoPhaseFiles::default();
    let keeping = Keeping { scratch: &files.scratch, monitor };
    let (network, layout, mut params) = supernet::prepare(context, &job, keeping)?;
    let judged = network.largest_subnet.clone();
    let phases = supernet::two_phases(context, &job, &layout, &judged, &files);
    let all = job.fp32.steps;
    let images = ((all - WARM_UP) * SUBNETS_PER_STEP * job.fp32.batch) as f64;
    // Libraries for GPUs look for a way to compute a layer of new sizes, which takes longer than the layer.
    let passes = if context.device == Device::Cpu { 1 } else { 2 };
    let classes = context.hyperspace.classes;
    let mut plan = BenchmarkPlan { batch: asked.batch, classes, ..BenchmarkPlan::default() };
    let mut speed = |quantized: bool| {
        if quantized {
            phases.start_quantizers(&network, &mut params)?;
        }
        let mut optimizer = Optimizer::new(Rule::Sgd, job.fp32.weight_decay, true);
        let watch = Stopwatch::new();
        // The same subnets each time.
        let new_steps = || Steps::new(&phases, &network, ("fp32", &job.fp32));
        let mut steps = new_steps();
        let mut of_new_sizes = None;
        for index in 0..passes * all {
            let (pass, step) = (index / all, index % all);
            if monitor.cancelled() {
                return Err(TrainError::Cancelled);
            }
            if pass > 0 && step == 0 {
                of_new_sizes = Some(images / watch.read().0);
                steps = new_steps();
            }
            if step == WARM_UP {
                watch.restart();
            }
            let loaded = steps.take(step, &watch)?;
            if asked.plan.is_some() && !quantized && pass == 0 {
                add(&mut plan, &loaded);
            }
            let loss = network.gradients(&Step {
                params: &params,
                quantized,
                loaded: &loaded,
                watch: &watch,
            })?;
            if let Some(group) = &context.group {
                watch.time(Part::Backward, || group.add_up(&params, [loss], asked.batch))?;
            }
            let rate = job.fp32.learning_rate;
            watch.time(Part::Optimizer, || optimizer.step(&mut params, rate, index))?;
            let note = if quantized { "INT8" } else { "FP32" };
            let done = usize::from(quantized) * passes * all + index + 1;
            monitor.progress(done, 2 * passes * all, note);
        }
        synchronize(context.device);
        let (seconds, phases) = watch.read();
        Ok(TrainingSpeed {
            images_per_second: images / seconds,
            // With quantizers the sizes are those of before.
            images_per_second_of_new_sizes: of_new_sizes.filter(|_| !quantized),
            seconds_per_step: seconds / (all - WARM_UP) as f64,
            phases,
        })
    };
    let report = BenchmarkReport { fp32: speed(false)?, int8: speed(true)? };
    if let Some(path) = asked.plan.as_ref().filter(|_| context.is_first()) {
        let text = serde_json::to_vec(&plan).map_err(|error| TrainError::file(path, error))?;
        fs::write(path, text).map_err(|error| TrainError::file(path, error))?;
    }
    Ok(report)
}

/// Waits until all is computed.
fn synchronize(device: Device) {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
}

fn add(plan: &mut BenchmarkPlan, step: &LoadedStep) {
    let mut numbers = Vec::new();
    for (subnet, _) in step.pairs() {
        let graph = &subnet.plan.placed;
        let known = plan.graphs.iter().position(|known| known == graph);
        numbers.push(known.unwrap_or_else(|| {
            plan.graphs.push(graph.clone());
            plan.graphs.len() - 1
        }));
    }
    plan.steps.push(numbers);
}
