//! What a job is done with.

use std::ops::Deref;

use spacewright_core::train::{Precision, TrainContext};
use tch::{Device, Kind};

/// A job's context, and where and how exactly its networks are computed.
#[derive(Clone)]
pub struct Context {
    /// Images, operators, scheme.
    pub job: TrainContext,
    /// Where tensors are.
    pub device: Device,
    /// How exactly convolutions and linear layers multiply.
    pub precision: Precision,
}

impl Deref for Context {
    type Target = TrainContext;

    fn deref(&self) -> &TrainContext {
        &self.job
    }
}

impl Context {
    /// What factors of convolutions and linear layers are rounded to before they are multiplied, where that is
    /// done by hand.
    pub fn factors(&self) -> Option<Kind> {
        (self.precision == Precision::Bf16).then_some(Kind::BFloat16)
    }
}
