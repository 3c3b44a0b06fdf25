//! How a run stands, in words and bars.

use maud::{Markup, html};
use spacewright_core::study::duration;

use super::{LiveRunData, LiveRunRow, LiveTask, Standing, StepStanding};

impl Standing {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Resting => "resting",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::New => "new",
        }
    }

    /// The class of its colour.
    fn class(self) -> &'static str {
        match self {
            Self::Running => "c0",
            Self::Finished => "c2",
            Self::Resting | Self::New => "c4",
            Self::Stopped => "c1",
            Self::Failed | Self::Killed => "c5",
        }
    }
}

/// The word of a standing, with its colour.
pub fn badge(standing: Standing) -> Markup {
    html! { span.badge.(standing.class()) { (standing.word()) } }
}

/// A time that the reader's clock shows.
pub fn time(seconds: f64) -> Markup {
    let text = utc(seconds as i64);
    html! { time datetime=(text) { (text) } }
}

/// Seconds since 1970 as `2026-11-28T02:41:41Z` (days to dates by the Gregorian rule, whose years begin in
/// March so that the day of a leap year comes last).
fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + 400 * era + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A bar that is filled up to a share.
pub fn bar(label: &str, share: f64) -> Markup {
    let percent = format!("{:.1}", 100.0 * share.clamp(0.0, 1.0));
    html! { progress max="100" value=(percent) aria-label=(label) { (percent) " %" } }
}

/// How long it takes, roughly.
pub fn left(seconds: Option<f64>) -> Markup {
    html! {
        @if let Some(seconds) = seconds {
            "about " @if seconds < 60.0 { (format!("{seconds:.0} s")) } @else { (duration(seconds)) } " left"
        }
    }
}

/// The step that a run is at: `train, step 6 of 10`.
pub fn place(row: &LiveRunRow) -> String {
    let Some(step) = &row.step else { return String::new() };
    match row.steps.iter().position(|(name, _)| name == step) {
        Some(at) => format!("{step}, step {} of {}", at + 1, row.steps.len()),
        None => step.clone(),
    }
}

/// How a run stands: its steps, what goes on, and what was said.
pub fn now(data: &LiveRunData) -> Markup {
    let LiveRunData { row, tasks, running, reason, lines, .. } = data;
    html! {
        p.standing {
            (badge(row.standing)) " "
            @match row.standing {
                Standing::Running => { (place(row)) },
                Standing::New => "No step was begun.",
                Standing::Finished => "All steps are finished.",
                Standing::Resting => { "Nobody works on it; the last step that ran: " (place(row)) "." },
                Standing::Failed => { "At " (place(row)) "." },
                Standing::Stopped => {
                    "At " (place(row)) ". The command that ran it goes on from there."
                },
                Standing::Killed => {
                    "At " (place(row)) ": its process ended without a word. The command that ran it goes on \
                     from the last checkpoint."
                },
            }
            @if row.heard > 0.0 { span.note { " Last heard of: " (time(row.heard)) } }
        }
        ol.steps {
            @for (step, standing) in &row.steps {
                li.(class(*standing)) title=(word(*standing)) { (step) }
            }
        }
        @if row.standing == Standing::Running { (progress(row, *tasks, running)) }
        @if let Some(reason) = reason { p.warning { (reason) } }
        @if !lines.is_empty() {
            pre.lines { @for line in lines { (line) "\n" } }
        }
    }
}

fn progress(row: &LiveRunRow, (done, all): (usize, usize), running: &[LiveTask]) -> Markup {
    let step = row.step.as_deref().unwrap_or_default();
    html! {
        div.progress {
            div.whole {
                span { (step) }
                (bar(step, row.share.unwrap_or(0.0)))
                span.note {
                    @if all > 1 { (done) " of " (all) " tasks " }
                    (left(row.seconds_left))
                }
            }
            @for task in running.iter().filter(|task| !task.task.is_empty() || running.len() == 1) {
                div {
                    span { (task.task) }
                    (bar(&task.task, task.done as f64 / task.total.max(1) as f64))
                    span.note { (task.done) " of " (task.total) " · " (task.note) }
                }
            }
        }
    }
}

fn class(standing: StepStanding) -> &'static str {
    match standing {
        StepStanding::Finished => "finished",
        StepStanding::Running => "running",
        StepStanding::Begun => "begun",
        StepStanding::Ahead => "ahead",
    }
}

fn word(standing: StepStanding) -> &'static str {
    match standing {
        StepStanding::Finished => "finished",
        StepStanding::Running => "running",
        StepStanding::Begun => "begun, not finished",
        StepStanding::Ahead => "not begun",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_bar_is_never_overfull() {
        assert!(bar("x", 1.7).into_string().contains("value=\"100.0\""));
    }
}
