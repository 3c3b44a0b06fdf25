//! How far a step has come, and how long it will take: from what it tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{events::Event, store::TimedEvent};

/// A task that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningTask {
    /// Its name; empty where it is the step itself.
    pub task: String,
    /// Units of work done.
    pub done: usize,
    /// Units of work in all.
    pub total: usize,
    /// A short state, such as a loss.
    pub note: String,
}

impl RunningTask {
    /// The share of its work that is done, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.done.min(self.total) as f64 / self.total.max(1) as f64
    }
}

/// How far the latest attempt at a step has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Tasks that are finished.
    pub done: usize,
    /// Tasks of the present list of the step.
    pub total: usize,
    /// Those that go on, in the order of their names.
    pub running: Vec<RunningTask>,
    /// Seconds that the present list of tasks will take from its last sign of life on, if it goes on as it
    /// has in this attempt; none where nothing is known of its pace.
    pub seconds_left: Option<f64>,
}

impl Progress {
    /// The share of the present list of tasks that is done, from 0 to 1.
    pub fn share(&self) -> f64 {
        let running: f64 = self.running.iter().map(RunningTask::share).sum();
        ((self.done as f64 + running) / self.total.max(1) as f64).min(1.0)
    }
}

/// Follows the events of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Follower {
    done: usize,
    total: usize,
    running: BTreeMap<String, RunningTask>,
    /// When the present list of tasks was first heard of in this attempt, and its share then.
    start: Option<(f64, f64)>,
    last: f64,
}

impl Follower {
    /// Takes the next event.
    pub fn take(&mut self, TimedEvent { time, event }: &TimedEvent) {
        self.last = *time;
        match event {
            Event::StepStarted { .. } => *self = Self { last: *time, ..Self::default() },
            Event::Tasks { done, total, .. } => {
                // Another list begins where fewer are done, or there are others.
                if *total != self.total || *done < self.done {
                    self.running.clear();
                    self.start = None;
                }
                (self.done, self.total) = (*done, *total);
            }
            Event::Progress { task, done, total, note, .. } => {
                let (done, total, note) = (*done, *total, note.to_string());
                let task = task.to_string();
                self.running.insert(task.clone(), RunningTask { task, done, total, note });
            }
            Event::TaskFinished { task, .. } => {
                self.running.remove(task.as_ref());
            }
            _ => return,
        }
        if self.start.is_none() && !matches!(event, Event::StepStarted { .. }) {
            self.start = Some((*time, self.share()));
        }
    }

    fn share(&self) -> f64 {
        self.progress_without_time().share()
    }

    fn progress_without_time(&self) -> Progress {
        // What is told of the step itself is no task of a list.
        let listed = self.total > 0;
        let tasks = self.running.values().filter(|task| !listed || !task.task.is_empty());
        Progress {
            done: self.done,
            total: self.total.max(1),
            running: tasks.cloned().collect(),
            seconds_left: None,
        }
    }

    /// How far the step has come.
    pub fn progress(&self) -> Progress {
        let progress = self.progress_without_time();
        let share = progress.share();
        let seconds_left = self.start.and_then(|(since, from)| {
            let gained = share - from;
            // At first the pace is that of what every task begins with.
            (gained > 0.005).then(|| (1.0 - share) / gained * (self.last - since))
        });
        Progress { seconds_left, ..progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(events: &[(f64, Event<'static>)]) -> Progress {
        let mut follower = Follower::default();
        for (time, event) in events {
            follower.take(&TimedEvent { time: *time, event: event.clone() });
        }
        follower.progress()
    }

    fn tasks(done: usize, total: usize) -> Event<'static> {
        Event::Tasks { step: "s".into(), done, total }
    }

    fn progress(task: &'static str, done: usize, total: usize) -> Event<'static> {
        Event::Progress { step: "s".into(), task: task.into(), done, total, note: "".into() }
    }

    fn finished(task: &'static str) -> Event<'static> {
        let (seconds, succeeded) = (1.0, true);
        Event::TaskFinished { step: "s".into(), task: task.into(), seconds, succeeded }
    }

    fn started() -> Event<'static> {
        Event::StepStarted { step: "s".into(), summary: "".into(), changes: Vec::new().into() }
    }

    #[test]
    fn a_list_of_tasks_counts_those_that_go_on() {
        let found = followed(&[
            (0.0, started()),
            (10.0, tasks(0, 4)),
            (20.0, finished("a")),
            (20.0, tasks(1, 4)),
            (30.0, progress("b", 50, 100)),
        ]);
        assert_eq!((found.done, found.total, found.running.len()), (1, 4, 1));
        assert_eq!(found.share(), 0.375);
        // Three eighths have taken 20 seconds.
        assert!((found.seconds_left.unwrap() - 20.0 / 3.0 * 5.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn what_earlier_attempts_finished_says_nothing_of_the_pace() {
        let found = followed(&[
            (0.0, tasks(0, 4)),
            (5.0, started()),
            (10.0, tasks(3, 4)),
            (20.0, progress("d", 50, 100)),
        ]);
        assert_eq!((found.share(), found.seconds_left), (0.875, Some(10.0)));
    }

    #[test]
    fn another_list_begins_anew() {
        let events = [(0.0, tasks(2, 3)), (1.0, progress("c", 1, 2)), (2.0, tasks(0, 1))];
        let found = followed(&events);
        assert_eq!((found.share(), found.seconds_left, found.running.len()), (0.0, None, 0));
    }

    #[test]
    fn a_step_without_tasks_tells_of_itself() {
        let found = followed(&[(0.0, progress("", 0, 10)), (1.0, progress("", 5, 10))]);
        assert_eq!((found.share(), found.seconds_left), (0.5, Some(1.0)));
    }
}
