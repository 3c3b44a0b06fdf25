//! The side that people call: a trainer that has other processes compute.

mod error;
mod evaluator;
mod places;
mod pool;
mod process;
mod program;
mod team;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
};

use spacewright_core::train::{
    BenchmarkJob, BenchmarkReport, Compute, Device, DistilJob, DistilReport, EvaluateJob,
    Evaluator, FeaturesJob, JudgeJob, LearnScalesJob, Monitor, SubnetJob, SupernetJob, TeachJob,
    TeachReport, TrainContext, TrainError, TrainReport, Trainer, TwoPhaseFiles, Usage,
};

pub use error::WorkerError;
pub use program::WorkerProgram;
pub use team::Launched;

use crate::message::{Answer, Job};
use pool::{Lease, Pool};
use process::Asked;

/// A trainer whose work is done by other processes. One process per concurrent job, started on demand. A job that
/// uses all threads ends all but one; where several processes compute together, a team of them does it.
pub struct WorkerTrainer {
    /// Name and version.
    name: String,
    compute: Compute,
    /// The card that its workers compute on, once one was started, or why there is none, with a hint.
    card: OnceLock<Result<String, (String, Option<String>)>>,
    pool: Arc<Pool>,
}

impl fmt::Debug for WorkerTrainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerTrainer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl WorkerTrainer {
    /// Workers are processes of this program, each of which computes so. Its `name` is that of the
    /// trainer that the program serves, with what distinguishes versions of it that compute otherwise; a
    /// program with another one is refused. Several processes compute together, if there are, on this machine;
    /// or it is those that were `launched` with this one.
    pub fn new(
        name: &str,
        program: WorkerProgram,
        compute: Compute,
        launched: Option<Launched>,
    ) -> Self {
        let pool = Arc::new(Pool::new(program, name, compute, launched));
        let name = format!("{name} {}", env!("CARGO_PKG_VERSION"));
        Self { name, compute, card: OnceLock::new(), pool }
    }

    fn begin(
        &self,
        context: &TrainContext,
        job: Job,
        monitor: Option<&dyn Monitor>,
    ) -> Result<(Lease, Answer), TrainError> {
        let mut lease = self.pool.lease()?;
        let (operators, quantizer) = (&context.operators, &*context.quantizer);
        let asked = Asked { operators, quantizer, monitor, given_up: None };
        let answer = lease.work(context, job, &asked)?;
        Ok((lease, answer))
    }

    fn work(
        &self,
        context: &TrainContext,
        job: Job,
        monitor: &dyn Monitor,
    ) -> Result<Answer, TrainError> {
        self.begin(context, job, Some(monitor)).map(|(_, answer)| answer)
    }

    /// Does what uses all threads, of all processes where several compute together.
    fn work_with_all(
        &self,
        context: &TrainContext,
        job: Job,
        monitor: &dyn Monitor,
    ) -> Result<Answer, TrainError> {
        if self.compute.processes > 1 {
            return team::work(self.pool.team()?, context, &job, monitor);
        }
        self.pool.end_others();
        self.work(context, job, monitor)
    }
}

/// An answer to something else, or none from a process that is of no use any more.
fn other_answer() -> TrainError {
    WorkerError::Protocol { reason: "no answer to this question".into() }.into()
}

impl Trainer for WorkerTrainer {
    fn prepare(&self) -> Result<(), TrainError> {
        self.pool.gather()?;
        // Only a worker knows its card; the processor is known without one.
        if self.compute.device == Device::Cpu {
            return Ok(());
        }
        let card = match self.card.get() {
            Some(card) => card,
            None => {
                let card = match self.pool.lease() {
                    Ok(lease) => Ok(lease.card().unwrap_or_default().to_owned()),
                    Err(WorkerError::Refused { reason, hint }) => Err((reason, hint)),
                    Err(other) => return Err(other.into()),
                };
                self.card.get_or_init(|| card)
            }
        };
        match card {
            Ok(_) => Ok(()),
            Err((reason, hint)) => {
                let (reason, hint) = (reason.clone(), hint.clone());
                Err(WorkerError::Refused { reason, hint }.into())
            }
        }
    }

