//! What stands between the engine and a plugin's items: every answer is checked, whichever way
//! the plugin was carried. A bad answer is an error that names plugin, version, call and item.
//!
//! Some questions are asked twice, as the same question must get the same answer: of each item
//! the first call, the second, the fourth, the eighth and so on, one question of each.

mod latency;
mod operators;
mod quantizer;
mod scorer;
mod target;

use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) use latency::CheckedSource;
pub(crate) use operators::CheckedOperators;
pub(crate) use quantizer::CheckedQuantizer;
pub(crate) use scorer::CheckedScorer;
pub(crate) use target::CheckedTarget;

use crate::origin::{Carrier, Origin};

/// Names the culprit of bad answers, and decides which questions are asked twice.
struct Watch {
    origin: Origin,
    calls: AtomicU64,
}

impl Watch {
    fn new(origin: &Origin) -> Self {
        Self { origin: origin.clone(), calls: AtomicU64::new(0) }
    }

    /// What is wrong with the answer to `call`.
    fn wrong(&self, call: &str, reason: impl Display) -> String {
        format!("{}, `{call}`: {reason}", self.origin)
    }

    /// A refusal of the plugin itself, or of its carrier: of a loaded plugin it does not say whose
    /// it is, and not always of which call.
    fn of(&self, call: &str, reason: String) -> String {
        match (self.origin.carrier, reason.starts_with('`')) {
            (Carrier::BuiltIn, _) => reason,
            (_, true) => format!("{}, {reason}", self.origin),
            (_, false) => self.wrong(call, reason),
        }
    }

    /// That there are as many answers as questions.
    fn count(&self, call: &str, answers: usize, questions: usize) -> Result<(), String> {
        if answers == questions {
            return Ok(());
        }
        Err(self.wrong(call, format!("{answers} answers to {questions} questions")))
    }

    /// Whether to ask a question of this call again.
    fn asks_twice(&self) -> bool {
        (self.calls.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }

    /// That the same question got the same answer.
    fn same(&self, call: &str, item: impl Display, equal: bool) -> Result<(), String> {
        if equal {
            return Ok(());
        }
        Err(self.wrong(call, format!("{item}: a different answer when asked again")))
    }
}
