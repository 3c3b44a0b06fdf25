//! What a job is done with.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use spacewright_core::train::{Precision, TrainContext};
use tch::{Device, Kind};

use crate::group::Group;

/// A job's context, and where and how exactly its networks are computed.
#[derive(Clone)]
pub struct Context {
    /// Images, operators, scheme.
    pub job: TrainContext,
    /// Where tensors are.
    pub device: Device,
    /// How exactly convolutions and linear layers multiply.
    pub precision: Precision,
    /// The processes that do the job together, if there are several.
    pub group: Option<Arc<Group>>,
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

    /// Whether this process is the one that writes files and judges what was trained.
    pub fn is_first(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.rank() == 0)
    }

    /// Those of the images of a batch that this process computes.
    pub fn share<T: Clone>(&self, batch: Vec<T>) -> Vec<T> {
        match &self.group {
            Some(group) => batch[group.share(batch.len())].to_vec(),
            None => batch,
        }
    }

    /// Where this process keeps what it may need again; the folder is the first one's.
    pub fn scratch(&self, folder: &Path) -> PathBuf {
        match &self.group {
            Some(group) if group.rank() > 0 => folder.join(format!("process-{}", group.rank())),
            _ => folder.to_owned(),
        }
    }
}