    fn fingerprint(&self) -> String {
        let card = self.card.get().and_then(|card| card.as_deref().ok());
        format!("{}, {}", self.name, self.compute.in_keys(card))
    }

    fn take_usage(&self) -> Usage {
        self.pool.take_usage()
    }

    fn teach(
        &self,
        context: &TrainContext,
        job: &TeachJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<TeachReport, TrainError> {
        let (job, output, scratch) = (job.clone(), output.to_owned(), scratch.to_owned());
        match self.work_with_all(context, Job::Teach { job, output, scratch }, monitor)? {
            Answer::Taught(report) => Ok(report),
            _ => Err(other_answer()),
        }
    }

    fn features(
        &self,
        context: &TrainContext,
        job: &FeaturesJob,
        output: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError> {
        let (job, output) = (job.clone(), output.to_owned());
        match self.work(context, Job::Features { job, output }, monitor)? {
            Answer::Nothing => Ok(()),
            _ => Err(other_answer()),
        }
    }

    fn distil(
        &self,
        context: &TrainContext,
        job: &DistilJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<DistilReport, TrainError> {
        let (job, output, scratch) = (job.clone(), output.to_owned(), scratch.to_owned());
        match self.work(context, Job::Distil { job, output, scratch }, monitor)? {
            Answer::Distilled(report) => Ok(report),
            _ => Err(other_answer()),
        }
    }

    fn judge(
        &self,
        context: &TrainContext,
        job: &JudgeJob,
        monitor: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError> {
        match self.work(context, Job::Judge { job: job.clone() }, monitor)? {
            Answer::Judged(losses) => Ok(losses),
            _ => Err(other_answer()),
        }
    }

    fn train(
        &self,
        context: &TrainContext,
        job: &SupernetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        let (job, files) = (job.clone(), files.clone());
        match self.work_with_all(context, Job::Train { job, files }, monitor)? {
            Answer::Trained(reports) => Ok(reports),
            _ => Err(other_answer()),
        }
    }

    fn train_subnet(
        &self,
        context: &TrainContext,
        job: &SubnetJob,
        files: &TwoPhaseFiles,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        let (job, files) = (job.clone(), files.clone());
        match self.work(context, Job::TrainSubnet { job, files }, monitor)? {
            Answer::Trained(reports) => Ok(reports),
            _ => Err(other_answer()),
        }
    }

    fn learn_scales(
        &self,
        context: &TrainContext,
        job: &LearnScalesJob,
        output: &Path,
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<(), TrainError> {
        let (job, output, scratch) = (job.clone(), output.to_owned(), scratch.to_owned());
        match self.work(context, Job::LearnScales { job, output, scratch }, monitor)? {
            Answer::Nothing => Ok(()),
            _ => Err(other_answer()),
        }
    }

    fn evaluator(
        &self,
        context: &TrainContext,
        job: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError> {
        let (lease, _) = self.begin(context, Job::Evaluate { job: job.clone() }, None)?;
        Ok(Box::new(evaluator::Opened::new(lease, context)))
    }

    fn benchmark(
        &self,
        context: &TrainContext,
        job: &BenchmarkJob,
        monitor: &dyn Monitor,
    ) -> Result<BenchmarkReport, TrainError> {
        match self.work_with_all(context, Job::Benchmark { job: job.clone() }, monitor)? {
            Answer::Benchmark(report) => Ok(report),
            _ => Err(other_answer()),
        }
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::train::Precision;

    use super::*;

    fn trainer(device: Device) -> WorkerTrainer {
        let precision = Precision::Bf16;
        let compute = Compute { device, precision, ..Compute::on_processor(3) };
        WorkerTrainer::new("some/1", WorkerProgram::beside("no-such-program"), compute, None)
    }

    #[test]
    fn the_processor_needs_no_worker_to_be_named() {
        let trainer = trainer(Device::Cpu);
        trainer.prepare().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(trainer.fingerprint(), format!("some/1 {version}, 3 threads, bf16"));
    }

    #[test]
    fn a_card_is_named_by_a_worker() {
        let error = trainer(Device::Cuda(0)).prepare().unwrap_err();
        assert!(error.to_string().starts_with("cannot start the trainer, "), "{error}");
    }
}
