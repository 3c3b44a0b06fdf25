//! Where the time went.

use maud::{Markup, html};
use spacewright_core::study::duration;

use super::{Part, table};
use crate::{
    chart::{Axis, Csv, Figure, Scale, at},
    data::{PageAttempt, PageStep},
    number::Shown,
};

const WIDTH: f64 = 640.0;
const LEFT: f64 = 92.0;
const ROW: f64 = 24.0;

pub fn part(history: &[PageStep]) -> Part {
    let attempts = || history.iter().flat_map(|step| &step.attempts);
    let all: f64 = attempts().map(|attempt| attempt.seconds).sum();
    let core: f64 = attempts().map(|attempt| attempt.core_seconds).sum();
    let again = history.iter().filter(|step| step.attempts.len() > 1).count();
    Part {
        id: "time",
        title: "Where the time went",
        lead: html! {
            "The steps took " b { (duration(all)) } " in all, and "
            (Shown::plain("", core / 3600.0, 2).derived()) " core-hours"
            @if again > 0 {
                "; " (again) @if again == 1 { " step" } @else { " steps" } " took more than one attempt"
            }
            "."
        },
        body: html! { (timeline(history)) (steps(history)) },
    }
}

/// Steps on a line of time; where nothing ran for long, the line is cut.
fn timeline(history: &[PageStep]) -> Markup {
    let mut csv = Csv::new(&["step", "attempt", "started", "seconds", "core_seconds", "outcome"]);
    let mut starts: Vec<&PageAttempt> = history.iter().flat_map(|step| &step.attempts).collect();
    starts.sort_by(|a, b| a.started.total_cmp(&b.started));
    let busy: f64 = starts.iter().map(|attempt| attempt.seconds).sum();
    let cuts = cuts(&starts, busy);
    let shown = |time: f64| {
        let before = cuts.iter().filter(|(at, _)| *at <= time).map(|(_, pause)| pause);
        time - starts.first().map_or(0.0, |first| first.started) - before.sum::<f64>()
    };
    let end = starts.iter().map(|attempt| shown(attempt.started) + attempt.seconds);
    let axis = time_axis(end.fold(0.0, f64::max));
    let (unit, per_unit) = if axis.high > 2.0 { ("minutes", 60.0) } else { ("seconds", 1.0) };
    let axis = if per_unit == 1.0 { Axis::from_zero("", [axis.high * 60.0]) } else { axis };
    let scale = axis.scale(LEFT, WIDTH - 16.0);
    let ran: Vec<_> = history.iter().filter(|step| !step.attempts.is_empty()).collect();
    let bottom = 6.0 + ran.len() as f64 * ROW;
    let place = |seconds: f64| scale.place(seconds / per_unit);
    for step in &ran {
        for (index, attempt) in step.attempts.iter().enumerate() {
            csv.row([
                (&step.step).into(),
                (index as f64 + 1.0).into(),
                attempt.started.into(),
                attempt.seconds.into(),
                attempt.core_seconds.into(),
                (&attempt.outcome).into(),
            ]);
        }
    }
    let svg = html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (at(bottom + 42.0)) } role="img" tabindex="0"
            aria-label="When each step ran" {
            (grid(&axis, &scale, bottom))
            @for (row, step) in ran.iter().enumerate() {
                @let y = 6.0 + row as f64 * ROW;
                text.row x=(LEFT - 10.0) y=(at(y + 14.0)) text-anchor="end" { (step.step) }
                @for (index, attempt) in step.attempts.iter().enumerate() {
                    @let from = place(shown(attempt.started));
                    @let stopped = attempt.stopped();
                    g.c0[!stopped].c5[stopped] {
                        rect.mark x=(at(from)) y=(at(y + 3.0)) rx="2" height="15"
                            width=(at((place(shown(attempt.started) + attempt.seconds) - from).max(1.5))) {
                            title {
                                (step.step) ", attempt " (index + 1) ": " (attempt.outcome) " after "
                                (duration(attempt.seconds))
                            }
                        }
                    }
                }
            }
            text.label x=(WIDTH - 16.0) y=(at(bottom + 38.0)) text-anchor="end" {
                (unit) @if cuts.is_empty() { " since the start" } @else { ", pauses left out" }
            }
        }
    };
    let about =
        "An orange bar is an attempt that was stopped, failed or was killed; the next one went on.";
    Figure { id: "timeline", title: "When each step ran", about, svg, csv }.markup()
}

/// Minutes.
fn time_axis(seconds: f64) -> Axis {
    Axis::from_zero("", [seconds / 60.0])
}

fn grid(axis: &Axis, scale: &Scale, bottom: f64) -> Markup {
    html! {
        g.grid {
            @for tick in &axis.ticks { path d={ "M" (at(scale.place(*tick))) " 2V" (at(bottom)) } {} }
        }
        g.ticks {
            @for tick in &axis.ticks {
                text x=(at(scale.place(*tick))) y=(at(bottom + 18.0)) text-anchor="middle" {
                    (axis.tick(*tick))
                }
            }
        }
    }
}

/// Pauses that are longer than a tenth of the work: when each ends, and how long it took.
fn cuts(starts: &[&PageAttempt], busy: f64) -> Vec<(f64, f64)> {
    let mut cuts = Vec::new();
    let mut end = starts.first().map_or(0.0, |first| first.started);
    for attempt in starts {
        let pause = attempt.started - end;
        if pause > 0.1 * busy {
            cuts.push((attempt.started, pause));
        }
        end = end.max(attempt.started + attempt.seconds);
    }
    cuts
}

fn steps(history: &[PageStep]) -> Markup {
    let ran = history.iter().enumerate().filter(|(_, step)| !step.attempts.is_empty());
    let rows = ran.map(|(index, step)| {
        let seconds: f64 = step.attempts.iter().map(|attempt| attempt.seconds).sum();
        let core: f64 = step.attempts.iter().map(|attempt| attempt.core_seconds).sum();
        let memory = step.attempts.iter().enumerate();
        let memory = memory.filter_map(|(at, attempt)| Some((at, attempt.peak_bytes?)));
        let most = memory.max_by_key(|(_, bytes)| *bytes);
        let memory = most.map(|(at, bytes)| {
            let path = format!("history.{index}.attempts.{at}.peak_bytes");
            Shown::gigabytes(path, bytes)
        });
        vec![
            html! { (step.step) },
            html! { (duration(seconds)) },
            html! { (duration(core)) },
            html! { (step.attempts.len()) },
            html! { @match memory { Some(memory) => (memory), None => "–" } },
        ]
    });
    let rows = rows.collect();
    table(&["step", "time", "of one core", "attempts", "most memory of a training"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_is_cut() {
        let attempt = |started: f64| PageAttempt {
            started,
            seconds: 10.0,
            core_seconds: 10.0,
            peak_bytes: None,
            outcome: "finished".into(),
        };
        let attempts = [attempt(100.0), attempt(111.0), attempt(5000.0)];
        let starts: Vec<&PageAttempt> = attempts.iter().collect();
        assert_eq!(cuts(&starts, 30.0), [(5000.0, 4879.0)]);
    }
}
