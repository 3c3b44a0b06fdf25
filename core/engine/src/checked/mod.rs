//! What stands between the engine and a plugin's items: answers to questions (graphs, scales,
//! latencies, scores, files, outputs, times) are checked, whichever way the plugin was carried. A
//! bad answer is an error that names plugin, version, call and item. What a plugin says of itself
//! is checked where it is loaded (`plugins::claims`).
//!
//! Some questions are asked twice, as the same question must get the same answer: of each item
//! the first call, the second, the fourth, the eighth and so on, one question of each.

mod latency;
mod operators;
mod quantizer;
mod runtime;
mod scorer;
mod target;

use std::{
    fmt::Display,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use spacewright_core::call::{CallError, ContractError, Fault, PluginVersion, Reason};

pub(crate) use latency::CheckedSource;
pub(crate) use operators::CheckedOperators;
pub(crate) use quantizer::CheckedQuantizer;
pub(crate) use scorer::CheckedScorer;
pub(crate) use target::CheckedTarget;

use crate::origin::Origin;

/// Names the culprit of bad answers, and decides which questions are asked twice.
struct Watch {
    origin: Arc<PluginVersion>,
    is_loaded: bool,
    calls: AtomicU64,
}

impl Watch {
    fn new(origin: &Origin) -> Self {
        let is_loaded = origin.is_loaded();
        Self { origin: origin.named(), is_loaded, calls: AtomicU64::new(0) }
    }

    /// What is wrong with the answer to `call`.
    fn fault(&self, call: &str, fault: Fault) -> CallError {
        CallError { origin: Some(self.origin.clone()), ..CallError::new(call, fault) }
    }

    /// An answer to `call` that the contract does not allow; `item` names the question.
    fn bad(&self, call: &str, item: impl Display, reason: impl Display) -> CallError {
        self.fault(call, Fault::Bad(reason.to_string())).about(item)
    }

    /// Adds plugin, version and call to an error of a loaded plugin. What a built-in one says
    /// stays as it is.
    fn with_origin<E: ContractError>(&self, call: &str, mut error: E) -> E {
        match error.reason_mut() {
            Some(Reason::Call(error)) => {
                error.origin.get_or_insert_with(|| self.origin.clone());
            }
            Some(reason @ Reason::Said(_)) if self.is_loaded => {
                if let Reason::Said(sentence) = mem::replace(reason, Reason::from("")) {
                    *reason = self.fault(call, Fault::Refused(sentence)).into();
                }
            }
            _ => {}
        }
        error
    }

    /// That there are as many answers as questions.
    fn count(&self, call: &str, answers: usize, questions: usize) -> Result<(), CallError> {
        if answers == questions {
            return Ok(());
        }
        Err(self.fault(call, Fault::Count { answers, questions }))
    }

    /// Whether to ask a question of this call again.
    fn asks_twice(&self) -> bool {
        (self.calls.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }

    /// That the same question got the same answer.
    fn same(&self, call: &str, item: impl Display, equal: bool) -> Result<(), CallError> {
        if equal {
            return Ok(());
        }
        Err(self.fault(call, Fault::Changed).about(item))
    }
}
