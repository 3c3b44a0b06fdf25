//! Spacewright's trainer on libtorch.
//!
//! The only crate that names `tch`. Every network is an op graph that is interpreted with elastic
//! weights; there is no definition of any block here.

mod batches;
mod benchmark;
mod calibrate;
mod checkpoint;
mod classify;
mod context;
mod convolve;
mod curve;
mod device;
mod distil;
mod evaluate;
mod fake_quant;
mod features;
mod fit;
mod group;
#[cfg(test)]
mod implementations_tests;
mod interpret;
mod kernels;
mod layout;
mod learn;
mod learn_scales;
mod loader;
mod losses;
mod normalize;
mod objective;
mod optim;
mod params;
mod plan;
mod recalibrate;
mod replace;
mod replicas;
mod rows;
mod scale_bounds;
mod start;
mod stopwatch;
mod student;
mod subnet;
mod supernet;
mod teach;
mod teacher;
#[cfg(test)]
mod testing;
mod two_phases;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use context::Context;
pub use convolve::convolve;
use group::Group;
pub use group::announced;
use spacewright_core::train::{
    BenchmarkJob, BenchmarkReport, Compute, DistilJob, DistilReport, EvaluateJob, Evaluator,
    FeaturesJob, JudgeJob, LearnScalesJob, Monitor, SubnetJob, SupernetJob, TeachJob, TeachReport,
    TeamPlace, TrainContext, TrainError, TrainReport, Trainer, TwoPhaseFiles,
};

/// Name in keys and reports. The number changes with whatever changes a result in its last bits, such as the
/// order of a sum; who starts it has the same, or is refused.
pub const NAME: &str = "torch-trainer/5";

/// The trainer.
///
/// On the processor, teachers use all threads for one network, supernets for the subnets of a step, side by side
/// where these have images of their own. Stages are distilled, and subnets
/// evaluated, on one thread each, so that several run side by side, and their results do not depend on
/// the number of threads. Subnets that are trained alone use as many as their job says.
///
/// Several processes train a teacher or a supernet together, where they were told their places.
#[derive(Debug)]
pub struct TorchTrainer {
    compute: Compute,
    device: tch::Device,
    card: Option<String>,
    /// The processes that train together, if there are several.
    group: Option<Arc<Group>>,
}

impl TorchTrainer {
    /// A trainer that computes so. `local_rank` is the number of this process among those of its machine, which take
    /// the machine's GPUs in turn. Waits for the other processes where it has a `place` among several.
    ///
    /// # Errors
    ///
    /// [`TrainError::Device`] where the device cannot be used; processes that do not find each other.
    pub fn new(
        compute: &Compute,
        local_rank: usize,
        place: Option<&TeamPlace>,
    ) -> Result<Self, TrainError> {
        let compute = Compute { threads: compute.threads.max(1), ..*compute };
        let (device, card) = device::open(&compute, local_rank)?;
        loader::use_threads(compute.threads);
        let group = place.map(|place| Group::open(place, device).map(Arc::new)).transpose()?;
        Ok(Self { compute, device, card, group })
    }

    /// The card that it computes on; none for the processor.
    pub fn card(&self) -> Option<&str> {
        self.card.as_deref()
    }

    /// On a GPU the few things that the processor computes do not depend on the threads, as keys do not.
    fn use_all_threads(&self) {
        let on_processor = self.device == tch::Device::Cpu;
        tch::set_num_threads(if on_processor { self.compute.threads as i32 } else { 1 });
    }

    /// What a job is done with that this process does alone.
    fn context(&self, job: &TrainContext) -> Context {
        let Self { device, compute: Compute { precision, .. }, .. } = *self;
        Context { job: job.clone(), device, precision, group: None }
    }

    /// What a job is done with that all processes of the group do.
    fn shared_context(&self, job: &TrainContext) -> Context {
        Context { group: self.group.clone(), ..self.context(job) }
    }
}

fn use_one_thread() {
    tch::set_num_threads(1);
}

impl Trainer for TorchTrainer {
    fn fingerprint(&self) -> String {
        let Self { compute, card, .. } = self;
        format!("{NAME} {}, {}", env!("CARGO_PKG_VERSION"), compute.in_keys(card.as_deref()))
    }

    fn teach(
        &self,
        context: &TrainContext,
        job: &TeachJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<TeachReport, TrainError> {
        self.use_all_threads();
        teach::teach(&self.shared_context(context), job, output, scratch, monitor)
    }

    fn features(
        &self,
        context: &TrainContext,
        job: &FeaturesJob,
        output: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError> {
        self.use_all_threads();
        features::compute(&self.context(context), job, output, monitor)
    }

    fn distil(
        &self,
        context: &TrainContext,
        job: &DistilJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<DistilReport, TrainError> {
        use_one_thread();
        distil::distil(&self.context(context), job, output, scratch, monitor)
    }

    fn judge(
        &self,
        context: &TrainContext,
        job: &JudgeJob,
        monitor: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError> {
        use_one_thread();
        distil::judge(&self.context(context), job, monitor)
    }

    fn train(
        &self,
        context: &TrainContext,
        job: &SupernetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        self.use_all_threads();
        supernet::train(&self.shared_context(context), job, files, monitor)
    }

    fn train_subnet(
        &self,
        context: &TrainContext,
        job: &SubnetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        tch::set_num_threads(job.threads.max(1) as i32);
        subnet::train(&self.context(context), job, files, monitor)
    }

    fn learn_scales(
        &self,
        context: &TrainContext,
        job: &LearnScalesJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError> {
        self.use_all_threads();
        learn_scales::train(&self.context(context), job, output, scratch, monitor)
    }

    fn evaluator(
        &self,
        context: &TrainContext,
        job: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError> {
        use_one_thread();
        Ok(Box::new(evaluate::OpenedSupernet::new(&self.context(context), job)?))
    }

    fn benchmark(
        &self,
        context: &TrainContext,
        job: &BenchmarkJob,
        monitor: &dyn Monitor,
    ) -> Result<BenchmarkReport, TrainError> {
        self.use_all_threads();
        benchmark::benchmark(&self.shared_context(context), job, monitor)
    }
}
