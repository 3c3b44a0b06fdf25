//! Steps with a heading, a clock, and a table at the end.

use anyhow::Result;
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

type Work<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// A list of steps that run in order until one fails.
#[derive(Default)]
pub struct Steps<'a> {
    steps: Vec<(&'static str, Work<'a>)>,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    NotRun,
}

impl<'a> Steps<'a> {
    /// Adds a step.
    pub fn add(&mut self, name: &'static str, work: impl FnOnce() -> Result<()> + 'a) {
        self.steps.push((name, Box::new(work)));
    }

    /// Runs the steps, with headings and times on standard error; returns the first failure.
    ///
    /// The table at the end also names the steps that a failure kept from running.
    pub fn run(self) -> Result<()> {
        let mut failure = None;
        let mut outcomes = Vec::new();
        for (name, work) in self.steps {
            if failure.is_some() {
                outcomes.push((name, Outcome::NotRun));
                continue;
            }
            eprintln!("\n== {name}");
            let start = Instant::now();
            let result = work();
            let time = start.elapsed();
            let word = if result.is_ok() { "done" } else { "failed" };
            eprintln!("== {name}: {word} in {:.1} s", time.as_secs_f64());
            outcomes.push(match result {
                Ok(()) => (name, Outcome::Passed(time)),
                Err(error) => {
                    failure = Some(error.context(format!("the part `{name}` failed")));
                    (name, Outcome::Failed(time))
                }
            });
        }
        eprint!("\n{}", table(&outcomes));
        failure.map_or(Ok(()), Err)
    }
}

fn table(outcomes: &[(&str, Outcome)]) -> String {
    let mut text = format!("{:<28}{:>9}\n", "part", "seconds");
    let mut total = Duration::ZERO;
    for (name, outcome) in outcomes {
        let (time, note) = match outcome {
            Outcome::Passed(time) => (*time, ""),
            Outcome::Failed(time) => (*time, "  failed"),
            Outcome::NotRun => {
                let _ = writeln!(text, "{name:<28}{:>9}  not run", "-");
                continue;
            }
        };
        total += time;
        let _ = writeln!(text, "{name:<28}{:>9.1}{note}", time.as_secs_f64());
    }
    let _ = writeln!(text, "{:<28}{:>9.1}", "total", total.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::cell::Cell;

    #[test]
    fn a_failure_stops_the_steps_after_it() {
        let reached = Cell::new(false);
        let mut steps = Steps::default();
        steps.add("first", || bail!("broken"));
        steps.add("second", || {
            reached.set(true);
            Ok(())
        });
        let error = steps.run().unwrap_err();
        assert_eq!(format!("{error:#}"), "the part `first` failed: broken");
        assert!(!reached.get());
    }

    #[test]
    fn the_table_names_what_did_not_run() {
        let second = Duration::from_secs(1);
        let text = table(&[
            ("one", Outcome::Passed(second)),
            ("two", Outcome::Failed(second)),
            ("three", Outcome::NotRun),
        ]);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["one", "1.0"]);
        assert_eq!(lines[2], ["two", "1.0", "failed"]);
        assert_eq!(lines[3], ["three", "-", "not", "run"]);
        assert_eq!(lines[4], ["total", "2.0"]);
    }
}
