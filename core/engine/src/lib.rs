//! Runs studies: study file, run store, resume, events, caches.
//!
//! Knows no plugin by name, but for the defaults of a study, and prints nothing.
//!
//! ```no_run
//! use spacewright_engine::{
//!     Engine, EngineOptions, Inputs, Overrides, Registry, Study, default_home,
//! };
//!
//! # fn main() -> spacewright_engine::Result<()> {
//! let registry = Registry::built_in()?;
//! let study = Study::read("study.toml".as_ref(), &registry, &Overrides::default())?;
//! let options = EngineOptions::new(default_home()?);
//! let engine = Engine::open(study, &registry, options)?;
//! engine.run_step("measure", Inputs::Run)?;
//! for status in engine.status()? {
//!     assert_eq!(engine.tasks(&status.step)?.len(), status.tasks);
//! }
//! # Ok(())
//! # }
//! ```

mod checked;
mod cluster;
mod compute;
mod context;
mod data;
mod database;
mod engine;
mod error;
mod events;
mod files;
mod hash;
pub mod home;
pub mod hyperspace;
pub mod import;
mod keys;
mod latency_cache;
mod live;
mod lock;
mod origin;
pub mod plugins;
mod recorder;
mod registry;
pub mod room;
mod run;
mod runs;
mod scratch;
mod seal;
mod store;
mod study;
mod study_target;
mod suggest;
mod supported;
mod tasks;

pub use cluster::{
    Batch, ClusterEngine, ClusterError, ClusterKind, ClusterSettings, Job, JobState, NodeTask,
    Submission, TaskOnCluster,
};
pub use compute::{Chosen, ComputeSettings, DeviceChoice, Threads, UnknownChoice};
pub use data::{DataKind, DataSettings, Described, OnBadImage, StudyData};
pub use engine::{Engine, EngineOptions, available_threads};
pub use error::{EngineError, ErrorKind, Result, Subject};
pub use events::{Event, Observer, Silent};
pub use files::write_atomically;
pub use home::default_home;
pub use keys::Change;
pub use latency_cache::LatencyCache;
pub use live::{LiveRun, Progress, RunNow, RunState, RunVersion, RunningTask};
pub use origin::{Carrier, Origin};
pub use registry::{Registry, TrainerFactory};
pub use run::{Inputs, StepOutcome, StepState, StepStatus};
pub use runs::{RunRecord, StepRecord, list_runs};
pub use store::{Attempt, AttemptOutcome, StepHistory, TaskCurve, TimedEvent};
pub use study::{FieldOverride, Overrides, Study, engine_sections, study_schema};
pub use study_target::StudyTarget;
