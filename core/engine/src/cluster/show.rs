//! What runs where, for people.

use serde::Serialize;

use super::{ClusterEngine, Job, JobState, exchange::Exchange};
use crate::{engine::Engine, error::Result};

/// A task of a step that was submitted and has left nothing yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskOnCluster {
    /// Name of the step.
    pub step: String,
    /// Name of the task.
    pub task: String,
    /// What the engine calls its job.
    pub job: String,
    /// How the job stands.
    #[serde(flatten)]
    pub state: JobState,
}

impl Engine {
    /// The tasks that run on the study's cluster, or wait there; none where it has no cluster. The cluster
    /// is asked where something was submitted and its results are not all there.
    pub fn tasks_on_cluster(&self) -> Result<Vec<TaskOnCluster>> {
        let mut tasks = Vec::new();
        for step in self.steps() {
            let owner = self.owner(step.as_ref());
            // Without its images a step has no key, and nothing runs for it.
            let (Some(cluster), Ok(key)) = (owner.cluster(), owner.key(step.name())) else {
                continue;
            };
            let exchange = Exchange::of(&owner.folder(), step.name(), &key);
            tasks.extend(tasks_of(cluster, &exchange, step.name())?);
        }
        Ok(tasks)
    }
}

fn tasks_of(
    cluster: &dyn ClusterEngine,
    exchange: &Exchange,
    step: &str,
) -> Result<Vec<TaskOnCluster>> {
    let mut batches = exchange.batches()?;
    batches.retain(|batch| batch.engine == cluster.name());
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let jobs = cluster.jobs(&batches.iter().collect::<Vec<_>>())?;
    let shown = |Job { batch, number, id, state }: Job| {
        let batch = batches.iter().find(|known| known.name == batch)?;
        let task = batch.tasks.get(number)?.clone();
        let over = matches!(state, JobState::Ended { .. });
        (!over).then_some(TaskOnCluster { step: step.to_owned(), task, job: id, state })
    };
    Ok(jobs.into_iter().filter_map(shown).collect())
}
