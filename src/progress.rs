//! Progress on standard error: bars on a terminal, plain lines elsewhere, JSON for programs.

use std::{
    collections::HashMap,
    fmt,
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use spacewright_core::{study::duration, train::Monitor};
use spacewright_engine::{Change, Event, Observer, Silent};

use crate::{
    cli::{Global, ProgressFormat},
    process::{cancelled_by_signal, is_dumb},
    render::json_line,
};

/// An observer that suits the flags and standard error.
pub fn observer(global: &Global) -> Arc<dyn Observer> {
    let shown: Box<dyn Observer> = if global.quiet {
        Box::new(Silent)
    } else if global.progress == ProgressFormat::Json {
        Box::new(JsonLines)
    } else if stderr().is_terminal() && !is_dumb() {
        Box::new(Bars::new())
    } else {
        Box::new(Lines::default())
    };
    Arc::new(Logged(shown))
}

/// Logs tasks before they are shown.
struct Logged(Box<dyn Observer>);

impl Observer for Logged {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::TaskStarted { step, task } => tracing::debug!("{step}: task {task} begins"),
            Event::TaskFinished { step, task, seconds, succeeded } => {
                let end = if *succeeded { "finished" } else { "stopped" };
                tracing::debug!("{step}: task {task} {end} after {}", duration(*seconds));
            }
            Event::StepStopped { step, reason } => tracing::debug!("{step}: stopped: {reason}"),
            _ => {}
        }
        self.0.event(event);
    }
}

/// A bar that counts to `length`; hidden where `quiet`.
pub fn bar(length: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// A bar for work that tells itself how much there is of it; Ctrl-C stops it at its next safe point. It goes when this
/// is dropped.
pub struct Shown {
    bar: ProgressBar,
    cancel: Arc<AtomicBool>,
}

impl Shown {
    /// Of work that begins; hidden where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { bar: bar(0, quiet), cancel: cancelled_by_signal() }
    }

    /// Shows that `done` of `total` units of work are done, and says whether to go on.
    pub fn goes_on(&self, done: usize, total: usize) -> bool {
        self.progress(done, total, "");
        !self.cancelled()
    }
}

impl Monitor for Shown {
    fn progress(&self, done: usize, total: usize, note: &str) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(note.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Units of work per second, or how long one takes where that is longer than a second.
fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => String::new(),
        rate if rate < 1.0 => format!("{} each", duration(1.0 / rate)),
        rate if rate < 10.0 => format!("{rate:.1}/s"),
        rate => format!("{rate:.0}/s"),
    }
}

fn line(text: &str) {
    // Standard error may be closed; that is no reason to stop a study.
    let _ = writeln!(stderr(), "{text}");
}

fn step_line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::StepStarted { step, summary, changes } => {
            let lines = Change::lines(changes).into_iter();
            let reasons: String = lines.map(|line| format!("\n  runs again: {line}")).collect();
            format!("{step}: {summary}{reasons}")
        }
        Event::StepSkipped { step, seconds } => {
            format!("{step}: unchanged, skipped (took {})", duration(*seconds))
        }
        Event::StepFinished { step, seconds, earlier_seconds } if *earlier_seconds > 0.0 => {
            let (now, all) = (duration(seconds - earlier_seconds), duration(*seconds));
            format!("{step}: finished in {now}, {all} with earlier attempts")
        }
        Event::StepFinished { step, seconds, .. } => {
            format!("{step}: finished in {}", duration(*seconds))
        }
        Event::Said { line, .. } => format!("  {line}"),
        _ => return None,
    })
}

struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        Self { all, bars: Mutex::default() }
    }

    fn update(&self, key: &str, done: usize, total: usize, note: String) {
        const TEMPLATE: &str =
            "  {prefix:28!} {bar:24} {pos}/{len} {rate:>12} left {eta:>4}  {msg}";
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(key.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template(TEMPLATE).map(|style| {
                style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
                    let _ = text.write_str(&rate(state.per_sec()));
                })
            });
            let bar = self.all.add(ProgressBar::new(total as u64));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(key.to_owned());
            bar
        });
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(note);
    }

    fn clear(&self, keep: impl Fn(&str) -> bool) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.retain(|key, bar| {
            let kept = keep(key);
            if !kept {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            kept
        });
    }
}

impl Observer for Bars {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Tasks { step, done, total } if *total > 1 => {
                self.update(step, *done, *total, "tasks".into());
            }
            Event::Progress { step, task, done, total, note } => {
                let key = if task.is_empty() { step } else { task };
                self.update(key, *done, *total, note.to_string());
            }
            Event::TaskFinished { task, .. } => self.clear(|key| key != task),
            Event::StepFinished { .. } | Event::StepStopped { .. } => self.clear(|_| false),
            _ => {}
        }
        if let Some(text) = step_line(event) {
            let _ = self.all.println(text);
        }
    }
}

/// Every event as a line of JSON. Other lines, such as warnings, do not begin with a brace.
struct JsonLines;

impl Observer for JsonLines {
    fn event(&self, event: &Event<'_>) {
        if let Ok(text) = json_line(event) {
            line(&text);
        }
    }
}

/// At most one line of progress in so long.
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Lines {
    last: Mutex<Option<Instant>>,
}

impl Observer for Lines {
    fn event(&self, event: &Event<'_>) {
        if let Some(text) = step_line(event) {
            line(&text);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepStarted { .. } => *last = Some(Instant::now()),
            Event::Progress { task, done, total, note, .. }
                if last.is_none_or(|last| last.elapsed() >= INTERVAL) =>
            {
                *last = Some(Instant::now());
                let task = if task.is_empty() { String::new() } else { format!("{task}: ") };
                line(&format!("  {task}{done} of {total}, {note}"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_shown_goes_on_until_it_is_cancelled() {
        let cancel = Arc::<AtomicBool>::default();
        let shown = Shown { bar: bar(0, true), cancel: cancel.clone() };
        let state = || (shown.bar.position(), shown.bar.length(), shown.bar.message());
        shown.progress(1, 4, "loss 0.5");
        assert_eq!(state(), (1, Some(4), "loss 0.5".into()));
        assert!(shown.goes_on(2, 5));
        assert_eq!(state(), (2, Some(5), String::new()));
        cancel.store(true, Ordering::Relaxed);
        assert!(shown.cancelled() && !shown.goes_on(3, 5));
    }

    #[test]
    fn slow_work_has_a_time_instead_of_a_rate() {
        assert_eq!([0.0, 0.25, 7.25, 123.4].map(rate), ["", "4.0 s each", "7.2/s", "123/s"]);
    }
}
