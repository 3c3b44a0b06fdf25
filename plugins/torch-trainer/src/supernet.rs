//! The quantized-for-all supernet: all subnets of a space share weights and scales.
//!
//! Each step trains the largest subnet with labels and the teacher's logits, then the smallest and
//! two random ones (sandwich rule): with the logits of the largest (in-place distillation, AlphaNet,
//! arXiv 2102.07954), or as the largest, on images of their own.

use std::{collections::BTreeMap, path::Path};

use rand::Rng;
use spacewright_core::{
    random,
    space::Subnet,
    train::{
        Guide, Monitor, RecalibratedSubnet, SupernetJob, TrainContext, TrainError, TrainReport,
    },
};
use tch::Tensor;

use crate::{
    batches::{self, Batch, Sampler},
    calibrate,
    classify::EVALUATION_BATCH,
    evaluate::{SharedWeights, calibration_images},
    features::TeacherLogits,
    fit::Fit,
    interpret::{Norm, Run},
    layout::Layout,
    losses,
    optim::Rule,
    params::Params,
    plan::{Plan, subnet_plan},
    start,
};

/// Images for recalibration before the largest subnet is judged between phases: the figure is
/// reported, and nothing else depends on it.
const STATISTICS_IMAGES: usize = 1024;

/// A subnet that is ready to be run.
struct PlannedSubnet {
    resolution: usize,
    plan: Plan,
}

impl PlannedSubnet {
    fn new(context: &TrainContext, job: &SupernetJob, subnet: &Subnet) -> Result<Self, TrainError> {
        let plan = subnet_plan(context, &job.stages, subnet)?;
        Ok(Self { resolution: subnet.resolution, plan })
    }
}

struct Supernet<'a> {
    context: &'a TrainContext,
    job: &'a SupernetJob,
    logits: TeacherLogits,
    /// Every step trains it.
    largest: PlannedSubnet,
    /// Every step trains it.
    smallest: PlannedSubnet,
}

impl<'a> Supernet<'a> {
    fn new(context: &'a TrainContext, job: &'a SupernetJob) -> Result<Self, TrainError> {
        let (stages, resolutions) = (&job.stages, &context.hyperspace.resolutions);
        let planned = |subnet: &Subnet| PlannedSubnet::new(context, job, subnet);
        Ok(Self {
            context,
            job,
            logits: TeacherLogits::load(&job.features)?,
            largest: planned(&Subnet::largest(stages, resolutions))?,
            smallest: planned(&Subnet::smallest(stages, resolutions))?,
        })
    }

    fn random(&self, rng: &mut impl Rng) -> Result<PlannedSubnet, TrainError> {
        let resolutions = &self.context.hyperspace.resolutions;
        let subnet = Subnet::random(&self.job.stages, resolutions, rng);
        PlannedSubnet::new(self.context, self.job, &subnet)
    }

