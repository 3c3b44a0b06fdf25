//! Runs studies: study file, run store, resume, events, caches.
//!
//! Knows no plugin by name, and prints nothing.

mod data_set;
mod document;
mod error;
mod events;
mod files;
mod hash;
pub mod hyperspace;
mod registry;
mod sections;
mod study;
mod suggest;
mod synthetic;

pub use data_set::{DataKind, DataSettings, LoadedData};
pub use error::{EngineError, ErrorKind, Result};
pub use events::{Event, Observer, Silent};
pub use registry::{Registry, TrainerFactory};
pub use sections::{documented_defaults, engine_sections};
pub use study::{Overrides, Study};
pub use suggest::{closest, unknown};
