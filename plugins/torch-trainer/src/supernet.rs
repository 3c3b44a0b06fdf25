//! The quantized-for-all supernet: all subnets of a space share weights and scales.
//!
//! Each step trains the largest subnet with labels and the teacher's logits, then the smallest and
//! two random ones (sandwich rule): with the logits of the largest (in-place distillation, AlphaNet,
//! arXiv 2102.07954), or as the largest, on images of their own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rand::Rng;
use spacewright_core::{
    random,
    space::{ElasticStage, Subnet, network, subnet_segments},
    train::{Guide, Monitor, SupernetJob, TrainContext, TrainError, TrainReport},
};
use tch::Tensor;

use crate::{
    batches::{self, Batch, Sampler},
    calibrate,
    evaluate::Subnets,
    fit::Fit,
    interpret::{Norm, Run},
    layout::{Layout, Plan, other},
    losses,
    optim::Rule,
    params::{self, Params},
    start,
    teach::{EVALUATION_BATCH, logits_file},
};

/// Images for recalibration before the largest subnet is judged between phases.
const STATISTICS_IMAGES: usize = 1024;

/// Executes subnets of these stages.
pub fn subnet_plan(
    context: &TrainContext,
    stages: &[ElasticStage],
    subnet: &Subnet,
) -> Result<Plan, TrainError> {
    let segments =
        subnet_segments(&context.operators, &context.hyperspace, stages, subnet).map_err(other)?;
    Plan::new(&network(segments).map_err(other)?, &context.scheme)
}

struct TeacherLogits(BTreeMap<String, Tensor>);

impl TeacherLogits {
    fn load(folder: &Path) -> Result<Self, TrainError> {
        Ok(Self(params::load(&logits_file(folder))?.into_iter().collect()))
    }

    fn of(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        let indices: Vec<i64> = batch.indices.iter().map(|&index| index as i64).collect();
        let rows = |name: &str| {
            let logits = self.0.get(name);
            let missing = || TrainError::Other(format!("the teacher has no `{name}` logits"));
            Ok::<_, TrainError>(
                logits.ok_or_else(missing)?.index_select(0, &Tensor::from_slice(&indices)),
            )
        };
        let plain = rows("plain")?;
        if !batch.flipped.contains(&true) {
            return Ok(plain);
        }
        let flipped = Tensor::from_slice(&batch.flipped).unsqueeze(1);
        Ok(rows("mirrored")?.where_self(&flipped, &plain))
    }
}

struct Supernet<'a> {
    context: &'a TrainContext,
    job: &'a SupernetJob,
    logits: TeacherLogits,
}

impl Supernet<'_> {
    /// Accumulates the gradients of one step; `batches` hold the images of each subnet. The loss
    /// of the largest subnet.
    fn sandwich(
        &self,
        params: &Params,
        quantized: bool,
        batches: &[Batch],
        rng: &mut impl Rng,
    ) -> Result<f64, TrainError> {
        let (stages, resolutions) = (&self.job.stages, &self.context.hyperspace.resolutions);
        let run = Run { params, quantized, dropout: true };
        let forward = |run: &Run<'_>, subnet: &Subnet, batch: &Batch| {
            let plan = subnet_plan(self.context, stages, subnet)?;
            run.forward(&plan, &batch.inputs(subnet.resolution), &mut Norm::Batch)
        };
        let logits = forward(&run, &Subnet::largest(stages, resolutions), &batches[0])?;
        let loss = self.loss(&logits, &batches[0])?;
        loss.backward();
        let run = Run { dropout: false, ..run };
        let largest = logits.detach();
        let smaller = [
            Subnet::smallest(stages, resolutions),
            Subnet::random(stages, resolutions, rng),
            Subnet::random(stages, resolutions, rng),
        ];
        for (index, subnet) in smaller.iter().enumerate() {
            let batch = batches.get(index + 1).unwrap_or(&batches[0]);
            let logits = forward(&run, subnet, batch)?;
            match self.job.guide {
                Guide::Largest => losses::adaptive_alpha_divergence(&logits, &largest).backward(),
                Guide::Teacher => self.loss(&logits, batch)?.backward(),
            }
        }
        Ok(loss.double_value(&[]))
    }

    /// Against labels and teacher.
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor, TrainError> {
        let share = self.job.teacher_share;
        let hard = losses::cross_entropy(logits, &batch.labels, 0.0);
        let soft = losses::distillation(logits, &self.logits.of(batch)?);
        Ok(hard * (1.0 - share) + soft * share)
    }

    /// How many batches of images a step takes.
    fn batches(&self) -> usize {
        match self.job.guide {
            Guide::Largest => 1,
            Guide::Teacher => 4,
        }
    }
}

