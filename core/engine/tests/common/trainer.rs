//! A trainer that trains nothing.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use spacewright_core::train::{
    BenchmarkJob, BenchmarkReport, Compute, Device, DistilJob, DistilReport, EvaluateJob,
    Evaluator, FeaturesJob, JudgeJob, LearnScalesJob, Monitor, SubnetJob, SupernetJob, TeachJob,
    TeachReport, TrainContext, TrainError, TrainReport, Trainer, TwoPhaseFiles,
};

/// Trainers of a program that has none for GPUs.
pub fn trainers(compute: &Compute) -> Vec<Arc<dyn Trainer>> {
    match compute.device {
        Device::Cpu => vec![Arc::new(FakeTrainer { name: "fake trainer 1".into(), refusal: None })],
        Device::Cuda(_) => Vec::new(),
    }
}

pub struct FakeTrainer {
    pub name: String,
    /// Why it cannot compute where it should.
    pub refusal: Option<String>,
}

fn nothing<T>() -> Result<T, TrainError> {
    Err(TrainError::Computation { doing: "training", source: "trains nothing".into() })
}

impl Trainer for FakeTrainer {
    fn fingerprint(&self) -> String {
        self.name.clone()
    }

    fn prepare(&self) -> Result<(), TrainError> {
        self.refusal.clone().map_or(Ok(()), |reason| {
            Err(TrainError::Device { device: "cuda:0".into(), reason, hint: "buy one" })
        })
    }

    fn teach(
        &self,
        _: &TrainContext,
        _: &TeachJob,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<TeachReport, TrainError> {
        nothing()
    }

    fn features(
        &self,
        _: &TrainContext,
        _: &FeaturesJob,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<(), TrainError> {
        nothing()
    }

    fn distil(
        &self,
        _: &TrainContext,
        _: &DistilJob,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<DistilReport, TrainError> {
        nothing()
    }

    fn judge(
        &self,
        _: &TrainContext,
        _: &JudgeJob,
        _: &dyn Monitor,
    ) -> Result<Vec<f64>, TrainError> {
        nothing()
    }

    fn train(
        &self,
        _: &TrainContext,
        _: &SupernetJob,
        _: &TwoPhaseFiles,
        _: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        nothing()
    }

    fn train_subnet(
        &self,
        _: &TrainContext,
        _: &SubnetJob,
        _: &TwoPhaseFiles,
        _: &dyn Monitor,
    ) -> Result<BTreeMap<String, TrainReport>, TrainError> {
        nothing()
    }

    fn learn_scales(
        &self,
        _: &TrainContext,
        _: &LearnScalesJob,
        _: &Path,
        _: &Path,
        _: &dyn Monitor,
    ) -> Result<(), TrainError> {
        nothing()
    }

    fn evaluator(
        &self,
        _: &TrainContext,
        _: &EvaluateJob,
    ) -> Result<Box<dyn Evaluator>, TrainError> {
        nothing()
    }

    fn benchmark(
        &self,
        _: &TrainContext,
        _: &BenchmarkJob,
        _: &dyn Monitor,
    ) -> Result<BenchmarkReport, TrainError> {
        nothing()
    }
}
