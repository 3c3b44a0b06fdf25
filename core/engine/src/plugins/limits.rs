//! What plugins may use: instructions, time, memory, size of answers.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

/// Bytes of all answers in which a plugin says who it is and what it offers, each.
pub(super) const DESCRIPTION_BYTES: usize = 256 << 10;

/// Bytes of an answer besides those of its items, such as an error.
const ANSWER_BYTES: usize = 64 << 10;

/// What a plugin may use. A plugin that exceeds a limit is stopped with an error that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// WebAssembly instructions for starting, and for all that it says of itself, together.
    pub start_fuel: u64,
    /// Time for the same.
    pub start_time: Duration,
    /// WebAssembly instructions for every other call …
    pub call_fuel: u64,
    /// … and for each item of its question, such as a graph or a space.
    pub item_fuel: u64,
    /// Time for every other call …
    pub call_time: Duration,
    /// … and for each item of its question.
    pub item_time: Duration,
    /// Time from the moment that the plugin is loaded, for all of its calls; without end if `None`.
    pub total_time: Option<Duration>,
    /// Bytes of memory, of all instances of the plugin together.
    pub memory: usize,
    /// Bytes of one answer. Answers of components have lower limits by kind and number of items.
    pub answer: usize,
    /// Bytes of stack.
    pub stack: usize,
    /// Time for compiling, where a process of its own does it.
    pub compile_time: Duration,
    /// Bytes of memory for the same.
    pub compile_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_fuel: 2_000_000_000,
            start_time: Duration::from_secs(2),
            call_fuel: 100_000_000_000,
            item_fuel: 1_000_000_000,
            call_time: Duration::from_secs(60),
            item_time: Duration::from_secs(1),
            total_time: None,
            memory: 1 << 30,
            answer: 64 << 20,
            stack: 1 << 20,
            compile_time: Duration::from_secs(30),
            compile_memory: 192 << 20,
        }
    }
}

impl Limits {
    /// For plugins that are only looked at, whoever made them: seconds, and little memory.
    pub fn inspection() -> Self {
        let limits = Self { memory: 128 << 20, answer: 8 << 20, ..Self::default() };
        limits.in_total(Duration::from_millis(2500))
    }

    /// For plugins that are tried before they are used: a minute or two.
    pub fn trial() -> Self {
        Self::default().in_total(Duration::from_secs(120))
    }

    fn in_total(self, time: Duration) -> Self {
        Self { total_time: Some(time), ..self }
    }

    /// For starting and for all that the plugin says of itself.
    pub(super) fn start(&self) -> Allowance {
        Allowance::new(self.start_fuel, self.start_time, self.answer.min(DESCRIPTION_BYTES))
    }

    /// For a call about `items` items, each of which may be answered with `item_bytes`.
    pub(super) fn call(&self, items: usize, item_bytes: usize) -> Allowance {
        let count = u32::try_from(items).unwrap_or(u32::MAX);
        Allowance::new(
            self.call_fuel.saturating_add(self.item_fuel.saturating_mul(count.into())),
            self.call_time.saturating_add(self.item_time.saturating_mul(count)),
            self.answer.min(items.saturating_mul(item_bytes).saturating_add(ANSWER_BYTES)),
        )
    }
}

/// What may still be used of instructions and time, by one call or by several together.
#[derive(Debug)]
pub(super) struct Allowance {
    left: Mutex<(u64, Duration)>,
    /// What it was at the beginning, for errors.
    pub fuel: u64,
    /// What it was at the beginning, for errors.
    pub time: Duration,
    /// Bytes of each answer.
    pub answer: usize,
}

impl Allowance {
    fn new(fuel: u64, time: Duration, answer: usize) -> Self {
        Self { left: Mutex::new((fuel, time)), fuel, time, answer }
    }

    /// Instructions and time that are left.
    pub fn left(&self) -> (u64, Duration) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away what was used since `start`.
    pub fn spend(&self, fuel: u64, start: Instant) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.0 = left.0.saturating_sub(fuel);
        left.1 = left.1.saturating_sub(start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_may_use_more_the_more_they_are_asked() {
        let limits = Limits::default();
        let [one, many] = [1, 5000].map(|items| limits.call(items, 100));
        assert_eq!(many.time - one.time, limits.item_time * 4999);
        assert_eq!(many.fuel - one.fuel, limits.item_fuel * 4999);
        assert_eq!(many.answer - one.answer, 100 * 4999);
        assert_eq!(limits.call(usize::MAX, usize::MAX).answer, limits.answer);
    }

    #[test]
    fn what_is_spent_is_gone_for_later_calls() {
        let allowance = Limits::default().start();
        let (fuel, time) = allowance.left();
        allowance.spend(10, Instant::now());
        assert_eq!(allowance.left().0, fuel - 10);
        assert!(allowance.left().1 < time);
        allowance.spend(u64::MAX, Instant::now());
        assert_eq!(allowance.left().0, 0);
    }
}