/// Trains the supernet of a space: FP32 phase, then INT8 phase.
pub fn train(
    context: &TrainContext,
    job: &SupernetJob,
    fp32_output: &Path,
    output: &Path,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<BTreeMap<String, TrainReport>, TrainError> {
    let supernet = Supernet { context, job, logits: TeacherLogits::load(&job.features)? };
    let high = context.hyperspace.resolutions.iter().max().copied().unwrap_or(context.canvas);
    let layout = Layout::of_supernet(
        &context.operators,
        &context.scheme,
        &context.hyperspace,
        &job.stages,
        high,
    )?;
    let mut params = Params::init(&layout, random::seed(context.seed, &["supernet"]));
    start::start(&mut params, context, job)?;
    let total = job.fp32.steps + job.int8.steps;
    let mut reports = BTreeMap::new();
    let mut offset = 0;
    let outputs: [(&str, PathBuf); 2] =
        [("fp32", fp32_output.to_owned()), ("int8", output.to_owned())];
    for ((name, file), phase) in outputs.into_iter().zip([&job.fp32, &job.int8]) {
        let quantized = name == "int8";
        if quantized {
            start_quantizers(&supernet, &layout, &mut params)?;
        }
        let mut sampler = Sampler::new(batches::trainable(context), context.seed, name);
        let fit = Fit {
            what: &format!("supernet, {name}"),
            phase,
            rule: Rule::Sgd,
            slower: 1.0,
            seed: context.seed,
            checkpoint: &scratch.join(format!("{name}.safetensors")),
            learns_quantizers: context.quantizer.learnable(),
            layout: &layout,
            offset,
            total,
        };
        let loss = fit.run(&mut params, monitor, |params, step, rng| {
            let indices = sampler.batch(step, supernet.batches() * phase.batch);
            let draw = |part: &[usize]| Batch::draw(context, part.to_vec(), job.augmentation, rng);
            let batches: Vec<Batch> = indices.chunks(phase.batch).map(draw).collect();
            supernet.sandwich(params, quantized, &batches, rng)
        })?;
        offset += phase.steps;
        params.save(&file)?;
        let mut subnets =
            Subnets::new(context, &job.stages, &params, quantized, STATISTICS_IMAGES, usize::MAX);
        let largest = Subnet::largest(&job.stages, &context.hyperspace.resolutions);
        let held_out_accuracy = subnets.accuracy(&largest)?;
        reports.insert(name.to_owned(), TrainReport { held_out_accuracy, loss: Some(loss) });
    }
    Ok(reports)
}

fn start_quantizers(
    supernet: &Supernet<'_>,
    layout: &Layout,
    params: &mut Params,
) -> Result<(), TrainError> {
    let (context, job) = (supernet.context, supernet.job);
    let resolutions = &context.hyperspace.resolutions;
    let images = batches::fixed_sample(context, "calibration", EVALUATION_BATCH);
    let mut first = Some(Subnet::largest(&job.stages, resolutions));
    calibrate::start(params, layout, context, |params, rng| {
        let subnet = first.take().unwrap_or_else(|| Subnet::random(&job.stages, resolutions, rng));
        let x = batches::inputs(&context.data.train, &images, context.canvas, subnet.resolution);
        let run = Run { params, quantized: false, dropout: false };
        run.observe(&subnet_plan(context, &job.stages, &subnet)?, &x, &mut Norm::Batch)
    })
}
