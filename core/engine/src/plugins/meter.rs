//! What calls of a plugin cost.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;

/// The cost of one kind of call so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CallCost {
    /// How many calls.
    pub calls: u64,
    /// Nanoseconds of all of them, conversion included.
    pub total_ns: u64,
    /// WebAssembly instructions of all of them; 0 for native plugins.
    pub fuel: u64,
}

/// The costs of all calls, by name.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<&'static str, CallCost>>);

impl Meter {
    /// Counts one call.
    pub fn count(&self, call: &'static str, time: Duration, fuel: u64) {
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = costs.entry(call).or_default();
        cost.calls += 1;
        cost.total_ns += time.as_nanos() as u64;
        cost.fuel += fuel;
    }

    /// The costs so far.
    pub fn costs(&self) -> BTreeMap<&'static str, CallCost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
