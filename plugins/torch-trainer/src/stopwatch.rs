//! What the time of a training goes to.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use spacewright_core::train::TrainingPhases;

/// A part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Waiting for images.
    Data,
    /// Outputs and losses.
    Forward,
    /// Gradients.
    Backward,
    /// New parameters.
    Optimizer,
}

/// Adds up the time that each part takes.
#[derive(Debug)]
pub struct Stopwatch {
    start: Cell<Instant>,
    spent: [Cell<Duration>; 4],
}

impl Stopwatch {
    /// From now on.
    pub fn new() -> Self {
        Self { start: Cell::new(Instant::now()), spent: Default::default() }
    }

    /// Forgets what was added up.
    pub fn restart(&self) {
        self.start.set(Instant::now());
        self.spent.iter().for_each(|spent| spent.set(Duration::ZERO));
    }

    /// Does what belongs to a part.
    pub fn time<T>(&self, part: Part, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let spent = &self.spent[part as usize];
        spent.set(spent.get() + start.elapsed());
        result
    }

    /// Adds the time of work that was done on several threads, of which each gives the seconds of its parts;
    /// they share the time that went by.
    pub fn add(&self, elapsed: Duration, parts: &[(Part, Duration)]) {
        let all: f64 = parts.iter().map(|(_, spent)| spent.as_secs_f64()).sum();
        for (part, time) in parts {
            let share = time.as_secs_f64() / all.max(f64::MIN_POSITIVE);
            let spent = &self.spent[*part as usize];
            spent.set(spent.get() + elapsed.mul_f64(share));
        }
    }

    /// Seconds since the start, and the shares of the parts.
    pub fn read(&self) -> (f64, TrainingPhases) {
        let all = self.start.get().elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let share = |part: Part| self.spent[part as usize].get().as_secs_f64() / all;
        let [data, forward, backward, optimizer] =
            [Part::Data, Part::Forward, Part::Backward, Part::Optimizer].map(share);
        let overhead = (1.0 - data - forward - backward - optimizer).max(0.0);
        (all, TrainingPhases { data, forward, backward, optimizer, overhead })
    }

    /// Tells whoever looks at debug messages.
    pub fn tell(&self, what: &str) {
        let (seconds, phases) = self.read();
        let TrainingPhases { data, forward, backward, optimizer, overhead } = phases;
        let [data, forward, backward, optimizer, overhead] =
            [data, forward, backward, optimizer, overhead].map(|share| 100.0 * share);
        tracing::debug!(
            "{what}: of {seconds:.0} s, {data:.2} % went by waiting for images, {forward:.0} % forward, \
             {backward:.0} % backward, {optimizer:.1} % for new parameters, {overhead:.1} % for all else"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_parts() {
        let watch = Stopwatch::new();
        watch.time(Part::Backward, || std::thread::sleep(Duration::from_millis(30)));
        let (_, phases) = watch.read();
        assert!(phases.backward > 0.5 && phases.forward == 0.0 && phases.data == 0.0);
        let TrainingPhases { data, forward, backward, optimizer, overhead } = phases;
        assert!((data + forward + backward + optimizer + overhead - 1.0).abs() < 1e-9);
        watch.restart();
        assert_eq!(watch.read().1.backward, 0.0);
    }
}
