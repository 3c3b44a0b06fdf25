//! The quantized-for-all supernet: all subnets of a space share weights and scales.
//!
//! Each step trains the largest subnet with labels and the teacher's logits, then the smallest and
//! two random ones (sandwich rule): with the logits of the largest (in-place distillation, AlphaNet,
//! arXiv 2102.07954), or as the largest, on images of their own.

use std::collections::BTreeMap;

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    random,
    space::Subnet,
    train::{
        Guidance, Guide, Monitor, SUBNETS_PER_STEP, SupernetJob, TrainContext, TrainError,
        TrainReport, TwoPhaseFiles,
    },
};

use crate::{
    batches::Batch,
    interpret::Run,
    layout::Layout,
    losses,
    objective::Objective,
    params::Params,
    plan::PlannedSubnet,
    start,
    two_phases::{TwoPhaseTraining, TwoPhases},
};

struct Supernet<'a> {
    context: &'a TrainContext,
    job: &'a SupernetJob,
    objective: Objective,
    /// Every step trains it.
    largest: PlannedSubnet,
    /// Every step trains it.
    smallest: PlannedSubnet,
}

impl<'a> Supernet<'a> {
    fn new(context: &'a TrainContext, job: &'a SupernetJob) -> Result<Self, TrainError> {
        let (stages, resolutions) = (&job.stages, &context.hyperspace.resolutions);
        let planned = |subnet: &Subnet| PlannedSubnet::new(context, stages, subnet);
        let guidance =
            Guidance { features: job.features.clone(), teacher_share: job.teacher_share };
        Ok(Self {
            context,
            job,
            objective: Objective::new(Some(&guidance), job.label_smoothing)?,
            largest: planned(&Subnet::largest(stages, resolutions))?,
            smallest: planned(&Subnet::smallest(stages, resolutions))?,
        })
    }

    fn random(&self, rng: &mut impl Rng) -> Result<PlannedSubnet, TrainError> {
        let resolutions = &self.context.hyperspace.resolutions;
        let subnet = Subnet::random(&self.job.stages, resolutions, rng);
        PlannedSubnet::new(self.context, &self.job.stages, &subnet)
    }
}

impl TwoPhaseTraining for Supernet<'_> {
    /// One for all four subnets, or one for each.
    fn batches(&self) -> usize {
        match self.job.guide {
            Guide::Largest => 1,
            Guide::Teacher => SUBNETS_PER_STEP,
        }
    }

    /// The loss is that of the largest subnet.
    fn gradients(
        &self,
        params: &Params,
        quantized: bool,
        batches: &[Batch],
        rng: &mut Pcg64Mcg,
    ) -> Result<f64, TrainError> {
        let run = Run { params, quantized, dropout: true };
        let logits = self.largest.forward(&run, &batches[0])?;
        let loss = self.objective.loss(&logits, &batches[0]);
        loss.backward();
        let run = Run { dropout: false, ..run };
        let largest = logits.detach();
        let random = [self.random(rng)?, self.random(rng)?];
        for (index, subnet) in [&self.smallest].into_iter().chain(&random).enumerate() {
            let batch = batches.get(index + 1).unwrap_or(&batches[0]);
            let logits = subnet.forward(&run, batch)?;
            match self.job.guide {
                Guide::Largest => losses::adaptive_alpha_divergence(&logits, &largest).backward(),
                Guide::Teacher => self.objective.loss(&logits, batch).backward(),
            }
        }
        Ok(loss.double_value(&[]))
    }

    /// The largest subnet first, then random ones.
    fn observed(&self, first: bool, rng: &mut Pcg64Mcg) -> Result<PlannedSubnet, TrainError> {
        if first { Ok(self.largest.clone()) } else { self.random(rng) }
    }
}

/// Trains the supernet of a space: FP32 phase, then INT8 phase.
pub fn train(
    context: &TrainContext,
    job: &SupernetJob,
    files: &TwoPhaseFiles,
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
    TwoPhases {
        context,
        name: "supernet",
        layout: &layout,
        stages: &job.stages,
        judged: &Subnet::largest(&job.stages, &context.hyperspace.resolutions),
        fp32: &job.fp32,
        int8: &job.int8,
        augmentation: job.augmentation,
        files,
    }
    .run(&supernet, params, monitor)
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
                label_smoothing: 0.1,
                guide,
                augmentation: Augmentation { flip: true, shift: 0 },
            };
            let curves = Curves::default();
            let files = TwoPhaseFiles {
                fp32: path("fp32.safetensors"),
                int8: path("int8.safetensors"),
                scratch: path(&format!("{guide:?}")),
            };
            let reports = train(&context, &job, &files, &curves).unwrap();
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
