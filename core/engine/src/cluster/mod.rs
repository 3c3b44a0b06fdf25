//! Tasks on the machines of a site: through its own engine, Slurm or Ray, over a folder that all
//! machines see.
//!
//! The head writes what a step is, and what its tasks may read, into the run's folder
//! ([`exchange`]), submits a job for each task ([`ClusterEngine`]), and looks for results
//! ([`dispatch`], [`round`]). A job runs the step up to its task, and leaves what came of it in the same folder
//! ([`node`]). Only the head opens the run's data base: SQLite on network file systems loses data.
//!
//! Nothing rests on a job's word. What it leaves is checked and taken over by the head; a job that ends
//! without a result is submitted again; of a task that is done twice, the first result counts.

mod dispatch;
mod engine;
mod error;
mod exchange;
mod node;
mod pending;
mod prepare;
mod ray;
mod replay;
mod round;
mod settings;
mod shell;
mod show;
mod silence;
mod slurm;

pub(crate) use dispatch::{Dispatch, Taken};
pub use engine::{Batch, ClusterEngine, Job, JobState, Submission};
pub use error::ClusterError;
pub(crate) use exchange::Exchange;
pub use node::NodeTask;
pub(crate) use prepare::prepare;
pub use settings::{ClusterKind, ClusterSettings};
pub use show::TaskOnCluster;
