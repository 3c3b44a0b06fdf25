//! How fast supernets are trained.

use std::fs;

use spacewright_core::train::{
    BenchmarkJob, BenchmarkPlan, BenchmarkReport, Guide, Monitor, Phase, SUBNETS_PER_STEP,
    SupernetJob, TrainContext, TrainError, TrainingSpeed, TwoPhaseFiles,
};

use crate::{
    objective::Keeping,
    optim::{Optimizer, Rule},
    stopwatch::{Part, Stopwatch},
    supernet,
    two_phases::{LoadedStep, Step, Steps, TwoPhaseTraining as _},
};

/// Steps that do not count: memory is not there yet, threads are not started.
const WARM_UP: usize = 3;

/// Measures steps as [`supernet::train`] makes them, each subnet on images of its own, without a teacher.
pub fn benchmark(
    context: &TrainContext,
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
    // No network is kept.
    let files = TwoPhaseFiles::default();
    let keeping = Keeping { scratch: &files.scratch, monitor };
    let (network, layout, mut params) = supernet::prepare(context, &job, keeping)?;
    let judged = network.largest_subnet.clone();
    let phases = supernet::two_phases(context, &job, &layout, &judged, &files);
    let all = job.fp32.steps;
    let classes = context.hyperspace.classes;
    let mut plan = BenchmarkPlan { batch: asked.batch, classes, ..BenchmarkPlan::default() };
    let mut speed = |quantized: bool| {
        if quantized {
            phases.start_quantizers(&network, &mut params)?;
        }
        let mut optimizer = Optimizer::new(Rule::Sgd, job.fp32.weight_decay, true);
        // The same subnets both times.
        let (watch, mut steps) =
            (Stopwatch::new(), Steps::new(&phases, &network, ("fp32", &job.fp32)));
        for step in 0..all {
            if monitor.cancelled() {
                return Err(TrainError::Cancelled);
            }
            if step == WARM_UP {
                watch.restart();
            }
            let loaded = steps.take(step, &watch)?;
            if asked.plan.is_some() && !quantized {
                add(&mut plan, &loaded);
            }
            network.gradients(&Step {
                params: &params,
                quantized,
                loaded: &loaded,
                watch: &watch,
            })?;
            let rate = job.fp32.learning_rate;
            watch.time(Part::Optimizer, || optimizer.step(&mut params, rate, step));
            let (done, note) = if quantized { (all + step, "INT8") } else { (step, "FP32") };
            monitor.progress(done + 1, 2 * all, note);
        }
        let (seconds, phases) = watch.read();
        let steps = (all - WARM_UP) as f64;
        let images = steps * (SUBNETS_PER_STEP * job.fp32.batch) as f64;
        Ok(TrainingSpeed {
            images_per_second: images / seconds,
            seconds_per_step: seconds / steps,
            phases,
        })
    };
    let report = BenchmarkReport { fp32: speed(false)?, int8: speed(true)? };
    if let Some(path) = &asked.plan {
        let text = serde_json::to_vec(&plan).map_err(|error| TrainError::file(path, error))?;
        fs::write(path, text).map_err(|error| TrainError::file(path, error))?;
    }
    Ok(report)
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
