//! How runtimes on this machine are measured: the same discipline for all of them.
//!
//! * A runtime is a [`Bench`]: it opens networks as [`Timed`] models.
//! * [`PartLatency`] measures graphs without weights, as parts whose latencies add up.
//! * [`file()`] measures a model file.
//! * [`library`] finds a runtime's library.
//! * `testing`, a feature, has random networks and a plain evaluation of them, to check a runtime
//!   with.
//!
//! The minimum over rounds is the estimate; between rounds a small model tells whether other work
//! disturbs the machine, and no two timings of a process run at once, whatever the runtimes.

pub mod cpu;
mod file;
pub mod library;
mod parts;
mod quiet;
mod synthetic;
#[cfg(feature = "testing")]
pub mod testing;
mod timing;

use std::sync::{Mutex, PoisonError};

use spacewright_core::{
    quant::{FloatNetwork, IntegerNetwork},
    target::TargetError,
};

pub use file::file;
pub use parts::{PartLatency, WRAP};

/// A model that can be run again and again on inputs that are always the same.
pub trait Timed: Send {
    /// Runs it once; only this is timed.
    fn run(&mut self) -> Result<(), TargetError>;
}

/// A runtime that opens networks to have them timed.
pub trait Bench: Send + Sync {
    /// Name of the target that is measured.
    fn target(&self) -> &str;

    /// Name and version of the runtime.
    fn runtime(&self) -> String;

    /// With how many threads it runs a network.
    fn threads(&self) -> usize {
        1
    }

    /// A network in floating point.
    fn float(&self, network: &FloatNetwork) -> Result<Box<dyn Timed>, TargetError>;

    /// A network in integers.
    fn integer(&self, network: &IntegerNetwork) -> Result<Box<dyn Timed>, TargetError>;
}

/// Serializes all timings of the process: two at once would disturb each other.
static CLOCK: Mutex<()> = Mutex::new(());

/// Adds one round of timings; `ran` is called after each run.
fn sample(
    model: &mut dyn Timed,
    samples: &mut timing::Samples,
    ran: &dyn Fn(),
) -> Result<(), TargetError> {
    let _alone = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    samples.round(|| model.run(), ran)
}
