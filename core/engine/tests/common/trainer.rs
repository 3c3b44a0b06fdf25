//! A trainer that trains nothing.

use std::{collections::BTreeMap, path::Path};

use spacewright_core::train::{
    BenchmarkJob, BenchmarkReport, DistilJob, DistilReport, EvaluateJob, Evaluator, FeaturesJob,
    JudgeJob, Monitor, SubnetJob, SupernetJob, TeachJob, TeachReport, TrainContext, TrainError,
    TrainReport, Trainer, TwoPhaseFiles,
};

pub struct FakeTrainer;

fn nothing<T>() -> Result<T, TrainError> {
    Err(TrainError::Computation { doing: "training", source: "trains nothing".into() })
}

impl Trainer for FakeTrainer {
    fn fingerprint(&self) -> String {
        "fake trainer 1".into()
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
