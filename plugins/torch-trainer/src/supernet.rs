//! The quantized-for-all supernet: all subnets of a space share weights and scales.
//!
//! Each step trains the largest subnet with labels and the teacher's logits, then the smallest and
//! two random ones (sandwich rule): with the logits of the largest (in-place distillation, AlphaNet,
//! arXiv 2102.07954), or as the largest, on images of their own.

use std::{cmp::Reverse, collections::BTreeMap, rc::Rc, time::Instant};

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    random,
    space::Subnet,
    train::{
        Guide, Monitor, SUBNETS_PER_STEP, SupernetJob, TrainError, TrainReport, TwoPhaseFiles,
    },
};
use tch::Device;

use crate::{
    context::Context,
    interpret::Run,
    layout::Layout,
    learn::{Compared, Learned, learn},
    objective::{Keeping, Objective},
    params::Params,
    plan::PlannedSubnet,
    replicas::{self, SideBySide, Work},
    start,
    stopwatch::Part,
    two_phases::{Step, TwoPhaseTraining, TwoPhases},
};

/// A supernet that is trained.
pub struct Supernet<'a> {
    context: &'a Context,
    job: &'a SupernetJob,
    objective: Objective<'a>,
    /// Who computes the subnets of a step side by side; `None`: one after the other.
    threads: Option<SideBySide>,
    /// The one that is judged.
    pub largest_subnet: Subnet,
    /// Every step trains it.
    largest: Rc<PlannedSubnet>,
    /// Every step trains it.
    smallest: Rc<PlannedSubnet>,
}

impl<'a> Supernet<'a> {
    fn new(
        context: &'a Context,
        job: &'a SupernetJob,
        keeping: Keeping<'a>,
    ) -> Result<Self, TrainError> {
        let (stages, resolutions) = (&job.stages, &context.hyperspace.resolutions);
        let planned = |subnet: &Subnet| {
            Ok::<_, TrainError>(Rc::new(PlannedSubnet::new(context, stages, subnet)?))
        };
        let guidance = job.guidance.as_ref();
        // A GPU has one queue of work, whoever asks.
        let is_side_by_side = job.guide == Guide::Teacher && context.device == Device::Cpu;
        let threads = || SideBySide::new(SUBNETS_PER_STEP, tch::get_num_threads() as usize);
        let largest_subnet = Subnet::largest(stages, resolutions);
        Ok(Self {
            context,
            job,
            objective: Objective::new(
                context,
                guidance,
                job.label_smoothing,
                &job.augment,
                keeping,
            )?,
            threads: is_side_by_side.then(threads),
            largest: planned(&largest_subnet)?,
            smallest: planned(&Subnet::smallest(stages, resolutions))?,
            largest_subnet,
        })
    }

    /// Smaller subnets may learn from the largest.
    fn one_after_the_other(&self, step: &Step<'_>) -> Result<f64, TrainError> {
        let Step { params, quantized, loaded, watch } = *step;
        let factors = self.context.factors();
        let mut largest: Option<Learned> = None;
        for (subnet, batch) in loaded.pairs() {
            let run = Run { params, quantized, dropout: largest.is_none(), factors };
            let compared = match (&largest, self.job.guide) {
                (Some(largest), Guide::Largest) => Compared::Larger(largest.logits.shallow_clone()),
                _ => Compared::Targets(self.objective.targets(batch)?),
            };
            let inputs = batch.inputs(subnet.resolution)?;
            let start = Instant::now();
            let learned = learn(&run, &subnet.plan, inputs, &compared, self.job.micro_batch)?;
            watch.add(start.elapsed(), &learned.parts());
            largest.get_or_insert(learned);
        }
        Ok(largest.map_or(f64::NAN, |largest| largest.loss()))
    }

    /// No subnet waits for another one.
    fn side_by_side(&self, threads: &SideBySide, step: &Step<'_>) -> Result<f64, TrainError> {
        let Step { params, quantized, loaded, watch } = *step;
        let mut subnets: Vec<_> = loaded.pairs().enumerate().collect();
        // The longest first, so that threads end together.
        subnets.sort_by_key(|(_, (subnet, _))| Reverse(subnet.multiply_adds));
        let (at_once, factors) = (self.job.micro_batch, self.context.factors());
        let mut work: Vec<Work<'_, (usize, Params, Learned)>> = Vec::new();
        for (position, (subnet, batch)) in subnets {
            let compared = Compared::Targets(self.objective.targets(batch)?);
            let inputs = batch.inputs(subnet.resolution)?.shallow_clone();
            let params = replicas::replica(params);
            work.push(Box::new(move || {
                let run = Run { params: &params, quantized, dropout: position == 0, factors };
                let learned = learn(&run, &subnet.plan, &inputs, &compared, at_once)?;
                Ok((position, params, learned))
            }));
        }
        let start = Instant::now();
        let mut learned = threads.each(work)?;
        learned.sort_by_key(|(position, ..)| *position);
        let parts: Vec<_> = learned.iter().flat_map(|(_, _, learned)| learned.parts()).collect();
        watch.add(start.elapsed(), &parts);
        let loss = learned.first().map_or(f64::NAN, |(_, _, largest)| largest.loss());
        let replicas: Vec<Params> = learned.into_iter().map(|(_, params, _)| params).collect();
        watch.time(Part::Backward, || replicas::gather(params, &replicas));
        Ok(loss)
    }

