//! How a head hands the tasks of a list to the cluster.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::Value;
use spacewright_core::{
    study::StepError,
    train::{CurvePoint, Usage},
};

use super::{Batch, ClusterEngine, ClusterSettings, exchange::Exchange, round::Round};
use crate::{
    error::Result,
    events::{Event, Observer},
};

/// How long an engine may give no answer before the head stops.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How the tasks of a list are handed to the cluster.
pub(crate) struct Dispatch<'a> {
    pub cluster: &'a dyn ClusterEngine,
    pub settings: &'a ClusterSettings,
    /// What the nodes have to know is in it.
    pub exchange: Exchange,
    /// Runs a task, whose name follows.
    pub command: Vec<String>,
    /// Environment variables of the head that nodes need as well.
    pub variables: Vec<(String, String)>,
    /// What batches are called, besides what makes each name unique.
    pub label: String,
    /// See [`PATIENCE`].
    pub patience: Duration,
    pub step: &'static str,
    pub observer: &'a dyn Observer,
    /// Set where the user has asked to stop.
    pub cancel: &'a AtomicBool,
}

/// A result that a node has left and that is as it left it.
pub(crate) struct Taken {
    pub task: String,
    pub result: Value,
    /// The output, where there is one.
    pub output: PathBuf,
    pub seconds: f64,
    pub usage: Usage,
    pub curve: Vec<CurvePoint>,
}

impl Dispatch<'_> {
    /// Has tasks of the step with this key run, until `take` has got all results, one has failed, or the
    /// user has asked to stop. What was submitted then and has not ended is cancelled.
    pub fn run(
        &self,
        key: &str,
        tasks: &[&str],
        take: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<(), StepError> {
        let mut round = Round::new(self, key, tasks);
        let outcome = round.work(take);
        round.withdraw();
        outcome
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn say(&self, line: &str) {
        self.observer.event(&Event::Said { step: self.step.into(), line: line.into() });
    }
}

/// Cancels what was submitted for a step under other keys than this one, and removes what it left.
pub(super) fn clear(cluster: &dyn ClusterEngine, run: &Path, step: &str, key: &str) -> Result<()> {
    let own = Exchange::of(run, step, key);
    for exchange in Exchange::all(run, step)? {
        if exchange.folder() == own.folder() {
            continue;
        }
        for batch in exchange.batches()? {
            cancel(cluster, &batch, &(0..batch.tasks.len()).collect::<Vec<_>>());
        }
        exchange.remove()?;
    }
    Ok(())
}

/// Cancels jobs of a batch; whether that was done. Jobs that go on do no harm.
pub(super) fn cancel(cluster: &dyn ClusterEngine, batch: &Batch, numbers: &[usize]) -> bool {
    let name = &batch.name;
    if batch.engine != cluster.name() {
        tracing::warn!("jobs `{name}` of {} may go on; cancel them there", batch.engine);
        return true;
    }
    match cluster.cancel(batch, numbers) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("jobs `{name}` cannot be cancelled: {error}");
            false
        }
    }
}