    /// Accumulates the gradients of one step; `batches` hold the images of each subnet. The loss
    /// of the largest subnet.
    fn sandwich(
        &self,
        params: &Params,
        quantized: bool,
        batches: &[Batch],
        rng: &mut impl Rng,
    ) -> Result<f64, TrainError> {
        let run = Run { params, quantized, dropout: true };
        let forward = |run: &Run<'_>, subnet: &PlannedSubnet, batch: &Batch| {
            run.forward(&subnet.plan, &batch.inputs(subnet.resolution), &mut Norm::Batch)
        };
        let logits = forward(&run, &self.largest, &batches[0])?;
        let loss = self.loss(&logits, &batches[0]);
        loss.backward();
        let run = Run { dropout: false, ..run };
        let largest = logits.detach();
        let random = [self.random(rng)?, self.random(rng)?];
        for (index, subnet) in [&self.smallest].into_iter().chain(&random).enumerate() {
            let batch = batches.get(index + 1).unwrap_or(&batches[0]);
            let logits = forward(&run, subnet, batch)?;
            match self.job.guide {
                Guide::Largest => losses::adaptive_alpha_divergence(&logits, &largest).backward(),
                Guide::Teacher => self.loss(&logits, batch).backward(),
            }
        }
        Ok(loss.double_value(&[]))
    }

    /// Against labels and teacher.
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Tensor {
        let share = self.job.teacher_share;
        let hard = losses::cross_entropy(logits, &batch.labels, 0.0);
        let soft = losses::distillation(logits, &self.logits.of(batch));
        hard * (1.0 - share) + soft * share
    }

    /// How many batches of images a step takes: one for all four subnets, or one for each.
    fn batches(&self) -> usize {
        match self.job.guide {
            Guide::Largest => 1,
            Guide::Teacher => 4,
        }
    }

    fn start_quantizers(&self, layout: &Layout, params: &mut Params) -> Result<(), TrainError> {
        let context = self.context;
        let images = calibration_images(context, EVALUATION_BATCH);
        let mut first = Some(&self.largest);
        calibrate::start(params, layout, context, |params, rng| {
            let drawn;
            let subnet = match first.take() {
                Some(largest) => largest,
                None => {
                    drawn = self.random(rng)?;
                    &drawn
                }
            };
            let train = &context.data.train;
            let x = batches::inputs(train, &images, context.canvas, subnet.resolution);
            let run = Run { params, quantized: false, dropout: false };
            run.observe(&subnet.plan, &x, &mut Norm::Batch)
        })
    }

    /// Share of held-out images that the largest subnet classifies correctly.
    fn held_out_accuracy(&self, params: &Params, quantized: bool) -> Result<f64, TrainError> {
        let weights = SharedWeights {
            context: self.context,
            stages: &self.job.stages,
            params,
            quantized,
            calibration: &calibration_images(self.context, STATISTICS_IMAGES),
            judged: &self.context.held_out,
        };
        let largest = Subnet::largest(&self.job.stages, &self.context.hyperspace.resolutions);
        weights.recalibrate(&largest)?.held_out_accuracy()
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
    let supernet = Supernet::new(context, job)?;
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
    let phases = [("fp32", &job.fp32, fp32_output), ("int8", &job.int8, output)];
    for (name, phase, file) in phases {
        let quantized = name == "int8";
        if quantized {
            supernet.start_quantizers(&layout, &mut params)?;
        }
        let mut sampler = Sampler::new(batches::trainable(context), context.seed, name);
        let fit = Fit {
            what: &format!("supernet, {name}"),
            name,
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
        let fitted = fit.run(&mut params, monitor, |params, step, rng| {
            let indices = sampler.batch(step, supernet.batches() * phase.batch);
            let draw = |part: &[usize]| Batch::draw(context, part.to_vec(), job.augmentation, rng);
            let batches: Vec<Batch> = indices.chunks(phase.batch).map(draw).collect();
            supernet.sandwich(params, quantized, &batches, rng)
        })?;
        offset += phase.steps;
        params.save(file)?;
        let held_out_accuracy = supernet.held_out_accuracy(&params, quantized)?;
        fitted.judged(monitor, held_out_accuracy);
        let loss = Some(fitted.loss);
        reports.insert(name.to_owned(), TrainReport { held_out_accuracy, loss });
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        data::Augmentation,
        space::{ElasticStage, Space, SubStage},
        train::{CurvePoint, FeaturesJob, Start, TeachJob},
    };

    use super::*;
    use crate::{
        features, teach,
        testing::{self, Curves},
    };

    /// The largest subnet of these stages as the only one.
    fn teacher(context: &TrainContext, mut stages: Vec<ElasticStage>) -> TeachJob {
        for stage in &mut stages {
            let largest = SubStage::largest(stage);
            stage.widths = largest.width().into_iter().collect();
            stage.depths = [largest.blocks.len(); 2];
            for values in stage.candidate.choices.values_mut() {
                values.drain(..values.len() - 1);
            }
        }
        TeachJob {
            subnet: Subnet::largest(&stages, &[context.canvas]),
            stages,
            weights: None,
            phase: testing::phase(2),
            augmentation: Augmentation { flip: true, shift: 1 },
            label_smoothing: 0.1,
        }
    }

    /// Phase, step and accuracy of the points that have one; they have a loss, too.
    fn judged(points: &[CurvePoint]) -> Vec<(&str, usize, f64)> {
        let mut judged = Vec::new();
        for CurvePoint { phase, step, loss, held_out_accuracy, .. } in points {
            if let (Some(_), Some(accuracy)) = (loss, held_out_accuracy) {
                judged.push((phase.as_str(), *step, *accuracy));
            }
        }
        judged
    }

    #[test]
    fn curves_of_teacher_and_supernet_end_with_their_accuracies() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let space = Space {
            hyperspace: context.hyperspace.name.clone(),
            blocks: vec![1, 3],
            windows: vec![0, 0],
        };
        let stages = space.elastic_stages(&context.hyperspace);

        let curves = Curves::default();
        let teacher = teacher(&context, stages.clone());
        let weights = path("teacher.safetensors");
        let report = teach::teach(&context, &teacher, &weights, &path("teach"), &curves).unwrap();
        let points = curves.0.into_inner().unwrap();
        assert_eq!(points.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(judged(&points), [("fp32", 2, report.held_out_accuracy)]);

        let curves = Curves::default();
        let job = FeaturesJob { teacher, weights, train_images: 40, judge_images: 10 };
        features::compute(&context, &job, &path("features"), &curves).unwrap();
        for guide in [Guide::Largest, Guide::Teacher] {
            let job = SupernetJob {
                stages: stages.clone(),
                start: vec![Start {
                    weights: job.weights.clone(),
                    segments: vec!["logits".into()],
                }],
                features: path("features"),
                fp32: testing::phase(2),
                int8: testing::phase(3),
                teacher_share: 0.5,
                guide,
                augmentation: Augmentation { flip: true, shift: 0 },
            };
            let curves = Curves::default();
            let files = [path("fp32.safetensors"), path("int8.safetensors")];
            let scratch = path(&format!("{guide:?}"));
            let reports = train(&context, &job, &files[0], &files[1], &scratch, &curves).unwrap();
            let points = curves.0.into_inner().unwrap();
            let expected = [
                ("fp32", 2, reports["fp32"].held_out_accuracy),
                ("int8", 3, reports["int8"].held_out_accuracy),
            ];
            assert_eq!(judged(&points), expected);
            assert_eq!(points.len(), 2 + 1 + 3 + 1);
        }
    }
}