    fn random(&self, rng: &mut impl Rng) -> Result<Rc<PlannedSubnet>, TrainError> {
        let resolutions = &self.context.hyperspace.resolutions;
        let subnet = Subnet::random(&self.job.stages, resolutions, rng);
        Ok(Rc::new(PlannedSubnet::new(self.context, &self.job.stages, &subnet)?))
    }
}

impl TwoPhaseTraining for Supernet<'_> {
    /// The largest, the smallest, two random ones.
    fn networks(&self, rng: &mut Pcg64Mcg) -> Result<Vec<Rc<PlannedSubnet>>, TrainError> {
        let mut networks = vec![self.largest.clone(), self.smallest.clone()];
        for _ in networks.len()..SUBNETS_PER_STEP {
            networks.push(self.random(rng)?);
        }
        Ok(networks)
    }

    fn batches(&self) -> usize {
        match self.job.guide {
            Guide::Largest => 1,
            Guide::Teacher => SUBNETS_PER_STEP,
        }
    }

    fn objective(&self) -> &Objective<'_> {
        &self.objective
    }

    /// The loss is that of the largest subnet.
    fn gradients(&self, step: &Step<'_>) -> Result<f64, TrainError> {
        match &self.threads {
            Some(threads) => self.side_by_side(threads, step),
            None => self.one_after_the_other(step),
        }
    }

    /// The largest subnet first, then random ones.
    fn observed(&self, first: bool, rng: &mut Pcg64Mcg) -> Result<Rc<PlannedSubnet>, TrainError> {
        if first { Ok(self.largest.clone()) } else { self.random(rng) }
    }
}

/// A supernet before its training, the shapes of its tensors, and the tensors.
pub fn prepare<'a>(
    context: &'a Context,
    job: &'a SupernetJob,
    keeping: Keeping<'a>,
) -> Result<(Supernet<'a>, Layout, Params), TrainError> {
    let supernet = Supernet::new(context, job, keeping)?;
    let high = context.hyperspace.resolutions.iter().max().copied().unwrap_or(1);
    let layout = Layout::of_supernet(
        &context.operators,
        &context.scheme,
        &context.hyperspace,
        &job.stages,
        high,
    )?;
    let mut params = Params::init(&layout, random::seed(context.seed, &["supernet"]));
    start::start(&mut params, context, job)?;
    let params = params.on(context.device);
    Ok((supernet, layout, params))
}

/// Trains the supernet of a space: FP32 phase, then INT8 phase.
pub fn train(
    context: &Context,
    job: &SupernetJob,
    files: &TwoPhaseFiles,
    monitor: &dyn Monitor,
) -> Result<BTreeMap<String, TrainReport>, TrainError> {
    let keeping = Keeping { scratch: &files.scratch, monitor };
    let (supernet, layout, params) = prepare(context, job, keeping)?;
    two_phases(context, job, &layout, &supernet.largest_subnet, files)
        .run(&supernet, params, monitor)
}

/// How it is trained; judged is the largest subnet.
pub fn two_phases<'a>(
    context: &'a Context,
    job: &'a SupernetJob,
    layout: &'a Layout,
    judged: &'a Subnet,
    files: &'a TwoPhaseFiles,
) -> TwoPhases<'a> {
    TwoPhases {
        context,
        name: "supernet",
        layout,
        stages: &job.stages,
        judged,
        fp32: &job.fp32,
        int8: &job.int8,
        files,
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        data::{Flip, Transform},
        space::{ElasticStage, Space},
        train::{CurvePoint, Guidance, Start, TeachJob, Teacher, TeacherStart, TrainContext},
    };

    use super::*;
    use crate::{
        plan::subnet_graph,
        teach,
        testing::{self, Curves},
    };

    /// The largest subnet of these stages.
    fn teacher(context: &TrainContext, stages: &[ElasticStage]) -> TeachJob {
        let largest = Subnet::largest(stages, &[16]);
        TeachJob {
            graph: subnet_graph(context, stages, &largest).unwrap(),
            start: TeacherStart::Random,
            phase: Some(testing::phase(2)),
            augment: vec![Transform::Flip(Flip::default())],
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
        let teacher = teacher(&context, &stages);
        let weights = path("teacher.safetensors");
        let report = teach::teach(&context, &teacher, &weights, &path("teach"), &curves).unwrap();
        let points = curves.0.into_inner().unwrap();
        assert_eq!(points.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(judged(&points), [("fp32", 2, report.accuracies.held_out)]);
        assert_eq!(report.before, None);

        let teacher = Teacher { graph: teacher.graph, ends: Vec::new(), weights: weights.clone() };
        for (guide, views) in [(Guide::Largest, 0), (Guide::Teacher, 2)] {
            let teacher = teacher.clone();
            let job = SupernetJob {
                stages: stages.clone(),
                start: vec![Start { weights: weights.clone(), segments: vec!["logits".into()] }],
                guidance: Some(Guidance { teacher, teacher_share: 0.5, views }),
                fp32: testing::phase(2),
                int8: testing::phase(3),
                label_smoothing: 0.1,
                guide,
                micro_batch: views,
                augment: Vec::new(),
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
